"""What a name on the command line stands for: a sweep, one of its trials, or a run."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from sinesweep import runs
from sinesweep.errors import InputError
from sinesweep.sweep import archive
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.plan import DEFINITION_FILE
from sinesweep.tracking import record

_SHORTEST_ID = 6  # of MLflow's ids, which are in no folder's name


@dataclass(frozen=True)
class NamedSweep:
    """A sweep, and what it is called."""

    name: str
    archive: Archive


@dataclass(frozen=True)
class NamedTrial:
    """A trial of a sweep, called ``sweep/12``."""

    name: str
    archive: Archive
    entry: Entry


@dataclass(frozen=True)
class NamedRun:
    """A run that belongs to no sweep, called by its id."""

    name: str
    folder: Path


Named = NamedSweep | NamedTrial | NamedRun


def named(root: Path, text: str) -> Named:
    """Find what a name stands for.

    Args:
        root: where runs and sweeps are.
        text: a sweep's name, its beginning or folder; ``SWEEP/NUMBER``, or a trial's folder; a
            run's name, id or folder; or the beginning of an MLflow id of any of them.

    Raises:
        InputError: there is nothing of that name, or more than one.
    """
    if (Path(text) / DEFINITION_FILE).exists():
        return NamedSweep(Path(text).resolve().name, archive.read(Path(text)))
    sweep, _, number = text.rstrip("/").rpartition("/")
    if sweep and number.isdigit():
        return _trial(archive.find(root, sweep.removesuffix("/trials")), int(number))
    if (Path(text) / record.FILE_NAME).exists():
        return _run(Path(text))
    sweeps = {folder.name: folder for folder in archive.folders(root)}
    known_runs = [name for folder in runs.folders(root) for name in _run_names(folder)]
    if text not in known_runs and any(name.startswith(text) for name in sweeps):
        found = archive.find(root, text)
        return NamedSweep(found.folder.name, found)
    if any(name.startswith(text) for name in known_runs):
        return _run(runs.find(root, text))
    return _by_id(root, text) or _refuse(root, text, [*sweeps, *known_runs])


def _run(folder: Path) -> NamedRun:
    return NamedRun(folder.resolve().name.rpartition("-")[2], folder)


def _trial(found: Archive, number: int) -> NamedTrial:
    entries = {entry.number: entry for entry in found.entries}
    if number not in entries:
        has = f"has {min(entries)} to {max(entries)}" if entries else "has none yet"
        raise InputError(
            f"trial {number} of {found.name}: must be one that began, but the sweep {has}: "
            f"sinesweep show {found.folder.name} lists the best"
        )
    return NamedTrial(f"{found.folder.name}/{number}", found, entries[number])


def _run_names(folder: Path) -> list[str]:
    tracked = runs.run_id(folder)
    return [folder.name, folder.name.rpartition("-")[2], *([tracked] if tracked else [])]


def _by_id(root: Path, text: str) -> Named | None:
    """Find a sweep or a trial by the beginning of its MLflow id."""
    if len(text) < _SHORTEST_ID:
        return None
    for folder in archive.folders(root):
        if _has_id(folder, text):
            return NamedSweep(folder.name, archive.read(folder))
        for directory in (folder / "trials").glob("*"):
            if _has_id(directory, text):
                return _trial(archive.read(folder), int(directory.name))
    return None


def _has_id(folder: Path, text: str) -> bool:
    return (runs.run_id(folder) or "").startswith(text)


def _refuse(root: Path, text: str, known: list[str]) -> NoReturn:
    close = difflib.get_close_matches(text, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ": sinesweep list shows the sweeps"
    raise InputError(f"{text!r}: there is no such sweep or run under {root}{hint}")
