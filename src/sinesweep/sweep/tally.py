"""Where a running sweep stands: counts, the best so far, running trials, the time left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sinesweep.sweep.entry import (
    COMPLETE,
    FAIL,
    INTERRUPTED,
    PRUNED,
    RETRIED,
    REUSED,
    RUNNING,
    WAITING,
    Entry,
)
from sinesweep.sweep.ranking import chosen

WORDS = {
    COMPLETE: "complete",
    PRUNED: "pruned",
    FAIL: "failed",
    RETRIED: "failed, to be run again",
    INTERRUPTED: "interrupted",
    REUSED: "reused",
    WAITING: "waiting",
}

# How many trials there are of each.
COUNTED = WORDS | {RETRIED: "retried"}

Clock = Callable[[], float]


@dataclass
class Running:
    """A trial that a worker has begun.

    Attributes:
        entry: the trial.
        worker: who runs it.
        since: when it began, in seconds by the tally's clock.
        step: of the last report; None before the first.
        value: what was reported.
    """

    entry: Entry
    worker: int
    since: float
    step: int | None = None
    value: float | None = None


class Tally:
    """Counts what happens.

    Args:
        directions: ``minimize`` or ``maximize`` for each objective.
        n_trials: how many trials the sweep has in all, or None.
        workers: how many trials are run at once.
        finished: what had ended before.
        clock: seconds.
    """

    def __init__(
        self,
        directions: Sequence[str],
        n_trials: int | None,
        workers: int,
        finished: Sequence[Entry],
        clock: Clock = time.monotonic,
    ) -> None:
        self.n_trials = n_trials
        self.done = 0
        self.best: list[Entry] = []
        self.running: dict[int, Running] = {}
        self._directions = directions
        self._workers = workers
        self._clock = clock
        self._begun = clock()
        self._outcomes: Counter[str] = Counter()
        self._work = 0.0  # seconds that the trials which count took
        for entry in finished:
            self._count(entry)
        self.best = chosen(finished, directions)

    def started(self, entry: Entry, worker: int) -> None:
        """Take a trial's beginning."""
        self.running[entry.number] = Running(entry, worker, self._clock())

    def reported(self, entry: Entry, value: float, step: int) -> None:
        """Take a running trial's report."""
        if running := self.running.get(entry.number):
            running.step, running.value = step, value

    def ended(self, entry: Entry) -> Running | None:
        """Take a trial's end; return what was known of it while it ran."""
        self._count(entry)
        self.best = chosen([*self.best, entry], self._directions)
        return self.running.pop(entry.number, None)

    def counts(self) -> list[tuple[int, str, str]]:
        """Return (how many, in a word, outcome) of what there is, and of running trials."""
        ended = [(self._outcomes[o], word, o) for o, word in COUNTED.items() if self._outcomes[o]]
        running = [(len(self.running), "running", RUNNING)] if self.running else []
        return ended + running

    def elapsed(self) -> float:
        """Return seconds since the tally was made."""
        return self._clock() - self._begun

    def time_of(self, running: Running) -> float:
        """Return how many seconds a trial has been running."""
        return self._clock() - running.since

    def left(self) -> float | None:
        """Estimate the seconds left, if every trial to come takes the mean of those that ended."""
        if self.n_trials is None or self.done == 0 or self.done >= self.n_trials:
            return None
        mean = self._work / self.done
        under_way = sum(min(self.time_of(each), mean) for each in self.running.values())
        work = max(0.0, (self.n_trials - self.done) * mean - under_way)
        return work / min(max(self._workers, len(self.running)), self.n_trials - self.done)

    def _count(self, entry: Entry) -> None:
        self._outcomes[entry.outcome] += 1
        self.done += entry.counts
        if entry.counts:
            self._work += entry.seconds or 0.0
