"""Send a sweep's record and those of its trials to MLflow, as a parent run and nested ones."""

from __future__ import annotations

from pathlib import Path

from sinesweep.tracking import record
from sinesweep.tracking.connection import Connection
from sinesweep.tracking.delivery import Delivery
from sinesweep.tracking.location import Location

PARENT_TAG = "mlflow.parentRunId"


class SweepDelivery:
    """A sweep's way to MLflow.

    The sweep's own record names its trials. One that has ended and was sent is forgotten, for
    good: a sweep of thousands costs what its running trials cost.

    Args:
        folder: the sweep's.
        location: the tracker.
    """

    def __init__(self, folder: Path, location: Location) -> None:
        self._folder = folder
        self._location = location
        self._connection = Connection(location)
        self._parent = Delivery(folder, location, self._connection)
        self._trials: dict[str, Delivery] = {}

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the parent run, once it has one."""
        return self._parent.run_id

    @property
    def skipped(self) -> list[record.Event]:
        """The files that were left behind, to be tried again by the next delivery."""
        left = [event for trial in self._trials.values() for event in trial.skipped]
        return [*self._parent.skipped, *left]

    def check_run(self) -> bool:
        """Look whether the tracker has the parent run; see :meth:`Delivery.check_run`."""
        return self._parent.check_run()

    def pump(self, skip_files: bool = False) -> None:
        """Send every event that was not sent yet; see :meth:`Delivery.pump`.

        A trial's file that cannot be sent waits for the end of the sweep, so that it keeps back
        neither its trial nor the others.
        """
        self._parent.pump(skip_files)
        failure: Exception | None = None
        over: list[str] = []
        for path in self._parent.trials:
            try:
                if self._pump_trial(path, skip_files or not self._parent.has_ended):
                    over.append(path)
            except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
                failure = failure or error
                if not self._connection.is_answered:
                    break
        self._forget(over)
        if failure is not None:
            raise failure

    def _pump_trial(self, path: str, skip_files: bool) -> bool:
        """Send what a trial has to be sent; tell whether that was the last."""
        if not (self._folder / path / record.FILE_NAME).exists():
            return False
        trial = self._trials.get(path) or self._open(path)
        trial.pump(skip_files)
        return trial.has_ended and not trial.skipped

    def _forget(self, over: list[str]) -> None:
        self._parent.forget(over)
        for path in over:
            del self._trials[path]

    def _open(self, path: str) -> Delivery:
        assert self.run_id is not None, "a sweep's record begins before it names trials"
        tags = {PARENT_TAG: self.run_id}
        delivery = Delivery(
            self._folder / path,
            self._location,
            self._connection,
            tags,
            shared=self._parent.is_shared,
        )
        self._trials[path] = delivery
        return delivery
