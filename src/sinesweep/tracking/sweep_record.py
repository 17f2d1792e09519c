"""What a sweep tells about itself and its trials, and the writer process that passes it on."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinesweep.redaction import redact_error
from sinesweep.sweep.entry import (
    COMPLETE,
    DROPPED,
    FAIL,
    INTERRUPTED,
    PRUNED,
    RETRIED,
    RUNNING,
    Entry,
)
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import DIRECTORY_TAG, ERROR_TAG, RUN_TAG, STATE_TAG, Record
from sinesweep.tracking.writer_process import WriterProcess

# What became of a trial, as MLflow calls it.
_STATUS = {
    COMPLETE: record.FINISHED,
    PRUNED: record.KILLED,
    FAIL: record.FAILED,
    RETRIED: record.FAILED,
    INTERRUPTED: record.KILLED,
    DROPPED: record.KILLED,
}


def trial_tag(token: str, number: int) -> str:
    """Return the RUN_TAG of a shared sweep's trial, by which every participant finds its run."""
    return f"{token}-{number}"


class SweepRecord:
    """The account of a sweep, and the ends of its trials' accounts, as files.

    Only the process that has the sweep's lock writes it, and says how trials ended only after the
    study was told: so study and tracker agree.

    Several processes can share a sweep, each a participant with a folder of its own. All of them
    send to one parent run, which has their common token as its RUN_TAG, and a trial's run is found
    by the tag that :func:`trial_tag` makes of it.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = Record(folder)
        self._experiment = ""
        self._tags: Mapping[str, Any] = {}
        self._token: str | None = None
        self._named: set[str] = set()
        for event, _ in record.read(folder):
            if event["kind"] == "trial":
                self._named.add(event["path"])
            elif event["kind"] == "begin":
                self._experiment, self._tags = event["experiment"], event["tags"]
                self._token = self._tags[RUN_TAG] if event.get("find") else None

    def begin(
        self,
        *,
        name: str,
        experiment: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        token: str | None = None,
    ) -> None:
        """Open the sweep, or open it again.

        Args:
            name: how the tracker calls it.
            experiment: where the tracker lists it.
            params: what a participant that comes later says of them is not heard.
            tags: likewise.
            token: what the participants of a shared sweep have in common: the parent run is then
                looked for before one is made.
        """
        anew = {STATE_TAG: RUNNING, ERROR_TAG: ""}
        if self._experiment:
            self._record.append("resume", tags=anew)
            return
        self._experiment, self._token = experiment, token
        self._tags = {**tags, STATE_TAG: RUNNING, RUN_TAG: token or secrets.token_hex(8)}
        shared: dict[str, Any] = {"find": True} if token else {}
        self._record.append(
            "begin",
            name=name,
            experiment=experiment,
            params=dict(params),
            tags={**self._tags, **(anew if token else {})},
            datasets=[],
            **shared,
        )

    @property
    def is_shared(self) -> bool:
        """Whether other participants may have a part in the sweep."""
        return self._token is not None

    def names(self, number: int) -> bool:
        """Whether a trial was begun from this folder, and not by another participant."""
        return _own_path(number) in self._named

    def has_reaped(self, number: int) -> bool:
        """Whether a trial of another participant was to be closed from this folder."""
        return _closed_path(number) in self._named

    def trial_started(self, entry: Entry) -> None:
        """Name a trial, once, so that its record is sent."""
        self._name(_own_path(entry.number))

    def trial_ended(self, entry: Entry) -> None:
        """Say how a trial ended, once, whatever its worker, or this process, had still told."""
        tags = {**self._tags, **self._identity(entry)}
        self._end_trial(_own_path(entry.number), entry, tags, {})

    def trial_reaped(self, entry: Entry) -> None:
        """Say how a trial of a participant that died ended, once.

        Its nested run is looked for, and made where there is none. One that is closed stays so.
        """
        tags = {
            "sinesweep.sweep": self._tags.get("sinesweep.sweep", self._folder.name),
            STATE_TAG: RUNNING,
            **self._identity(entry),
        }
        self._end_trial(_closed_path(entry.number), entry, tags, {"if_running": True})

    def _name(self, path: str) -> None:
        if path not in self._named:
            self._named.add(path)
            self._record.append("trial", path=path)

    def _end_trial(
        self, path: str, entry: Entry, tags: Mapping[str, Any], condition: Mapping[str, bool]
    ) -> None:
        self._name(path)
        directory = self._folder / path
        if _has_ended(directory):
            return
        directory.mkdir(parents=True, exist_ok=True)
        own = Record(directory)
        if record.last(directory) is None:  # nothing, or a torn line
            own.append(
                "begin",
                name=entry.name,
                experiment=self._experiment,
                params=dict(entry.params),
                tags=dict(tags),
                datasets=[],
            )
        end_trial(own, entry, condition)

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

    def end(self, outcome: str, error: str | None, *, if_running: bool = False) -> None:
        """Close the sweep.

        Args:
            outcome: COMPLETE, FAIL or INTERRUPTED.
            error: why it did not end well.
            if_running: leave a parent run that another participant has closed as it is.
        """
        tags = {STATE_TAG: outcome, ERROR_TAG: redact_error(error or "")}
        condition = {"if_running": True} if if_running else {}
        self._record.append("end", status=_STATUS[outcome], tags=tags, **condition)

    def leave(self) -> None:
        """Close this record alone: other participants go on, and the parent run stays open."""
        self._record.append("end", status=None, tags={})

    def _identity(self, entry: Entry) -> Mapping[str, Any]:
        tag = trial_tag(self._token, entry.number) if self._token else secrets.token_hex(8)
        place = {DIRECTORY_TAG: str(entry.directory.absolute())} if entry.directory else {}
        return {"sinesweep.trial": entry.number, RUN_TAG: tag, **place}


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
        self,
        *,
        name: str,
        experiment: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        token: str | None = None,
    ) -> None:
        """Open the parent run, or open it again; it exists in the tracker when this returns.

        Participants of a shared sweep, which give the same token, do this one after the other.
        See :meth:`SweepRecord.begin`.

        Raises:
            InputError: the tracker refused it.
        """
        if self.run_id is not None:  # a turn that was lost is taken again; the writer says it once
            return
        if self._record and self._writer:
            self._record.begin(
                name=name, experiment=experiment, params=params, tags=tags, token=token
            )
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

    def trial_reaped(self, entry: Entry) -> None:
        """Say how a trial of a participant that died ended, once."""
        if self._record:
            self._record.trial_reaped(entry)

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

    def leave(self) -> None:
        """Leave the parent run open, since other participants go on."""
        if self._record:
            self._record.leave()

    def close(self) -> bool:
        """Let the writer finish; return whether the tracker has everything."""
        return self._writer is None or self._writer.close()


def _has_ended(directory: Path) -> bool:
    last = record.last(directory)
    return last is not None and last["kind"] == "end"  # a trial is never begun again


def _own_path(number: int) -> str:
    return f"trials/{number}"


def _closed_path(number: int) -> str:
    return f"closed/{number}"


def end_trial(own: Record, entry: Entry, condition: Mapping[str, bool] | None = None) -> None:
    """Write the end of a trial's record, and under which condition it is to be told."""
    tags = {STATE_TAG: entry.outcome}
    if entry.error:
        tags[ERROR_TAG] = redact_error(entry.error)
    own.append("end", status=_STATUS[entry.outcome], tags=tags, **(condition or {}))
