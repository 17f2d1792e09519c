"""What a controller and a worker say to each other, as pickled values over a socket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sinesweep.sweep.outcome import Outcome


@dataclass(frozen=True)
class Assignment:
    """To a worker: run this trial."""

    number: int
    overrides: Sequence[str]
    directory: Path


@dataclass(frozen=True)
class Stop:
    """To a worker: leave the trial at its next report."""

    cause: str


@dataclass(frozen=True)
class Verdict:
    """To a worker: whether the trial it asked about is to be pruned."""

    prune: bool


@dataclass(frozen=True)
class Report:
    """From a worker: an intermediate value."""

    value: float
    step: int


@dataclass(frozen=True)
class Question:
    """From a worker: is this trial to be pruned? It waits for the Verdict."""


@dataclass(frozen=True)
class Ended:
    """From a worker: the trial is over, and the worker is free."""

    outcome: Outcome
