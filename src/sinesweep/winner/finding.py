"""The run that a command is about: a trial of a sweep, or a run of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinesweep import runs
from sinesweep.errors import InputError
from sinesweep.sweep import archive as archives
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.ranking import chosen, why_none
from sinesweep.tracking import record
from sinesweep.winner.script import find_trial


@dataclass(frozen=True)
class Found:
    """A run's folder.

    Attributes:
        directory: the run's.
        words: what a reader calls it.
        sweep: the sweep's folder, where the run is a trial.
        trial: the trial's number.
    """

    directory: Path
    words: str
    sweep: Path | None = None
    trial: int | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """Its configuration, without secrets; empty where its function left none.

        Raises:
            InputError: the file is damaged.
        """
        path = self.directory / runs.CONFIG_FILE
        return runs.read_config(path) if path.exists() else {}

    @property
    def run_id(self) -> str | None:
        """MLflow's id, or None where it was not tracked."""
        return runs.run_id(self.directory)


def find_run(root: Path, text: str) -> Found:
    """Find a run by its folder, its name, its id, or as a trial by ``SWEEP/NUMBER``.

    Raises:
        InputError: there is none, or more than one.
    """
    if (Path(text) / record.FILE_NAME).exists():
        return Found(Path(text), f"run {Path(text).name}")
    sweep, slash, number = text.rpartition("/")
    if slash and number.isdecimal():
        archive = archives.find(root, sweep)
        return of_trial(archive, find_trial(archive, int(number)))
    folder = runs.find(root, text)
    return Found(folder, f"run {folder.name}")


def winner(archive: Archive, number: int | None) -> Found:
    """Return the best trial of a sweep, or the one that was chosen.

    Raises:
        InputError: no trial was completed, or several objectives leave the choice open.
    """
    if number is not None:
        return of_trial(archive, find_trial(archive, number))
    best = chosen(archive.entries, archive.directions)
    if not best:
        raise InputError(
            f"sweep {archive.name}: must have a best trial, but {why_none(archive.entries)}: "
            "continue it"
        )
    if len(archive.directions) > 1:
        listed = ", ".join(str(entry.number) for entry in best)
        raise InputError(
            f"sweep {archive.name}: must have one best trial, but has a Pareto set ({listed}): "
            f"choose with --trial {best[0].number}"
        )
    return of_trial(archive, best[0])


def of_trial(archive: Archive, entry: Entry) -> Found:
    """Return a trial's run.

    Raises:
        InputError: its files are on another machine.
    """
    assert entry.directory is not None, "only trials that were dropped or reused have none"
    words = f"trial {entry.number} of {archive.name}"
    if entry.host and not entry.directory.exists():
        raise InputError(
            f"{words}: must have its files here, but they are on {entry.host}, in "
            f"{entry.directory}: type the command there"
        )
    return Found(entry.directory, words, archive.folder, entry.number)
