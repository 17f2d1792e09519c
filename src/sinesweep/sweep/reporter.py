"""Tells screen, tracker and tables what happens, each as often as it can bear."""

from __future__ import annotations

import time

from sinesweep.sweep.entry import Entry
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.study import SweepStudy
from sinesweep.tracking.sweep_record import SweepTracker

_REFRESH = 1.0  # seconds between writes of the tables


class Reporter:
    """What the control loop tells, handed on.

    Args:
        plan: the sweep.
        study: every trial so far.
        tracker: takes the parent run and the trials' ends.
    """

    def __init__(self, plan: Plan, study: SweepStudy, tracker: SweepTracker) -> None:
        self._plan = plan
        self._study = study
        self._tracker = tracker
        self._refreshed = time.monotonic()
        self._is_stale = True

    def started(self, entry: Entry, worker: int) -> None:
        self._tracker.trial_started(entry)
        print("started", entry.number, worker, entry.overrides)

    def ended(self, entry: Entry) -> None:
        if entry.directory:
            self._tracker.trial_ended(entry)
        print("ended", entry.number, entry.outcome, entry.values, entry.error)

    def reported(self, entry: Entry, value: float, step: int) -> None:
        pass

    def message(self, text: str) -> None:
        print(text)

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass

    def show_end(self) -> int:
        return 0
