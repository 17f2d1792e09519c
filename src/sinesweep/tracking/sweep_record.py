"""What a sweep tells about itself and its trials, and the writer process that passes it on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sinesweep.redaction import redact
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RETRIED, RUNNING, Entry
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import ERROR_TAG, RUN_TAG, STATE_TAG, Event, Record
from sinesweep.tracking.writer_process import WriterProcess

# What became of a trial, as MLflow calls it.
_STATUS = {
    COMPLETE: record.FINISHED,
    PRUNED: record.KILLED,
    FAIL: record.FAILED,
    RETRIED: record.FAILED,
    INTERRUPTED: record.KILLED,
}


class SweepTracker:
    """Writes the record of a sweep and the ends of its trials' records.

    Only the process that runs the sweep says how trials ended, and only after the study was told:
    so study and tracker agree.

    Args:
        folder: the sweep's.
        location: the tracker, or None where the sweep is not tracked. The record of a sweep that
            was tracked before is kept up all the same, for whoever sends it next.
    """

    def __init__(self, folder: Path, location: Location | None) -> None:
        self._folder = folder
        self.run_id: str | None = None
        events = [event for event, _ in record.read(folder)]
        self._has_begun = bool(events)
        self._named = named_trials(events)
        self._experiment = events[0]["experiment"] if events else ""
        self._tags: Mapping[str, Any] = events[0]["tags"] if events else {}
        self._record = Record(folder) if events or location is not None else None
        self._writer = (
            None if location is None else WriterProcess(folder, location, of_a_sweep=True)
        )

    def begin(
        self, *, name: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> None:
        """Open the parent run, or open it again; it exists in the tracker when this returns.

        Raises:
            InputError: the tracker refused it.
        """
        self._experiment, self._tags = experiment, tags
        if self._record is None:
            return
        if self._has_begun:
            self._record.append("resume", tags={**tags, STATE_TAG: RUNNING, ERROR_TAG: ""})
        else:
            self._record.append(
                "begin",
                name=name,
                experiment=experiment,
                params=dict(params),
                tags={**tags, STATE_TAG: RUNNING, RUN_TAG: secrets.token_hex(8)},
                datasets=[],
            )
            self._has_begun = True
        if self._writer is not None:
            self.run_id = self._writer.wait_for_run()

    def trial_started(self, entry: Entry) -> None:
        """Name a trial, once, so that its record is sent."""
        if self._record is None or entry.directory is None:
            return
        path = os.path.relpath(entry.directory, self._folder)
        if path not in self._named:
            self._named.add(path)
            self._record.append("trial", path=path)

    def trial_ended(self, entry: Entry) -> bool:
        """Say how a trial ended; its record is begun where nobody was left to do so.

        It may be told of a trial again, and of one that was not told to have started: the process
        before this one may have been killed between any two of its steps.

        Returns:
            Whether the trial's record was without its end.
        """
        if entry.directory is None:
            return False
        self.trial_started(entry)
        if self._record is None and not (entry.directory / record.FILE_NAME).exists():
            return False
        return _end_trial(entry, self._experiment, self._tags)

    @property
    def open_trials(self) -> list[str]:
        """The folders of trials whose records have no end."""
        return [path for path in sorted(self._named) if not _has_ended(self._folder / path)]

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell metrics of the sweep, once for each step."""
        if self._record is not None:
            self._record.append_metrics(metrics, step)

    def log_artifact(self, path: Path) -> None:
        """Have a file of the sweep's folder copied to the tracker."""
        if self._record is not None:
            self._record.append("artifact", path=str(path.relative_to(self._folder)), folder=None)

    def end(self, outcome: str, error: str | None) -> None:
        """Close the parent run."""
        if self._record is not None:
            tags = {STATE_TAG: outcome, ERROR_TAG: redact(error or "")}
            self._record.append("end", status=_STATUS[outcome], tags=tags)

    def close(self) -> bool:
        """Let the writer finish; return whether the tracker has everything."""
        return self._writer is None or self._writer.close()


def _end_trial(entry: Entry, experiment: str, tags: Mapping[str, Any]) -> bool:
    directory = entry.directory
    assert directory is not None
    if _has_ended(directory):
        return False
    directory.mkdir(parents=True, exist_ok=True)  # its worker may have died before
    own = Record(directory)
    if record.last(directory) is None:
        _begin_trial(own, entry, experiment, tags)
    told = {STATE_TAG: entry.outcome}
    if entry.error:
        told[ERROR_TAG] = redact(entry.error)
    own.append("end", status=_STATUS[entry.outcome], tags=told)
    return True


def _has_ended(directory: Path) -> bool:
    last = record.last(directory)
    return last is not None and last["kind"] == "end"  # a trial is never begun again


def _begin_trial(own: Record, entry: Entry, experiment: str, tags: Mapping[str, Any]) -> None:
    own.append(
        "begin",
        name=entry.name,
        experiment=experiment,
        params=dict(entry.params),
        tags={
            **tags,
            "sinesweep.trial": entry.number,
            "sinesweep.directory": str(own.path.parent.absolute()),
            RUN_TAG: secrets.token_hex(8),
        },
        datasets=[],
    )


def named_trials(events: Iterable[Event]) -> set[str]:
    """Return the folders of the trials that a sweep's record names."""
    return {event["path"] for event in events if event["kind"] == "trial"}
