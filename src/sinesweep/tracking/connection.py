"""An open tracker: its client and experiments, and what it says of runs."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sinesweep.tracking import record
from sinesweep.tracking.location import Location, silence
from sinesweep.tracking.record import DIRECTORY_TAG, ERROR_TAG, ROOT_TAG, STATE_TAG


class Connection:
    """A tracker's client, for as many runs as one process sends.

    Args:
        location: the tracker.
        folder: where processes of this machine take turns if there is no folder for artifacts.
    """

    def __init__(self, location: Location, folder: Path) -> None:
        self._location = location
        self._folder = folder
        self._experiments: dict[str, str] = {}
        # The first to open a database makes its tables.
        with self._alone():
            self.client = MlflowClient(tracking_uri=location.uri)
            self.client.search_experiments(max_results=1)

    def experiment(self, name: str) -> str:
        """Return an experiment's id; make it where it is missing."""
        if name not in self._experiments:
            self._experiments[name] = self._find_experiment(name)
        return self._experiments[name]

    @property
    def is_answered(self) -> bool:
        """Whether the tracker answers; one that does may still refuse what it is sent."""
        return silence(self._location) is None

    def _find_experiment(self, name: str) -> str:
        with self._alone():
            found = self.client.get_experiment_by_name(name)
            if found is not None:
                return found.experiment_id
            artifacts = self._location.artifacts
            try:
                return self.client.create_experiment(name, artifacts and artifacts.as_uri())
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        return self._find_experiment(name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep processes of this machine from creating schema or experiment at the same time."""
        root = self._location.artifacts
        lock = (root.parent if root else self._folder) / ".tracking.lock"
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def open_runs(location: Location, root_id: str) -> list[tuple[str, str]]:
    """Return (run id, folder) of every run that began in a root and the tracker calls RUNNING."""
    client = MlflowClient(tracking_uri=location.uri)
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
