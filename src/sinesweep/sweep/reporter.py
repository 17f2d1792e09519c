"""Tells screen, tracker and tables what happens, each as often as it can bear."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from pathlib import Path

from omegaconf import OmegaConf

from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import redact
from sinesweep.sweep.entry import COMPLETE, DROPPED, FAIL, PRUNED, REUSED, RUNNING, Entry
from sinesweep.sweep.leaderboard import show_leaderboard
from sinesweep.sweep.log_stream import LogStream
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.ranking import chosen
from sinesweep.sweep.results import Results
from sinesweep.sweep.study import SweepStudy
from sinesweep.sweep.summary import show_summary
from sinesweep.sweep.view import Subject, make_view
from sinesweep.tracking.sweep_record import SweepTracker

_REFRESH = 1.0  # seconds between writes of the tables
_WITHOUT_RUN = (DROPPED, REUSED)
_TABLES = ("trials.csv", "best.yaml", "optimization_results.yaml")


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
        self._begun = time.monotonic()
        self._refreshed = 0.0
        self._is_stale = True
        self._logs = LogStream() if plan.settings.stream else None
        self._results = Results(plan.folder, plan.settings.objectives)
        finished = [entry for entry in self._entries() if entry.state != RUNNING]
        for entry in finished:
            self._tell_tracker(entry)  # a killed process may have been about to
        self._view = make_view(
            Subject(
                name=plan.name,
                folder=plan.folder,
                objectives=objective_names(plan),
                directions=plan.settings.objectives,
                n_trials=plan.total,
                workers=plan.settings.processes,
                finished=finished,
            )
        )

    def started(self, entry: Entry, worker: int) -> None:
        """A worker has been given a trial."""
        self._tracker.trial_started(entry)
        self._view.started(entry, worker)
        if self._logs:
            self._logs.started(entry)

    def ended(self, entry: Entry) -> None:
        """The study has been told of a trial's end."""
        self._tell_tracker(entry)
        if self._logs:
            for line in self._logs.ended(entry):
                self._view.message(line)
        self._view.ended(entry)
        self._is_stale = True

    def reported(self, entry: Entry, value: float, step: int) -> None:
        """A trial has reported a value."""
        self._view.reported(entry, value, step)

    def message(self, text: str) -> None:
        """Something that the user should know."""
        self._view.message(text)

    def tick(self) -> None:
        """A moment has passed."""
        if self._logs:
            for line in self._logs.lines():
                self._view.message(line)
        self._view.tick()
        now = time.monotonic()
        if self._is_stale and now - self._refreshed > _REFRESH:
            self._refreshed, self._is_stale = now, False
            self._refresh()

    def close(self) -> None:
        """Bring the tables up to date and leave the screen as it was found."""
        self._view.close()
        self._refresh()
        for name in _TABLES:
            if (self._plan.folder / name).exists():
                self._tracker.log_artifact(self._plan.folder / name)

    def show_end(self) -> int:
        """Show what the sweep came to; return the exit code."""
        entries, directions = self._entries(), self._plan.settings.objectives
        # The tracker has told its ids by now.
        self._results.write_trials(entries, final=True)
        self._results.write_best(entries, self._command)
        show_leaderboard(entries, objective_names(self._plan), directions)
        show_summary(
            entries,
            directions,
            seconds=time.monotonic() - self._begun,
            folder=self._plan.folder,
            ui=self._ui(),
            command=self._command,
        )
        return EXIT_DONE if any(entry.state == COMPLETE for entry in entries) else EXIT_FAILED

    def _entries(self) -> list[Entry]:
        return list(self._study.entries.values())

    def _tell_tracker(self, entry: Entry) -> None:
        if entry.outcome not in _WITHOUT_RUN:
            self._tracker.trial_ended(entry)

    def _refresh(self) -> None:
        entries, directions = self._entries(), self._plan.settings.objectives
        self._results.write_trials(entries)
        self._results.write_best(entries, self._command)
        self._results.write_optimization_results(entries)
        counts = Counter(entry.outcome for entry in entries)
        metrics = {
            "trials/complete": float(counts[COMPLETE]),
            "trials/pruned": float(counts[PRUNED]),
            "trials/failed": float(counts[FAIL]),
        }
        if len(directions) == 1:
            for entry in chosen(entries, directions):
                assert entry.values is not None
                metrics["best_value"] = entry.values[0]
        self._tracker.log(metrics, step=self._study.counted)

    def _command(self, entry: Entry) -> str:
        flags = [
            word for word in sys.argv[1:] if word.startswith(("--config", "-cn", "-cp", "-cd"))
        ]
        return redact(shlex.join(["python", sys.argv[0], *flags, *entry.overrides]))

    def _ui(self) -> str | None:
        tracking = self._plan.settings.tracking
        if not self._plan.settings.is_tracked or tracking is None:
            return None
        root = "" if Path(tracking.root) == Path("mlruns") else f" --root {tracking.root}"
        return f"sinesweep ui{root}" + (f" --uri {redact(tracking.uri)}" if tracking.uri else "")


def objective_names(plan: Plan) -> list[str]:
    """Return what the values of a sweep are called: metrics where the configuration names them."""
    count = len(plan.settings.objectives)
    named = OmegaConf.select(plan.base, "returns") or OmegaConf.select(plan.base, "objective")
    names = [named] if isinstance(named, str) else list(named or ())
    if len(names) == count:
        return [str(name) for name in names]
    return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]
