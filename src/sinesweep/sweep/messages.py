"""What a controller and a worker say to each other, as pickled values over a socket.

A worker may have several trials at once, so each message names the one that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sinesweep.sweep.outcome import Outcome


@dataclass(frozen=True)
class Assignment:
    """To a worker: run this trial.

    Where others may have to close its run in the tracker, it is tagged as they will look for it.
    """

    number: int
    overrides: Sequence[str]
    directory: Path
    run_tag: str | None = None


@dataclass(frozen=True)
class Served:
    """To a worker: a trial's end was heard, and whatever is to follow it has been assigned."""

    trial: int


@dataclass(frozen=True)
class Stop:
    """To a worker: leave a trial at its next report, or every trial."""

    cause: str
    trial: int | None = None


@dataclass(frozen=True)
class Answer:
    """To a worker: yes or no to a trial's question."""

    trial: int
    yes: bool


@dataclass(frozen=True)
class Ready:
    """From a worker: it has begun, and may be given trials."""


@dataclass(frozen=True)
class Report:
    """From a worker: an intermediate value."""

    trial: int
    value: float
    step: int


@dataclass(frozen=True)
class MayBePruned:
    """From a worker: is this trial to be pruned? It waits for the Answer."""

    trial: int


@dataclass(frozen=True)
class IsAmongBest:
    """From a worker: is this value among the best so many? It waits for the Answer."""

    trial: int
    value: float
    count: int


@dataclass(frozen=True)
class Alone:
    """From a worker: it does not train this trial together with its others, and why."""

    trial: int
    reason: str


@dataclass(frozen=True)
class Held:
    """From a worker: its other trials wait for this one from now on, or no more."""

    trial: int
    is_on: bool


@dataclass(frozen=True)
class Ended:
    """From a worker: a trial is over, and its place is free, unless the worker exits with it."""

    trial: int
    outcome: Outcome
    is_last: bool = False


Question = MayBePruned | IsAmongBest
