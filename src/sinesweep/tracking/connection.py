"""An open tracker: its client and experiments, and what it says of runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sinesweep.files import take_lock
from sinesweep.tracking import record
from sinesweep.tracking.location import Location, silence
from sinesweep.tracking.record import DIRECTORY_TAG, ERROR_TAG, ROOT_TAG, STATE_TAG

_PATIENCE = 60.0  # seconds that another process may take to create the tables
_PAUSE = 0.5  # seconds between tries


class Connection:
    """A tracker's client, for as many runs as one process sends.

    Args:
        location: the tracker.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._experiments: dict[str, str] = {}
        self.client = open_client(location)

    def experiment(self, name: str) -> str:
        """Return an experiment's id; make it where it is missing."""
        if name not in self._experiments:
            self._experiments[name] = self._find_experiment(name)
        return self._experiments[name]

    @property
    def is_answered(self) -> bool:
        """Whether the tracker answers; one that does may still refuse what it is sent."""
        return silence(self._location) is None

    def stage(self, run_id: str) -> str | None:
        """Return whether a run is active or deleted, or None if the tracker does not have it."""
        try:
            return self.client.get_run(run_id).info.lifecycle_stage
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _find_experiment(self, name: str) -> str:
        with alone(self._location):
            found = self.client.get_experiment_by_name(name)
            if found is not None and found.lifecycle_stage == "deleted":
                raise ValueError(
                    f"the experiment {name} must not be deleted, but is in the tracker's trash: "
                    f"restore it with `mlflow experiments restore -x {found.experiment_id}`, or "
                    "choose another name"
                )
            if found is not None:
                return found.experiment_id
            artifacts = self._location.artifacts
            try:
                return self.client.create_experiment(name, artifacts and artifacts.as_uri())
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        return self._find_experiment(name)


def open_client(location: Location) -> MlflowClient:
    """Return a client of a tracker whose tables are there.

    The first client of a database creates them. Processes that share an SQLite file take turns. A
    database server undoes all but one creation; a process whose creation was undone tries again.

    Raises:
        Exception: MLflow's or the database's own; the tracker still fails after a while.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with alone(location):
                client = MlflowClient(tracking_uri=location.uri)
                client.search_experiments(max_results=1)
                return client
        except Exception:
            if not location.is_database_server or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


@contextmanager
def alone(location: Location) -> Iterator[None]:
    """Keep other processes from creating tables or experiments in an SQLite file meanwhile.

    The lock is beside the database: processes with different roots can share it.

    Raises:
        TimeoutError: another process holds the lock for too long.
    """
    database = location.database
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    path = database.with_name(f".{database.name}.lock")
    lock = take_lock(path, _PATIENCE)
    if lock is None:
        raise TimeoutError(
            f"{path}: another process has been creating the tracker's tables for {_PATIENCE:g} s: "
            "wait for it, or end it"
        )
    with lock:
        yield


def open_runs(location: Location, root_id: str) -> list[tuple[str, str]]:
    """Return (run id, folder) of every run that began in a root and the tracker calls RUNNING."""
    client = open_client(location)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(
        experiments,
        filter_string=f"attributes.status = 'RUNNING' AND tags.`{ROOT_TAG}` = '{root_id}'",
    )
    return [(run.info.run_id, run.data.tags[DIRECTORY_TAG]) for run in found]


def set_killed(location: Location, run_id: str, cause: str) -> None:
    """Close a run that nothing is left of."""
    client = MlflowClient(tracking_uri=location.uri)
    client.set_tag(run_id, STATE_TAG, record.INTERRUPTED)
    client.set_tag(run_id, ERROR_TAG, cause)
    client.set_terminated(run_id, record.KILLED)
