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
        self._connection = Connection(location, folder)
        self._parent = Delivery(folder, location, self._connection)
        self._trials: dict[str, Delivery] = {}
        self._queue = list(self._parent.trials)

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

        A trial's file that cannot be sent waits for the end of the sweep, so that it keeps back
        neither its trial nor the others.
        """
        last = self._parent.pump(skip_files)
        self._queue += [path for path in self._parent.trials if path not in self._queue]
        self._pump_trials(skip_files or not self._parent.has_ended)
        return last

    def _pump_trials(self, skip_files: bool) -> None:
        over: list[str] = []
        try:
            for path in list(self._queue):
                # Behind all others until it is done: the next call does not begin with the trial
                # that this one failed with.
                self._queue.remove(path)
                self._queue.append(path)
                if self._pump_trial(path, skip_files):
                    over.append(path)
        finally:
            for path in over:
                self._queue.remove(path)
                del self._trials[path]
            self._parent.forget(over)

    def _pump_trial(self, path: str, skip_files: bool) -> bool:
        """Send what a trial has to be sent; tell whether that was the last."""
        if not (self._folder / path / record.FILE_NAME).exists():
            return False
        trial = self._trials.get(path) or self._open(path)
        trial.pump(skip_files)
        return trial.has_ended and not trial.skipped

    def _open(self, path: str) -> Delivery:
        assert self.run_id is not None, "a sweep's record begins before it names trials"
        tags = {PARENT_TAG: self.run_id}
        delivery = Delivery(self._folder / path, self._location, self._connection, tags)
        self._trials[path] = delivery
        return delivery
