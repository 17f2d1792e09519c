"""The sweeps beside a sweep that ask the same of data with another noise."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinesweep.errors import InputError
from sinesweep.report.subject import NOISE, Subject, Trial, trial_of
from sinesweep.sweep import archive
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.plan import DEFINITION_FILE, JOINED
from sinesweep.sweep.ranking import best


@dataclass(frozen=True)
class Relative:
    """Another sweep, as far as it is compared.

    Attributes:
        name: the sweep's.
        noise: of its data.
        best: its best trial.
    """

    name: str
    noise: float
    best: Trial


def relatives(subject: Subject) -> list[Relative]:
    """Return the sweeps in the same folder whose definition differs in the noise alone, by noise.

    Args:
        subject: a sweep of one objective; others, and those that search the noise, have none.
    """
    if not subject.has_one_objective or NOISE in subject.keys:
        return []
    return sorted(_relatives(subject), key=lambda each: (each.noise, each.name))


def _relatives(subject: Subject) -> Iterator[Relative]:
    noise, rest = _split(subject.definition)
    root = subject.folder.absolute().parent
    if root.name == JOINED:  # the folder is that of one who has joined
        root = root.parent.parent
    paths = root.glob(f"*/{DEFINITION_FILE}")
    for folder in sorted(path.parent for path in paths):
        if folder == subject.folder.absolute() or (found := _read(folder)) is None:
            continue
        other, others_rest = _split(found.definition)
        if None not in (noise, other) and noise != other and rest == others_rest:
            first = _best(found)
            if first:
                yield Relative(found.name, other, first)


def _split(definition: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """Return the noise of the data, or None, and the definition without it."""
    rest = copy.deepcopy(dict(definition))
    data = rest["config"].get("data")
    return (data.pop("noise", None) if isinstance(data, dict) else None), rest


def _read(folder: Path) -> Archive | None:
    try:
        return archive.read(folder)
    except InputError:  # another version wrote it: this sweep has a report all the same
        return None


def _best(found: Archive) -> Trial | None:
    try:
        entry = best(found.entries, found.directions)
    except InputError:  # its study is out of reach, or has not begun
        return None
    return trial_of(entry, {}) if entry else None
