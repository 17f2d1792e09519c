"""A sweep's processes, one after another in the test's own: each runs trials until it is killed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from sinesweep.sweep import preflight
from sinesweep.sweep.entry import RUNNING, Entry
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.storage import open_storage
from sinesweep.sweep.study import SweepStudy

Params = Mapping[str, Any]


class Killed(BaseException):
    """The process is no more."""


class Fuse:
    """Kills the process at some of the visits to one moment of a trial's life.

    Args:
        moment: its name, as the process says it.
        kills: whether it kills at a visit, counted from 0 over all processes.
    """

    def __init__(self, moment: str = "never", kills: Callable[[int], bool] = bool) -> None:
        self._moment = moment
        self._kills = kills
        self._visits = 0
        self.burnt = 0

    def at(self, moment: str) -> None:
        """Say what the process is about to do, or has done."""
        if moment == self._moment:
            self._visits += 1
            if self._kills(self._visits - 1):
                self.burnt += 1
                raise Killed(moment)


def open_study(plan: Plan) -> SweepStudy:
    """Open a sweep's study as a process that has just started does."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    plan.save_definition()
    storage = open_storage(plan.settings.storage, plan.folder)
    sampler, pruner = preflight.build_sampler(plan), preflight.build_pruner(plan)
    return SweepStudy(plan, storage, sampler, pruner, Ledger(plan.folder))


def objective(params: Params) -> tuple[float, ...]:
    """Return a value that differs from point to point."""
    numbers = [float(v) if isinstance(v, (int, float)) else len(str(v)) for v in params.values()]
    return (sum((number - math.pi / (i + 2)) ** 2 for i, number in enumerate(numbers)),)


class Worker:
    """Runs trials one at a time, and keeps what it was given to evaluate.

    Args:
        fuse: kills the process at its moment.
        evaluate: what becomes of a point.

    Attributes:
        evaluated: the points whose evaluation was finished, in this order.
        numbers: of the trials that were begun.
    """

    def __init__(
        self,
        fuse: Fuse | None = None,
        evaluate: Callable[[Params], Outcome] = lambda point: Outcome.complete(objective(point)),
    ) -> None:
        self._fuse = fuse or Fuse()
        self._evaluate = evaluate
        self.evaluated: list[Params] = []
        self.numbers: list[int] = []

    def run(self, study: SweepStudy) -> Entry | None:
        """Run the next trial; return it as it has ended, or None where there is no other."""
        if not study.has_more:
            return None
        entry = study.next()
        assert entry is not None
        if entry.state != RUNNING:
            return entry
        assert entry.directory is not None
        entry.directory.mkdir(parents=True)
        self.numbers.append(entry.number)
        self._fuse.at("running")
        outcome = self._evaluate(entry.params)
        outcome.write(entry.directory)
        self.evaluated.append(entry.params)
        self._fuse.at("left its outcome")
        ended = study.end(entry.number, outcome)
        self._fuse.at("told")
        return ended

    def finish(self, plan: Plan) -> SweepStudy:
        """Run a sweep to its end, with a new process whenever one was killed."""
        while True:
            try:
                study = open_study(plan)
                while self.run(study):
                    pass
            except Killed:
                continue
            return study
