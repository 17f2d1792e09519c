"""Where a sweep stands, as the commands that look at sweeps read it from its folder."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, RUNNING, Entry
from sinesweep.sweep.plan import DEFINITION_FILE
from sinesweep.sweep.ranking import chosen, values_of
from sinesweep.sweep.repeats import mean_metrics
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import figure

REPORTED = "reference/test_mae"  # by which no trial is chosen
BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}
STATES = {
    RUNNING: "running",
    COMPLETE: "complete",
    FAIL: "failed",
    INTERRUPTED: "interrupted",
}


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands.

    Attributes:
        archive: the sweep.
        entries: every trial that began, by number.
        state: RUNNING, COMPLETE, FAIL or INTERRUPTED.
    """

    archive: Archive
    entries: Sequence[Entry]
    state: str

    @cached_property
    def best(self) -> Sequence[Entry]:
        """The best trial, or the Pareto set of several objectives; none without a completed one."""
        return chosen(self.entries, self.archive.directions)

    @cached_property
    def best_metrics(self) -> Mapping[str, float]:
        """What the best trial told last, by the metric's name; nothing of a Pareto set."""
        several = len(self.archive.directions) > 1
        return {} if several or not self.best else last_metrics(self.best[0].directory)

    @property
    def done(self) -> int:
        """How many trials of ``n_trials`` have ended."""
        return sum(entry.counts for entry in self.entries)

    @property
    def counts(self) -> dict[str, int]:
        """How many trials there are of each outcome, in lower case."""
        outcomes = Counter(entry.outcome for entry in self.entries)
        return {outcome.lower(): outcomes[outcome] for outcome in (*COUNTED, RUNNING)}

    @property
    def active(self) -> float:
        """When something was last known to happen, in seconds since the epoch."""
        if self.state == RUNNING:
            return time.time()
        begun = (self.archive.folder / DEFINITION_FILE).stat().st_mtime
        ends = (e.end or e.start for e in self.entries if e.start is not None)
        return max(ends, default=begun)

    @property
    def seconds(self) -> float:
        """How long all trials took together."""
        return sum(entry.seconds or 0.0 for entry in self.entries)

    @property
    def done_text(self) -> str:
        """``7/16``, or ``7`` where another budget ends the sweep."""
        total = self.archive.total
        return str(self.done) if total is None else f"{self.done}/{total}"

    @property
    def best_words(self) -> tuple[str, str]:
        """The best value and what it is called; of several objectives, how many are optimal."""
        if not self.best:
            return "", ""
        if len(self.archive.directions) > 1:
            return str(len(self.best)), "Pareto set"
        return figure(values_of(self.best[0])[0]), self.archive.objectives[0]

    @property
    def counts_text(self) -> str:
        """``12 complete, 3 pruned``; what a killed sweep left open is called so."""
        words = {**COUNTED, RUNNING: "running" if self.state == RUNNING else "left open"}
        found = self.counts
        parts = [f"{found[o.lower()]} {word}" for o, word in words.items() if found[o.lower()]]
        return ", ".join(parts) or "none"


def standing(archive: Archive) -> Standing:
    """Read where a sweep stands.

    Raises:
        InputError: its study cannot be read.
    """
    state = archive.state  # first: a sweep that ends meanwhile has ended with all it has
    return Standing(archive, archive.entries, state)


def last_metrics(directory: Path | None) -> dict[str, float]:
    """Return the last value of each metric that a trial recorded, the mean over its seeds."""
    if directory is None:
        return {}
    return mean_metrics(directory)


def baseline(kind: str, metric: str) -> str:
    """Return the metric under which a baseline's value is recorded."""
    return f"baseline/{kind}/{metric.replace('/', '_')}"
