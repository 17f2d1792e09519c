"""Send a sweep's record and those of its trials to MLflow, as a parent run and nested ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sinesweep.tracking import record
from sinesweep.tracking.delivery import Connection, Delivery, is_delivered
from sinesweep.tracking.delivery import unsent as unsent_of_run
from sinesweep.tracking.location import Location

PARENT_TAG = "mlflow.parentRunId"


class SweepDelivery:
    """A sweep's way to MLflow.

    The sweep's own record names its trials. One whose record has ended and was sent is forgotten,
    so that a sweep of thousands costs what its running trials cost.

    Args:
        folder: the sweep's.
        location: the tracker.
    """

    def __init__(self, folder: Path, location: Location) -> None:
        self._folder = folder
        self._location = location
        self._connection = Connection(location, folder)
        self._parent = Delivery(folder, location, self._connection)
        self._trials: dict[str, Delivery] = {}
        self._offset = 0

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the parent run, once it has one."""
        return self._parent.run_id

    @property
    def skipped(self) -> list[record.Event]:
        """The files that were left behind, to be tried again by the next delivery."""
        left = [event for trial in self._trials.values() for event in trial.skipped]
        return [*self._parent.skipped, *left]

    def pump(self, skip_files: bool = False) -> str | None:
        """Send every event that was not sent yet; see :meth:`Delivery.pump`.

        A trial that cannot be sent does not keep back the others.
        """
        last = self._parent.pump(skip_files)
        if self.run_id is None:
            return None
        for path in self._new_trials():
            tags = {PARENT_TAG: self.run_id}
            directory = self._folder / path
            self._trials[path] = Delivery(directory, self._location, self._connection, tags)
        failure: Exception | None = None
        for path, trial in list(self._trials.items()):
            try:
                is_over = trial.pump(skip_files) == "end" and not trial.skipped
            except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
                failure = failure or error
            else:
                if is_over:
                    del self._trials[path]
        if failure is not None:
            raise failure
        return last

    def _new_trials(self) -> Iterator[str]:
        for event, offset in record.read(self._folder, self._offset):
            self._offset = offset
            if event["kind"] == "trial" and not _is_over(self._folder / event["path"]):
                yield event["path"]


def unsent(folder: Path) -> int:
    """Return how many events of a sweep's records have not been sent."""
    trials = [
        folder / event["path"] for event, _ in record.read(folder) if event["kind"] == "trial"
    ]
    return sum(unsent_of_run(directory) for directory in (folder, *trials))


def _is_over(directory: Path) -> bool:
    return record.last_end(directory) is not None and is_delivered(directory)
