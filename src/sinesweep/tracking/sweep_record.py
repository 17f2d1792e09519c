"""What a sweep tells about itself and its trials, and the writer process that passes it on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinesweep.redaction import redact
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RETRIED, RUNNING, Entry
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import RUN_TAG, STATE_TAG, Record
from sinesweep.tracking.writer_process import WriterProcess

ERROR_TAG = "sinesweep.error"

# What became of a trial, as MLflow calls it.
_STATUS = {
    COMPLETE: record.FINISHED,
    PRUNED: record.KILLED,
    FAIL: record.FAILED,
    RETRIED: record.FAILED,
    INTERRUPTED: record.KILLED,
}


class SweepRecord:
    """The account of a sweep, and the ends of its trials' accounts, as files.

    Only the process that has the sweep's lock writes it, and says how trials ended only after the
    study was told: so study and tracker agree.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = Record(folder)
        self._experiment = ""
        self._tags: Mapping[str, Any] = {}
        self._named: set[str] = set()
        for event, _ in record.read(folder):
            if event["kind"] == "trial":
                self._named.add(event["path"])
            elif event["kind"] == "begin":
                self._experiment, self._tags = event["experiment"], event["tags"]

    def begin(
        self, *, name: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> None:
        """Open the sweep, or open it again."""
        if self._experiment:
            self._record.append("resume", tags={STATE_TAG: RUNNING, ERROR_TAG: ""})
            return
        self._experiment = experiment
        self._tags = {**tags, STATE_TAG: RUNNING, RUN_TAG: secrets.token_hex(8)}
        self._record.append(
            "begin",
            name=name,
            experiment=experiment,
            params=dict(params),
            tags=dict(self._tags),
            datasets=[],
        )

    def trial_started(self, entry: Entry) -> None:
        """Name a trial, once, so that its record is sent."""
        assert entry.directory is not None
        path = str(entry.directory.relative_to(self._folder))
        if path not in self._named:
            self._named.add(path)
            self._record.append("trial", path=path)

    def trial_ended(self, entry: Entry) -> None:
        """Say how a trial ended, once, whatever its worker, or this process, had still told."""
        assert entry.directory is not None
        self.trial_started(entry)
        if _has_ended(entry.directory):
            return
        entry.directory.mkdir(parents=True, exist_ok=True)
        own = Record(entry.directory)
        if record.last(entry.directory) is None:  # nothing, or a torn line
            self._begin_trial(own, entry)
        end_trial(own, entry)

    @property
    def open_trials(self) -> list[str]:
        """The folders of the trials that were named and whose records have no end."""
        return [path for path in sorted(self._named) if not _has_ended(self._folder / path)]

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell metrics of the sweep, once for each step."""
        self._record.append_metrics(metrics, step)

    def log_artifact(self, path: Path) -> None:
        """Have a file of the sweep's folder copied to the tracker."""
        self._record.append("artifact", path=str(path.relative_to(self._folder)), folder=None)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tell tags of the sweep, in place of what they said before."""
        self._record.append("tags", tags=dict(tags))

    def save_view(self, view: Mapping[str, Any]) -> None:
        """Have the tracker's pages show the sweep in a way; see :func:`pages.view_tags`."""
        self._record.append("view", **view)

    def end(self, outcome: str, error: str | None) -> None:
        """Close the sweep."""
        tags = {STATE_TAG: outcome, ERROR_TAG: redact(error or "")}
        self._record.append("end", status=_STATUS[outcome], tags=tags)

    def _begin_trial(self, own: Record, entry: Entry) -> None:
        assert entry.directory is not None
        tags = {
            **self._tags,
            "sinesweep.trial": entry.number,
            record.DIRECTORY_TAG: str(entry.directory.absolute()),
            RUN_TAG: secrets.token_hex(8),
        }
        own.append(
            "begin",
            name=entry.name,
            experiment=self._experiment,
            params=dict(entry.params),
            tags=tags,
            datasets=[],
        )


class SweepTracker:
    """A sweep's record and the writer process that sends it, or neither.

    Args:
        folder: the sweep's.
        location: the tracker, or None where the sweep is not tracked.
    """

    def __init__(self, folder: Path, location: Location | None) -> None:
        self.run_id: str | None = None
        self._record = SweepRecord(folder) if location else None
        self._writer = WriterProcess(folder, location, of_a_sweep=True) if location else None

    def begin(
        self, *, name: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> None:
        """Open the parent run, or open it again; it exists in the tracker when this returns.

        Raises:
            InputError: the tracker refused it.
        """
        if self._record and self._writer:
            self._record.begin(name=name, experiment=experiment, params=params, tags=tags)
            self.run_id = self._writer.wait_for_run()

    def trial_started(self, entry: Entry) -> None:
        """Have a trial's record sent from here on."""
        if self._record:
            self._record.trial_started(entry)

    def trial_ended(self, entry: Entry) -> None:
        """Say how a trial ended, once."""
        if self._record:
            self._record.trial_ended(entry)
        elif entry.directory and record.last(entry.directory) and not _has_ended(entry.directory):
            end_trial(Record(entry.directory), entry)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Tell metrics of the sweep, once for each step."""
        if self._record:
            self._record.log(metrics, step)

    def log_artifact(self, path: Path) -> None:
        """Have a file of the sweep's folder copied to the tracker."""
        if self._record:
            self._record.log_artifact(path)

    def flush(self) -> None:
        """Have all that is recorded sent; where the tracker does not answer, that stays for later.

        The tracker's ids of the trials' runs are known afterwards.
        """
        if self._writer:
            self._writer.flush()

    def tag(self, tags: Mapping[str, str]) -> None:
        """Tell tags of the sweep, in place of what they said before."""
        if self._record:
            self._record.tag(tags)

    def save_view(self, view: Mapping[str, Any]) -> None:
        """Have the tracker's pages show the sweep in a way; see :func:`pages.view_tags`."""
        if self._record:
            self._record.save_view(view)

    def end(self, outcome: str, error: str | None) -> None:
        """Close the parent run."""
        if self._record:
            self._record.end(outcome, error)

    def close(self) -> bool:
        """Let the writer finish; return whether the tracker has everything."""
        return self._writer is None or self._writer.close()


def _has_ended(directory: Path) -> bool:
    last = record.last(directory)
    return last is not None and last["kind"] == "end"  # a trial is never begun again


def end_trial(own: Record, entry: Entry) -> None:
    """Write the end of a trial's record."""
    tags = {STATE_TAG: entry.outcome}
    if entry.error:
        tags[ERROR_TAG] = redact(entry.error)
    own.append("end", status=_STATUS[entry.outcome], tags=tags)
