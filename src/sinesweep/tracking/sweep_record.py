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


class SweepTracker:
    """Writes the record of a sweep and the ends of its trials' records.

    Only the process that runs the sweep says how trials ended, and only after the study was told:
    so study and tracker agree.

    Args:
        folder: the sweep's.
        location: the tracker, or None where the sweep is not tracked.
    """

    def __init__(self, folder: Path, location: Location | None) -> None:
        self._folder = folder
        self.run_id: str | None = None
        self._record = None if location is None else Record(folder)
        self._writer = (
            None if location is None else WriterProcess(folder, location, of_a_sweep=True)
        )
        self._experiment = ""
        self._tags: Mapping[str, Any] = {}

    def begin(
        self, *, name: str, experiment: str, params: Mapping[str, Any], tags: Mapping[str, Any]
    ) -> None:
        """Open the parent run, or open it again; it exists in the tracker when this returns.

        Raises:
            InputError: the tracker refused it.
        """
        self._experiment, self._tags = experiment, tags
        if self._record is None or self._writer is None:
            return
        again = {STATE_TAG: RUNNING, ERROR_TAG: ""}
        if self._record.path.exists():
            self._record.append("resume", tags=again)
        else:
            self._record.append(
                "begin",
                name=name,
                experiment=experiment,
                params=dict(params),
                tags={**tags, STATE_TAG: RUNNING, RUN_TAG: secrets.token_hex(8)},
                datasets=[],
            )
        self.run_id = self._writer.wait_for_run()

    def trial_started(self, entry: Entry) -> None:
        """Name a trial, so that its record is sent."""
        if self._record is not None and entry.directory is not None:
            self._record.append("trial", path=str(entry.directory.relative_to(self._folder)))

    def trial_ended(self, entry: Entry) -> None:
        """Say how a trial ended, once; its record is begun where nobody was left to do so."""
        directory = entry.directory
        assert directory is not None
        is_begun = (directory / record.FILE_NAME).exists()
        if (self._record is None and not is_begun) or record.last_end(directory):
            return
        directory.mkdir(parents=True, exist_ok=True)  # its worker may have died before
        own = Record(directory)
        if not is_begun:
            own.append(
                "begin",
                name=entry.name,
                experiment=self._experiment,
                params=dict(entry.params),
                tags={
                    **self._tags,
                    "sinesweep.trial": entry.number,
                    "sinesweep.directory": str(directory.absolute()),
                    RUN_TAG: secrets.token_hex(8),
                },
                datasets=[],
            )
        end_trial(own, entry)

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


def end_trial(own: Record, entry: Entry) -> None:
    """Write the end of a trial's record."""
    tags = {STATE_TAG: entry.outcome}
    if entry.error:
        tags[ERROR_TAG] = redact(entry.error)
    own.append("end", status=_STATUS[entry.outcome], tags=tags)
