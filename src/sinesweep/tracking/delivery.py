"""Send a run's record to MLflow, each event once, from wherever the last delivery stopped."""

from __future__ import annotations

import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.entities import LoggedModelOutput, Run
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

import sinesweep
from sinesweep.files import write_atomically
from sinesweep.redaction import redact
from sinesweep.tracking import entities, pages, record
from sinesweep.tracking.connection import Connection
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import ERROR_TAG, RUN_TAG, STATE_FILE, STATE_TAG, Event

LOCK_FILE = "delivery.lock"

_NOTHING_SENT = {
    "run_id": None,
    "experiment": None,  # its id
    "tracker": None,  # which one has the run, as Location.digest tells it
    "artifacts": None,  # where the tracker keeps the run's files
    "creating": False,
    "found": False,  # the run may hold what another process sent
    "shared": False,  # other processes, which keep records of their own, may have made the run
    "offset": 0,  # in the record: behind what was sent
    "values": 0,  # in the record: behind the last params, metrics and tags that were sent
    "ended": False,
    "trials": [],  # folders of a sweep's trials that may have something to be sent
    "model_id": None,
    "skipped": [],
}
_FILES = ("artifact", "model")
_STATUSES = ("resume", "end")
_TAGGING = (*_STATUSES, "tags")
_CAN_WAIT = (*_FILES, "view")
_STATE_TAGS = (STATE_TAG, ERROR_TAG)

_log = logging.getLogger(__name__)

_Told = tuple[Event, int]  # an event, and the offset behind it


