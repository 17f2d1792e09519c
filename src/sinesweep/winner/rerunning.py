"""A trial run again as a run of its own, and compared with what the sweep had of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import OmegaConf

from sinesweep import runs
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import COMPLETE, Entry
from sinesweep.sweep.space import value_text
from sinesweep.tracking.provenance import THREADS_TAG
from sinesweep.winner import returned, script
from sinesweep.winner.comparison import Evaluation, Point, beginning, numbers_of
from sinesweep.winner.returned import Returned


@dataclass(frozen=True)
class Rerun:
    """A trial, then and now.

    Attributes:
        entry: the trial.
        then: what the sweep had of it.
        now: what it came to.
        directories: the folders of the runs: one for each seed that the sweep repeated it under.
    """

    entry: Entry
    then: Evaluation
    now: Evaluation
    directories: Sequence[Path]


def rerun(archive: Archive, entry: Entry, overrides: Sequence[str]) -> Rerun | int:
    """Run a trial again.

    It is run as it was: with as many threads as its worker had, and as often as the sweep
    repeated it.

    Args:
        archive: the sweep.
        entry: the trial, which has ended.
        overrides: of its configuration, with secrets.

    Returns:
        Both evaluations, or the script's exit code where it failed.
    """
    then = _then(archive, entry)
    found: list[Returned] = []
    for index, seed in enumerate(_seeds(archive, entry)):
        given = [*overrides, *seed, *_run_name(archive, entry, index)]
        told = _run(archive, given, then.tags.get(THREADS_TAG))
        if isinstance(told, int):
            return told
        found.append(told)
    return Rerun(entry, then, _now(archive, found), [each.directory for each in found])


def _run(archive: Archive, overrides: Sequence[str], threads: str | None) -> Returned | int:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "returned.json"
        telling = returned.overrides(path)
        code = script.run(archive, [*overrides, *telling], threads=threads)
        return returned.read(path) or code or 1


def _seeds(archive: Archive, entry: Entry) -> Iterator[list[str]]:
    """Yield what a sweep adds to a trial's overrides each time that it evaluates it."""
    yield []
    if entry.outcome != COMPLETE:
        return
    key = archive.seed_key
    base = OmegaConf.select(OmegaConf.create(dict(archive.definition["config"])), key)
    for index in range(1, archive.definition["repeats"]):
        yield [f"{key}={int(base) + index}"]


def _run_name(archive: Archive, entry: Entry, index: int) -> list[str]:
    if not _is_training(entry):
        return []
    name = f"{archive.name} {entry.name} again" + (f" {index}" if index else "")
    return [f"tracking.run_name={value_text(name)}"]


def _is_training(entry: Entry) -> bool:
    """Whether the function is this project's own training, which leaves its configuration."""
    return entry.directory is not None and (entry.directory / runs.CONFIG_FILE).exists()


def _then(archive: Archive, entry: Entry) -> Evaluation:
    assert entry.directory is not None
    repeats = sorted(entry.directory.glob("repeat-*"))
    tags, params = beginning(entry.directory)
    if not _is_training(entry):
        params = {}  # a record of a function of another application holds overrides
    of_the_sweep, _ = beginning(archive.folder)
    values = dict(zip(archive.objectives, entry.values or (), strict=False))
    return Evaluation(
        _numbers([entry.directory, *repeats], values), {**of_the_sweep, **tags}, params
    )


def _now(archive: Archive, found: Sequence[Returned]) -> Evaluation:
    means = [sum(column) / len(found) for column in zip(*(r.values for r in found), strict=True)]
    tags, params = beginning(found[0].directory)
    values = dict(zip(archive.objectives, means, strict=False))
    return Evaluation(
        _numbers([each.directory for each in found], values), {**found[0].tags, **tags}, params
    )


def _numbers(directories: Sequence[Path], values: Mapping[str, float]) -> dict[Point, Any]:
    numbers: dict[Point, float] = {}
    for index, directory in enumerate(directories):
        numbers |= numbers_of(directory, f"repeat-{index}/" if index else "")
    return numbers | {(name, None): value for name, value in values.items()}
