"""One trial of a sweep, as tables, views and trackers read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Optuna's names of states.
RUNNING = "RUNNING"
COMPLETE = "COMPLETE"
PRUNED = "PRUNED"
FAIL = "FAIL"

# What became of a trial, where that is more than its state says.
INTERRUPTED = "INTERRUPTED"  # stopped with the sweep: FAIL, and run again under a new number
RETRIED = "RETRIED"  # failed, and run again under a new number
# The sweep was killed before the trial began: FAIL, without folder or run. Or a value of its point
# is lost: FAIL, with them, and the sampler is free to propose the point again.
DROPPED = "DROPPED"
WAITING = "WAITING"  # a point that another trial is evaluating: RUNNING, without a worker
REUSED = "REUSED"  # a point that was evaluated before: COMPLETE, with that trial's values

REPORT = "objective"  # the metric under which a reported value is recorded

RUN_AGAIN = (INTERRUPTED, RETRIED)


@dataclass(frozen=True)
class Entry:
    """A trial.

    Attributes:
        number: counted from 0; never used again.
        state: Optuna's name: RUNNING, COMPLETE, PRUNED or FAIL.
        outcome: the state, or INTERRUPTED, RETRIED, DROPPED, WAITING or REUSED, which say more.
        values: one for each objective; None unless the state is COMPLETE.
        params: dotted key to value, as the sampler proposed it.
        overrides: the command line that makes the trial's configuration.
        directory: the trial's folder, or None where it never began.
        start: when it began, in seconds since the epoch.
        seconds: how long it took, waiting left out; None while it runs,
            and where its sweep was killed before it had measured that.
        error: why it failed.
        origin: the number of the trial that this one repeats, or None.
        waited: seconds in which it had begun and waited for one that its worker trained alone.
        participant: who runs it, where several run the sweep together.
        host: the machine where its folder is, where that may be another.
        constraints: name to value; a value above 0 violates the constraint.
        reported: the last value that was reported to the pruner, or None.
    """

    number: int
    state: str
    outcome: str
    values: tuple[float, ...] | None
    params: Mapping[str, Any]
    overrides: Sequence[str]
    directory: Path | None
    start: float | None
    seconds: float | None
    error: str | None
    origin: int | None
    waited: float = 0.0
    participant: str | None = None
    host: str | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    reported: float | None = None

    @property
    def is_feasible(self) -> bool:
        """Whether the trial violates none of its constraints."""
        return all(value <= 0 for value in self.constraints.values())

    @property
    def end(self) -> float | None:
        """When it ended, in seconds since the epoch."""
        if self.start is None or self.seconds is None:
            return None
        return self.start + self.waited + self.seconds

    @property
    def name(self) -> str:
        """What the tracker calls the trial."""
        return run_name(self.number)

    @property
    def counts(self) -> bool:
        """Whether the trial is one of ``n_trials``: it has ended and is not run again."""
        return self.state != RUNNING and self.outcome in (COMPLETE, PRUNED, FAIL)


def run_name(number: int) -> str:
    """Return ``trial-00012`` for 12."""
    return f"trial-{number:05d}"
