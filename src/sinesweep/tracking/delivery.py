"""Send a run's record to MLflow, each event once, from wherever the last delivery stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import mlflow.pyfunc
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

import sinesweep
from sinesweep.files import write_atomically
from sinesweep.redaction import redact
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import RUN_TAG, STATE_TAG, Event

STATE_FILE = "delivery.json"
LOCK_FILE = "delivery.lock"

# What one log_batch call may hold, by MLflow's own limits.
_METRICS_A_CALL = 1000
_PARAMS_A_CALL = 100
_LONGEST_PARAM = 6000
_LONGEST_TAG = 5000

_NOTHING_SENT = {"run_id": None, "offset": 0, "creating": False, "model_id": None, "skipped": []}
_FILES = ("artifact", "model")

_log = logging.getLogger(__name__)

T = TypeVar("T")


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


class Delivery:
    """One run's way to MLflow.

    How far the record was sent is kept in the run's folder, so any process can go on where
    another one was killed. An event that was sent twice, because the process died before noting
    it, leaves the tracker as it was: every event carries its own time.

    Args:
        directory: the run's folder.
        location: the tracker.
        connection: to it, where other runs are sent by the same process.
        tags: of the run, besides those that it was begun with.
    """

    def __init__(
        self,
        directory: Path,
        location: Location,
        connection: Connection | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._connection = connection or Connection(location, directory)
        self._client = self._connection.client
        self._tags = tags or {}
        self._state = {**_NOTHING_SENT, **_load(directory)}

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run, once it has one."""
        return self._state["run_id"]

    def pump(self, skip_files: bool = False) -> str | None:
        """Send every event that was not sent yet.

        Args:
            skip_files: leave a file that cannot be sent for the next delivery, so that it does
                not keep the run's end from being told.

        Returns:
            The kind of the last event sent, or None where there was nothing to send.

        Raises:
            MlflowException, OSError: the tracker did not take one; what came before it is noted.
        """
        if not skip_files:
            self._send_skipped()
        events = list(record.read(self._directory, self._state["offset"]))
        for kind, group in groupby(events, key=lambda pair: pair[0]["kind"]):
            pairs = list(group)
            if kind == "metrics":
                self._send_metrics([event for event, _ in pairs])
                self._note(offset=pairs[-1][1])
            else:
                for event, offset in pairs:
                    self._send(event, skip_files)
                    self._note(offset=offset)
        return events[-1][0]["kind"] if events else None

    @property
    def skipped(self) -> list[Event]:
        """The files that were left behind, to be tried again by the next delivery."""
        return self._state["skipped"]

    def _send_skipped(self) -> None:
        while self.skipped:
            self._send(self.skipped[0], skip_files=False)
            self._note(skipped=self.skipped[1:])

    def _send(self, event: Event, skip_files: bool) -> None:
        try:
            getattr(self, f"_send_{event['kind']}")(event)
        except Exception as error:
            if not (skip_files and event["kind"] in _FILES):
                raise
            _log.warning("left for the next delivery: %s (%s)", event, redact(str(error)))
            self._note(skipped=[*self.skipped, event])

    def _send_begin(self, event: Event) -> None:
        run_id = self._find_run(event) or self._create_run(event)
        self._note(run_id=run_id, creating=False)
        params = [Param(key, _param(_text(value))) for key, value in event["params"].items()]
        for chunk in _chunks(params, _PARAMS_A_CALL):
            self._client.log_batch(run_id, params=chunk)
        datasets = [_dataset_input(entry) for entry in event["datasets"]]
        if datasets:
            self._client.log_inputs(run_id, datasets)

    def _find_run(self, event: Event) -> str | None:
        """Find the run that a process created and was killed before it could note its id."""
        if self.run_id or not self._state["creating"]:
            return self.run_id
        runs = self._client.search_runs(
            [self._connection.experiment(event["experiment"])],
            filter_string=f"tags.`{RUN_TAG}` = '{event['tags'][RUN_TAG]}'",
        )
        return runs[0].info.run_id if runs else None

    def _create_run(self, event: Event) -> str:
        experiment = self._connection.experiment(event["experiment"])
        self._note(creating=True)
        given = {**event["tags"], **self._tags}
        tags = {key: _text(value)[:_LONGEST_TAG] for key, value in given.items()}
        run = self._client.create_run(
            experiment, start_time=event["time"], tags=tags, run_name=event["name"]
        )
        return run.info.run_id

    def _send_trial(self, event: Event) -> None:
        """Leave a trial, of which its sweep's record tells, to the sweep's delivery."""

    def _send_resume(self, event: Event) -> None:
        self._client.update_run(self._id, status="RUNNING")
        self._send_tags(event)

    def _send_tags(self, event: Event) -> None:
        tags = [RunTag(key, _text(value)[:_LONGEST_TAG]) for key, value in event["tags"].items()]
        self._client.log_batch(self._id, tags=tags)

    def _send_metrics(self, events: Sequence[Event]) -> None:
        metrics = [
            Metric(name, value, event["time"], event["step"])
            for event in events
            for name, value in event["values"].items()
        ]
        for chunk in _chunks(metrics, _METRICS_A_CALL):
            self._client.log_batch(self._id, metrics=chunk)

    def _send_artifact(self, event: Event) -> None:
        path = self._directory / event["path"]
        self._client.log_artifact(self._id, str(path), event["folder"])

    def _send_model(self, event: Event) -> None:
        """Log a checkpoint as a LoggedModel.

        As mlflow.pyfunc.log_model does, but without loading the model here to try the example:
        that imports torch, which takes longer than many a training. The tests load it.
        """
        model_id = self._state["model_id"] or self._create_model()
        self._note(model_id=model_id)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            mlflow.pyfunc.save_model(
                path,
                mlflow_model=Model(artifact_path="model", run_id=self._id, model_id=model_id),
                python_model=str(Path(__file__).with_name("served.py")),
                artifacts={"checkpoint": str(self._directory / event["checkpoint"])},
                model_config={"model": {}},  # for secrets, which whoever loads it has to give
                code_paths=[str(Path(sinesweep.__file__).parent), *event["code"]],
                pip_requirements=event["requirements"],
                signature=_signature(event),
                input_example=np.asarray(event["example"], dtype=np.float32),
            )
            for cache in path.rglob("__pycache__"):
                shutil.rmtree(cache)
            self._client.log_model_artifacts(model_id, str(path))
        self._client.finalize_logged_model(model_id, "READY")
        self._note(model_id=None)

    def _create_model(self) -> str:
        run = self._client.get_run(self._id)
        model = self._client.create_logged_model(
            run.info.experiment_id, name="model", source_run_id=self._id, params=run.data.params
        )
        self._client.log_outputs(self._id, [LoggedModelOutput(model.model_id, step=0)])
        return model.model_id

    def _send_end(self, event: Event) -> None:
        self._send_tags(event)
        self._client.set_terminated(self._id, event["status"], event["time"])

    @property
    def _id(self) -> str:
        assert self.run_id is not None, "every record starts with a begin event"
        return self.run_id

    def _note(self, **changes: Any) -> None:
        self._state.update(changes)
        write_atomically(self._directory / STATE_FILE, json.dumps(self._state).encode())


