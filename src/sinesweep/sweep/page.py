"""Keeps a sweep's page on the tracker up to date: its note, and the view of its trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sinesweep.sweep.entry import RUNNING, Entry
from sinesweep.sweep.note import REPORTED, Subject, metrics_of, text
from sinesweep.sweep.plan import Plan, question
from sinesweep.sweep.ranking import chosen
from sinesweep.sweep.rerun import rerun_command
from sinesweep.tracking import record
from sinesweep.tracking.pages import NOTE_TAG
from sinesweep.tracking.sweep_record import SweepRecord, SweepTracker


class SweepPage:
    """Tells the tracker what its page of a sweep is to say.

    Args:
        name: the sweep's.
        subject: the sweep.
        tracker: takes it.
    """

    def __init__(self, name: str, subject: Subject, tracker: SweepTracker | SweepRecord) -> None:
        self._name = name
        self._subject = subject
        self._tracker = tracker
        self._note = ""
        self._view: Mapping[str, Any] = {}

    def refresh(self, entries: Sequence[Entry]) -> None:
        """Tell what has changed.

        Args:
            entries: every trial of the sweep.
        """
        best = chosen(entries, self._subject.directions)
        if len(best) == 1:
            self._tell_best(best[0], step=sum(entry.state != RUNNING for entry in entries))
        if best:
            self._save_view(best[0])
        note = text(self._subject, entries)
        if note != self._note:
            self._note = note
            self._tracker.tag({NOTE_TAG: note})

    def _tell_best(self, entry: Entry, step: int) -> None:
        metrics = metrics_of(entry)
        if REPORTED in metrics:
            self._tracker.log({f"best/{REPORTED}": metrics[REPORTED]}, step)

    def _save_view(self, entry: Entry) -> None:
        view = comparison(self._name, entry, self._subject.directions)
        if view != self._view:
            self._view = view
            self._tracker.save_view(view)


def make_page(plan: Plan, tracker: SweepTracker) -> SweepPage | None:
    """Make the page of a sweep, or nothing where it is not tracked.

    Args:
        plan: the sweep.
        tracker: takes it.
    """
    if not plan.settings.is_tracked:
        return None
    subject = Subject(
        question=question(plan.config),
        objectives=plan.objective_names,
        directions=plan.settings.objectives,
        total=plan.total,
        folder=plan.folder,
        again=plan.command.text,
        rerun=partial(rerun_command, command=plan.command),
    )
    return SweepPage(plan.name, subject, tracker)


def comparison(name: str, entry: Entry, directions: Sequence[str]) -> dict[str, Any]:
    """Return the params and metrics that a sweep's trials are compared by.

    Args:
        name: the sweep's.
        entry: a completed trial of it.
        directions: ``minimize`` or ``maximize`` for each objective.
    """
    reported = [REPORTED] if REPORTED in metrics_of(entry) else []
    several = len(directions) > 1
    values = [f"value_{index}" for index in range(len(directions))] if several else ["value"]
    of_best = [] if several else [f"best/{metric}" for metric in reported]
    return {
        "name": name,
        "params": list(_logged_keys(entry)),
        "metrics": [*values, *reported],
        "of_sweep": [*of_best, *(f"best_{value}" for value in values)],
        "maximize": directions[0] == "maximize",
    }


def _logged_keys(entry: Entry) -> Iterator[str]:
    """Yield what a trial's params are called in its run; of a configuration group, its class."""
    assert entry.directory is not None, "a completed trial has a folder"
    begin = next((event for event, _ in record.read(entry.directory)), {})
    logged = begin.get("params", {})
    for key in entry.params:
        name = key.lstrip("+").replace("@", "_")
        yield next((each for each in (name, f"{name}._target_") if each in logged), name)