class Delivery:
    """One run's way to MLflow.

    How far the record was sent is kept in the run's folder, so any process can go on where
    another one was killed. An event that was sent twice, because the process died before noting
    it, leaves the tracker as it was: every event carries its own time.

    A call to MLflow costs more than what is sent with it: all params, metrics and tags that have
    come together since the last time go in one, ahead of files and of the run's end.

    Args:
        directory: the run's folder.
        location: the tracker.
        connection: to it, where other runs are sent by the same process.
        tags: of the run, besides those that it was begun with.
        shared: whether another participant of the sweep may have made the run.
    """

    def __init__(
        self,
        directory: Path,
        location: Location,
        connection: Connection | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._directory = directory
        self._connection = connection or Connection(location)
        self._tracker = location.digest
        self._is_checked = False
        self._client = self._connection.client
        self._tags = tags or {}
        self._state = _load(directory)
        self._state["shared"] |= shared

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run, once it has one."""
        return self._state["run_id"]

    @property
    def skipped(self) -> list[Event]:
        """The files that were left behind, to be tried again by the next delivery."""
        return self._state["skipped"]

    @property
    def has_ended(self) -> bool:
        """Whether the tracker was told that the run has ended."""
        return self._state["ended"]

    @property
    def is_shared(self) -> bool:
        """Whether other participants send to the run, too."""
        return self._state["shared"]

    @property
    def trials(self) -> list[str]:
        """The folders that the record of a sweep names, but for those that were forgotten."""
        return self._state["trials"]

    def forget(self, trials: Collection[str]) -> None:
        """Leave out trials of which nothing more is to come."""
        if trials:
            self._note(trials=[path for path in self.trials if path not in trials])

    def pump(self, skip_files: bool = False) -> None:
        """Send every event that was not sent yet.

        If the tracker does not have the run any more, all events are sent to a new run. If the user
        has deleted the run, it stays deleted, and the events count as sent.

        Args:
            skip_files: leave a file that cannot be sent for the next delivery, so that it does
                not keep the run's end from being told.

        Raises:
            MlflowException, OSError: the tracker did not take one; what came before it is noted.
        """
        if not self.check_run():
            return
        if not skip_files:
            self._send_skipped()
        told = list(record.read(self._directory, self._state["offset"]))
        if not told:
            return
        try:
            self._send_values([pair for pair in told if pair[1] > self._state["values"]])
            for event, offset in _one_by_one(told):
                self._send(event, skip_files)
                self._state["offset"] = offset
                if event["kind"] == "model":
                    self._note()  # sent again it would be another one
            self._state["offset"] = told[-1][1]
        except Exception:
            self._is_checked = False
            raise
        finally:
            self._note()

    def check_run(self) -> bool:
        """Look, once, whether the tracker has the run; return whether events can be sent to it."""
        if self._is_checked:
            return True
        size = record.size(self._directory)
        if self._state["offset"] > size:  # the record was removed, and begun again
            self._state |= {"offset": 0, "values": 0}
        stage = self._connection.stage(self.run_id) if self.run_id else "active"
        if stage is None:
            # Another process, or this one before, may have created a run in its place.
            self._state = {**_NOTHING_SENT, "creating": True, "shared": self._state["shared"]}
        elif stage == "deleted":
            self._note(offset=size, values=size, ended=True, skipped=[], trials=[])
            return False
        self._is_checked = True
        return True

    def _send_values(self, told: Sequence[_Told]) -> None:
        if not told:
            return
        of = _by_kind(told)
        for event in of["begin"]:
            self._begin(event)
        params, tags = self._begun(of["begin"])
        later = (e["tags"] for e, _ in told if e["kind"] in _TAGGING and not e.get("if_running"))
        self._client.log_batch(
            self._id,
            params=entities.params(params),
            metrics=entities.metrics(of["metrics"]),
            tags=entities.tags({**tags, **_merged(later)}),
        )
        if of["resume"] or any(event.get("find") for event in of["begin"]):
            self._client.update_run(self._id, status="RUNNING")
        named = dict.fromkeys([*self.trials, *(event["path"] for event in of["trial"])])
        self._state |= {"values": told[-1][1], "trials": list(named)}

    def _begun(self, begins: Sequence[Event]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the params and tags to be sent; what a found run has stays as it was told."""
        params = _merged(event["params"] for event in begins)
        tags = _merged(event["tags"] for event in begins)
        if not (begins and self._state["found"]):
            return params, tags
        known = self._client.get_run(self._id).data
        said_anew = _STATE_TAGS if any(event.get("find") for event in begins) else ()
        return (
            {key: value for key, value in params.items() if entities.name(key) not in known.params},
            {
                key: value
                for key, value in tags.items()
                if entities.name(key) not in known.tags or key in said_anew
            },
        )

    def _begin(self, event: Event) -> None:
        if not self.run_id:
            self._state["shared"] |= event.get("find", False)
            found = self._find_run(event)
            run = found or self._create_run(event)
            self._note(
                found=found is not None,
                run_id=run.info.run_id,
                experiment=run.info.experiment_id,
                tracker=self._tracker,
                artifacts=run.info.artifact_uri,
                creating=False,
            )
        datasets = [entities.dataset_input(entry) for entry in event["datasets"]]
        if datasets:
            self._client.log_inputs(self._id, datasets)

    def _find_run(self, event: Event) -> Run | None:
        """Find the run that another participant made, or a process that could not note its id."""
        if not (self._state["creating"] or self.is_shared):
            return None
        runs = self._client.search_runs(
            [self._connection.experiment(event["experiment"])],
            filter_string=f"tags.`{RUN_TAG}` = '{event['tags'][RUN_TAG]}'",
        )
        return runs[0] if runs else None

    def _create_run(self, event: Event) -> Run:
        experiment = self._connection.experiment(event["experiment"])
        self._note(creating=True)
        tags = entities.tag_texts({**event["tags"], **self._tags})
        return self._client.create_run(
            experiment, start_time=event["time"], tags=tags, run_name=event["name"]
        )

    def _send_skipped(self) -> None:
        while self.skipped:
            self._send(self.skipped[0], skip_files=False)
            self._note(skipped=self.skipped[1:])

    def _send(self, event: Event, skip_files: bool) -> None:
        try:
            getattr(self, f"_send_{event['kind']}")(event)
        except Exception as error:
            can_wait = skip_files and event["kind"] in _CAN_WAIT
            if not (can_wait and self._connection.is_answered):  # each other file would hang, too
                raise
            _log.warning("left for the next delivery: %s (%s)", event, redact(str(error)))
            self._note(skipped=[*self.skipped, event])

    def _send_resume(self, _: Event) -> None:
        self._state["ended"] = False

    def _send_end(self, event: Event) -> None:
        if event["status"] is not None and self._is_to_end(event):
            self._client.set_terminated(self._id, event["status"], event["time"])
        self._state["ended"] = True

    def _is_to_end(self, event: Event) -> bool:
        if not event.get("if_running"):
            return True
        is_running = self._client.get_run(self._id).info.status == "RUNNING"
        if is_running:  # tags that belong to this end alone
            self._client.log_batch(self._id, tags=entities.tags(event["tags"]))
        return is_running

    def _send_view(self, event: Event) -> None:
        """Save the views of a sweep in its experiment, which the user may have said more of."""
        known = self._state["experiment"]  # unless an earlier version created the run
        known = known or self._client.get_run(self._id).info.experiment_id
        self._state["experiment"] = known
        experiment = self._client.get_experiment(known)
        tags = {pages.KIND_TAG: pages.KIND, **experiment.tags, **pages.view_tags(event, self._id)}
        for key, text in tags.items():
            if experiment.tags.get(key) != text:
                self._client.set_experiment_tag(experiment.experiment_id, key, text)

    def _send_artifact(self, event: Event) -> None:
        path, place = str(self._directory / event["path"]), self._state["artifacts"]
        if place and place.startswith("file:"):
            # The client would ask for the whole run to find this out.
            get_artifact_repository(place).log_artifact(path, event["folder"])
        else:
            self._client.log_artifact(self._id, path, event["folder"])

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
                signature=entities.signature(event),
                input_example=np.asarray(event["example"], dtype=np.float32),
            )
            for cache in path.rglob("__pycache__"):
                shutil.rmtree(cache)
            self._client.log_model_artifacts(model_id, str(path))
        self._client.finalize_logged_model(model_id, "READY")
        self._state["model_id"] = None

    def _create_model(self) -> str:
        run = self._client.get_run(self._id)
        model = self._client.create_logged_model(
            run.info.experiment_id, name="model", source_run_id=self._id, params=run.data.params
        )
        self._client.log_outputs(self._id, [LoggedModelOutput(model.model_id, step=0)])
        return model.model_id

    @property
    def _id(self) -> str:
        assert self.run_id is not None, "every record starts with a begin event"
        return self.run_id

    def _note(self, **changes: Any) -> None:
        self._state.update(changes)
        write_atomically(self._directory / STATE_FILE, json.dumps(self._state).encode())


def is_delivered(directory: Path) -> bool:
    """Whether everything in the run's record, and in those of a sweep's trials, has been sent."""
    return not unsent(directory)


def unsent(directory: Path) -> int:
    """Return how many events of the run's record have not been sent."""
    state = _load(directory)
    trials = sum(unsent(directory / path) for path in state["trials"])
    return trials + len(state["skipped"]) + sum(1 for _ in record.read(directory, state["offset"]))


def _by_kind(told: Sequence[_Told]) -> Mapping[str, list[Event]]:
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for event, _ in told:
        found[event["kind"]].append(event)
    return found


def _merged(mappings: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {key: value for mapping in mappings for key, value in mapping.items()}


def _one_by_one(told: Sequence[_Told]) -> list[_Told]:
    """Return the events that are more than values: files, views, the last word on the status."""
    statuses = [event for event, _ in told if event["kind"] in _STATUSES]
    return [
        (event, offset)
        for event, offset in told
        if event["kind"] in _CAN_WAIT or (statuses and event is statuses[-1])
    ]


def _load(directory: Path) -> dict[str, Any]:
    return {**_NOTHING_SENT, **record.delivery_state(directory)}