def is_delivered(directory: Path) -> bool:
    """Whether everything in the run's record has been sent."""
    return not unsent(directory)


def unsent(directory: Path) -> int:
    """Return how many events of the run's record have not been sent."""
    state = {**_NOTHING_SENT, **_load(directory)}
    return len(state["skipped"]) + sum(1 for _ in record.read(directory, state["offset"]))


def open_runs(location: Location, root_id: str) -> list[tuple[str, str]]:
    """Return (run id, folder) of every run that began in a root and the tracker calls RUNNING."""
    client = MlflowClient(tracking_uri=location.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(
        experiments,
        filter_string=f"attributes.status = 'RUNNING' AND tags.`sinesweep.root` = '{root_id}'",
    )
    return [(run.info.run_id, run.data.tags["sinesweep.directory"]) for run in found]


def set_killed(location: Location, run_id: str, cause: str) -> None:
    """Close a run that nothing is left of."""
    client = MlflowClient(tracking_uri=location.uri)
    client.set_tag(run_id, STATE_TAG, record.INTERRUPTED)
    client.set_tag(run_id, "sinesweep.error", cause)
    client.set_terminated(run_id, record.KILLED)


def _load(directory: Path) -> dict[str, Any]:
    path = directory / STATE_FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _param(text: str) -> str:
    """Return the text, or where MLflow would not take it what stands for it: never a part."""
    if len(text) <= _LONGEST_PARAM:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{len(text):,} characters, in config.yaml among the artifacts (sha256 {digest})"


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _dataset_input(entry: Mapping[str, Any]) -> DatasetInput:
    dataset = Dataset(
        name=entry["name"],
        digest=entry["digest"],
        source_type="code",
        source=json.dumps({"made_by": entry["source"]}),
        profile=json.dumps(entry["profile"]),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])


def _signature(event: Event) -> ModelSignature:
    inputs = TensorSpec(np.dtype(np.float32), (-1, event["input_steps"]))
    outputs = TensorSpec(np.dtype(np.float32), (-1, event["output_steps"]))
    return ModelSignature(Schema([inputs]), Schema([outputs]))
