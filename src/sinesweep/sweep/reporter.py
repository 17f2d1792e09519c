"""Tells screen, tracker and tables what happens, each as often as it can bear."""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from sinesweep.files import append, unwritable
from sinesweep.redaction import redact
from sinesweep.report import files, process
from sinesweep.report.process import ReportProcess
from sinesweep.sweep.entry import COMPLETE, DROPPED, FAIL, PRUNED, RUNNING, Entry
from sinesweep.sweep.leaderboard import show_leaderboard
from sinesweep.sweep.log_stream import LogStream
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.page import make_page
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.ranking import best_values
from sinesweep.sweep.rerun import rerun_command
from sinesweep.sweep.results import BEST_FILE, OPTIMIZATION_FILE, TRIALS_FILE, Results
from sinesweep.sweep.study import News, SweepStudy
from sinesweep.sweep.summary import show_summary
from sinesweep.sweep.view import Subject, make_view
from sinesweep.sweep.wording import counted
from sinesweep.tracking.sweep_record import SweepTracker

_REFRESH = 1.0  # seconds between writes of the tables, at least
_PAUSES = 20  # times what a write took, at least: tables of thousands of trials take long
_TABLES = (TRIALS_FILE, BEST_FILE, OPTIMIZATION_FILE)


class Reporter:
    """What the control loop tells, handed on.

    Args:
        plan: the sweep.
        study: every trial so far.
        tracker: takes the parent run and the trials' ends.
        occupancy: of the workers' slots.
    """

    def __init__(
        self, plan: Plan, study: SweepStudy, tracker: SweepTracker, occupancy: Occupancy
    ) -> None:
        self._plan = plan
        self._study = study
        self._tracker = tracker
        self._occupancy = occupancy
        self._begun = time.monotonic()
        self._next_refresh = 0.0
        self._is_stale = True
        self._fault: str | None = None  # why the tables could not be written the last time
        self._logs = LogStream() if plan.settings.stream else None
        self._results = Results(plan.folder, plan.settings.objectives, plan.repeats)
        self._report = _report_process(plan)
        self._page = make_page(plan, tracker)
        finished = [entry for entry in self._entries() if entry.state != RUNNING]
        for entry in finished:
            if entry.participant == study.participant:
                self._tell_tracker(entry)  # a killed process may have been about to
        for entry in study.closed:
            self._reap(entry)
        self._view = make_view(
            Subject(
                name=plan.name,
                folder=plan.folder,
                objectives=plan.objective_names,
                directions=plan.settings.objectives,
                n_trials=plan.total,
                workers=plan.settings.processes,
                slots=plan.slots,
                finished=finished,
            ),
            shares_terminal=plan.settings.backend == "inline",
        )

    def started(self, entry: Entry, worker: int) -> None:
        """A worker has been given a trial."""
        self._tracker.trial_started(entry)
        self._note_worker(entry, worker)
        self._view.started(entry, worker)
        if self._logs:
            self._logs.started(entry)

    def ended(self, entry: Entry) -> None:
        """The study has been told of a trial's end."""
        self._tell_tracker(entry)
        if self._logs:
            self._show(self._logs.ended(entry))
        self._view.ended(entry)
        if notice := self._study.pruning.new_notice():
            self._view.message(notice)
        self._is_stale = True

    def heard(self, news: News) -> None:
        """Another participant has begun a trial, or ended it, or was to."""
        if news.entry.state != RUNNING:
            if news.closed_here:
                self._reap(news.entry)
            if news.entry.outcome != DROPPED:
                self._view.ended(news.entry)
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
            self._show(self._logs.lines())
        self._view.tick()
        begun = time.monotonic()
        if self._is_stale and begun > self._next_refresh:
            self._is_stale = not self._refresh()
            ended = time.monotonic()
            self._next_refresh = ended + max(_REFRESH, _PAUSES * (ended - begun))
        if self._report:
            self._report.refresh()

    def close(self, state: str = COMPLETE) -> None:
        """Bring tables and report up to date and leave the screen as it was found.

        Args:
            state: how the sweep ended.
        """
        if state == COMPLETE and self.failing:
            state = FAIL
        self._view.close()
        try:
            self._finish(state)
        except OSError as error:
            self._say_fault(unwritable(error) or str(error))

    def _finish(self, state: str) -> None:
        self._tracker.flush()  # it tells the ids of the last trials' runs
        self._refresh(final=True)
        self._finish_report(state)
        if self._page:
            self._page.refresh(self._entries())  # it names the report
        folder = self._plan.folder
        for path in [*(folder / name for name in _TABLES), *files.written(folder)]:
            if path.is_file():
                self._tracker.log_artifact(path)

    def abandon(self) -> None:
        """Leave the screen as it was found; files cannot be written."""
        self._view.close()
        if self._report:
            self._report.stop()
        with suppress(OSError):  # the error that ended the sweep is reported
            self._results.write_trials(self._entries())

    @property
    def failing(self) -> str | None:
        """Why a sweep that has run all its trials is no success, or None where it is one."""
        if not any(entry.state == COMPLETE for entry in self._entries()):
            return "no trial was completed"
        return self._fault

    def show_end(self) -> None:
        """Show what the sweep came to."""
        entries, directions = self._entries(), self._plan.settings.objectives
        show_leaderboard(entries, self._plan.objective_names, directions)
        show_summary(
            entries,
            directions,
            seconds=time.monotonic() - self._begun,
            folder=self._plan.folder,
            slots=self._slots(),
            pruning=self._study.pruning.summary,
            ui=self._ui(),
            command=self._command,
        )

    def _entries(self) -> list[Entry]:
        return list(self._study.entries.values())

    def _tell_tracker(self, entry: Entry) -> None:
        if entry.directory is not None:  # one that began: it has a run
            self._tracker.trial_ended(entry)

    def _reap(self, entry: Entry) -> None:
        """Close the run of a trial whose participant is dead."""
        if entry.directory is None:
            return
        if entry.participant == self._study.participant:
            self._tracker.trial_ended(entry)
        else:
            self._tracker.trial_reaped(entry)

    def _note_worker(self, entry: Entry, worker: int) -> None:
        note = json.dumps({"trial": entry.number, "worker": worker})
        try:
            append(self._plan.folder / files.WORKERS_FILE, f"{note}\n".encode())
        except OSError as error:
            self._say_fault(str(error))

    def _show(self, lines: Iterable[str]) -> None:
        if text := "\n".join(lines):
            self._view.message(text)  # at once: a terminal is redrawn for each message

    def _refresh(self, *, final: bool = False) -> bool:
        """Bring tables and tracker up to date; return whether the tables could be written."""
        entries = self._entries()
        ended = sum(entry.state != RUNNING for entry in entries)
        told = progress(entries, self._plan.settings.objectives)
        share = self._occupancy.share
        if share is not None and self._plan.slots > 1:
            told["slots/occupancy"] = share
        self._tracker.log(told, step=ended)
        if self._page:
            self._page.refresh(entries)
        return self._write_tables(final=final)

    def _write_tables(self, *, final: bool = False) -> bool:
        """Write the tables, or say why not: a full disk must not cost the trials that run."""
        entries = self._entries()
        try:
            self._results.write_trials(entries, final=final)
            self._results.write_best(entries, self._command)
            self._results.write_optimization_results(entries)
        except OSError as error:
            self._say_fault(str(error))
            return False
        self._fault = None
        return True

    def _finish_report(self, state: str) -> None:
        if self._report:
            fault = self._report.finish(state)
        else:
            fault = process.MISSING if self._plan.settings.report else None
        if fault:
            self._view.message(fault)

    def _say_fault(self, fault: str) -> None:
        if fault != self._fault:  # not every second
            self._view.message(
                f"the tables in {self._plan.folder} must be writable, but are not: {fault}; no "
                "trial is lost: make room, and the same command brings them up to date"
            )
        self._fault = fault

    def _command(self, entry: Entry) -> str:
        return rerun_command(entry, self._plan.command)

    def _slots(self) -> str | None:
        share, slots = self._occupancy.share, self._plan.slots
        if share is None or slots == 1:
            return None
        workers = counted(self._plan.settings.processes, "worker")
        return f"{slots} in each of {workers}, {share:.0%} taken until the last trial began"

    def _ui(self) -> str | None:
        tracking = self._plan.settings.tracking
        if not self._plan.settings.is_tracked or tracking is None:
            return None
        words = ["sinesweep", "ui"]
        if Path(tracking.root) != Path("mlruns"):
            words += ["--root", tracking.root]
        if tracking.uri:
            words += ["--uri", redact(tracking.uri)]
        return shlex.join(words)


def _report_process(plan: Plan) -> ReportProcess | None:
    settings = plan.settings
    if not settings.report or not process.is_possible():
        return None
    return ReportProcess(
        plan.folder,
        tracker=plan.location.uri if plan.location else None,
        storage=settings.storage if isinstance(settings.storage, str) else None,
    )


def progress(entries: Sequence[Entry], directions: Sequence[str]) -> dict[str, float]:
    """Return what the tracker shows of a sweep while it runs: counts, and the best values."""
    counts = Counter(entry.outcome for entry in entries)
    metrics = {
        "trials/complete": float(counts[COMPLETE]),
        "trials/pruned": float(counts[PRUNED]),
        "trials/failed": float(counts[FAIL]),
    }
    best = best_values(entries, directions)
    names = ["best_value"] if len(best) == 1 else [f"best_value_{i}" for i in range(len(best))]
    return metrics | dict(zip(names, best, strict=True))
