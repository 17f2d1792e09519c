"""The time that a sweep ran, without the pauses between its commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time

from sinesweep.report.files import WORKERS_FILE
from sinesweep.report.subject import Subject, Trial
from sinesweep.sweep.entry import RUNNING

_PAUSE = 60.0  # seconds in which no trial ran: the sweep was not running


@dataclass(frozen=True)
class Clock:
    """Counts the seconds in which the sweep ran.

    Attributes:
        sessions: (begin, end) of each stretch without a pause, in seconds since the epoch.
        lanes: each worker's trials, in their order, by its number.
        is_packed: whether nobody noted who ran what, and the lanes are the fewest that fit.
    """

    sessions: Sequence[tuple[float, float]]
    lanes: Mapping[int, Sequence[Trial]]
    is_packed: bool

    def seconds(self, moment: float) -> float:
        """Return how long the sweep had run at a moment."""
        return sum(min(max(moment - begin, 0.0), end - begin) for begin, end in self.sessions)

    @property
    def length(self) -> float:
        """How long it ran in all, in seconds."""
        return sum(end - begin for begin, end in self.sessions)


def clock_of(subject: Subject) -> Clock:
    """Return the clock of a sweep; one of no length where no trial has a time."""
    timed = [t for t in subject.trials if t.entry.start is not None and _has_end(subject, t)]
    timed.sort(key=begin_of)
    workers = _workers(subject.folder / WORKERS_FILE)
    if any(trial.number not in workers for trial in timed):
        return Clock(_sessions(timed), dict(enumerate(packed(timed))), is_packed=True)
    lanes: dict[int, list[Trial]] = {worker: [] for worker in sorted(set(workers.values()))}
    for trial in timed:
        lanes[workers[trial.number]].append(trial)
    return Clock(_sessions(timed), {w: lane for w, lane in lanes.items() if lane}, is_packed=False)


def begin_of(trial: Trial) -> float:
    """Return when a timed trial began, in seconds since the epoch."""
    assert trial.entry.start is not None
    return trial.entry.start


def end_of(trial: Trial) -> float:
    """Return when a timed trial ended, or now."""
    ended = trial.entry.end
    return max(time(), begin_of(trial)) if ended is None else ended


def _has_end(subject: Subject, trial: Trial) -> bool:
    # What a killed command left open ended nobody knows when.
    is_running = trial.entry.state == RUNNING and subject.state == RUNNING
    return trial.entry.seconds is not None or is_running


def _sessions(timed: Sequence[Trial]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for trial in timed:
        begin, end = begin_of(trial), end_of(trial)
        if found and begin - found[-1][1] <= _PAUSE:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _workers(path: Path) -> dict[int, int]:
    """Return who was given each trial, as the sweep's control loop noted."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    notes = [note for line in lines if (note := _note(line))]
    return {note["trial"]: note["worker"] for note in notes}


def _note(line: str) -> dict[str, int] | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:  # it is being written, or a full disk cut it
        return None


def packed(timed: Sequence[Trial]) -> list[list[Trial]]:
    """Give each trial to the lane that became free last before it began; the fewest that fit.

    Args:
        timed: in the order of their begins.
    """
    lanes: list[list[Trial]] = []
    for trial in timed:
        free = [lane for lane in lanes if end_of(lane[-1]) <= begin_of(trial)]
        if free:
            max(free, key=lambda lane: end_of(lane[-1])).append(trial)
        else:
            lanes.append([trial])
    return lanes
