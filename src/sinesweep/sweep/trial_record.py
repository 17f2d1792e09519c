"""A trial's record for the tracker, where its function keeps none of its own.

The reference task's training writes a full record itself; for any other function the worker writes
its parameters and what it reports.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

from sinesweep import runs
from sinesweep.redaction import redact_overrides
from sinesweep.sweep.entry import REPORT, RUNNING, run_name
from sinesweep.sweep.messages import Assignment
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.tracking import provenance, record
from sinesweep.tracking.record import Record


class TrialRecord:
    """Writes what is known of a trial, if the sweep is tracked.

    Args:
        plan: the sweep.
        assignment: the trial.
    """

    def __init__(self, plan: Plan, assignment: Assignment) -> None:
        self._plan = plan
        self._assignment = assignment
        self._own: Record | None = None
        self.tags = {
            "sinesweep.sweep": plan.name,
            "sinesweep.trial": assignment.number,
            "sinesweep.host": socket.gethostname(),
            provenance.THREADS_TAG: provenance.threads(),
            record.STATE_TAG: RUNNING,
            record.DIRECTORY_TAG: str(assignment.directory.absolute()),
            record.RUN_TAG: assignment.run_tag or secrets.token_hex(8),
            **root_tag(plan),
            **_repeat_tags(plan),
        }

    def report(self, value: float, step: int) -> None:
        """Take a reported value."""
        if self._begin():
            assert self._own is not None
            self._own.append_metrics({REPORT: value}, step)

    def values(self, outcome: Outcome) -> None:
        """Take what the trial came to."""
        if outcome.values is None or not self._plan.settings.is_tracked:
            return
        self._begin()
        count = len(outcome.values)
        names = ["value"] if count == 1 else [f"value_{index}" for index in range(count)]
        told = dict(zip(names, outcome.values, strict=True))
        Record(self._assignment.directory).append_metrics(told, 0)

    def _begin(self) -> bool:
        """Whether the record is ours to write; the first to write it begins it."""
        directory, tracking = self._assignment.directory, self._plan.settings.tracking
        if not self._plan.settings.is_tracked or tracking is None:
            return False
        if self._own is None and not (directory / record.FILE_NAME).exists():
            self._own = Record(directory)
            self._own.append(
                "begin",
                name=run_name(self._assignment.number),
                experiment=tracking.experiment,
                params=dict(map(_pair, redact_overrides(self._assignment.overrides))),
                tags=self.tags,
                datasets=[],
            )
        return self._own is not None


def root_tag(plan: Plan) -> dict[str, str]:
    """Return the tag by which an audit finds what was recorded in a root, if anything is."""
    tracking = plan.settings.tracking
    if not plan.settings.is_tracked or tracking is None:
        return {}
    return {record.ROOT_TAG: runs.make_root_id(Path(tracking.root))}


def _repeat_tags(plan: Plan) -> dict[str, str]:
    """Return what a trial's value is the mean of; its metrics are those of the first seed."""
    if plan.repeats is None:
        return {}
    return {
        "sinesweep.repeats": str(len(plan.repeats.seeds)),
        "sinesweep.seeds": ",".join(map(str, plan.repeats.seeds)),
    }


def _pair(override: str) -> tuple[str, str]:
    key, _, text = override.partition("=")
    return key.lstrip("+"), text
