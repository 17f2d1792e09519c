"""MLflow's model registry: which logged model is a version of what, and which is the champion."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
import mlflow.pyfunc
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from sinesweep.errors import InputError
from sinesweep.tracking.connection import open_client
from sinesweep.tracking.location import Location

_NOT_IN_NAMES = "/:"
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # as MLflow says of an alias


@dataclass(frozen=True)
class Registered:
    """A version of a registered model.

    Attributes:
        name: the registered model's.
        version: counted from 1.
    """

    name: str
    version: str

    def __str__(self) -> str:
        """Return what a reader calls it."""
        return f"{self.name} version {self.version}"


class Registry:
    """The registry of a tracker.

    Args:
        location: the tracker, which was checked.

    Raises:
        InputError: nothing was recorded there yet.
    """

    def __init__(self, location: Location) -> None:
        if not location.exists:
            raise InputError(
                f"--root: must hold a tracker, but there is none at {location.shown}: name the "
                "folder of the runs with --root, or the tracker with --uri"
            )
        self._location = location
        self._client = open_client(location)
        # A registry in a database asks the default tracker for the models that it registers.
        mlflow.set_tracking_uri(location.uri)
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        logging.getLogger("mlflow").setLevel(logging.WARNING)

    def experiment_of(self, run_id: str) -> str:
        """Return the name of a run's experiment.

        Raises:
            InputError: the tracker does not know the run.
        """
        run = self._run(run_id)
        return self._client.get_experiment(run.info.experiment_id).name

    def logged_model(self, run_id: str) -> str | None:
        """Return the id of the last model that a run logged, or None.

        Raises:
            InputError: the tracker does not know the run.
        """
        outputs = self._run(run_id).outputs
        ids = [output.model_id for output in outputs.model_outputs] if outputs else []
        models = [self._client.get_logged_model(model_id) for model_id in ids]
        ready = [model for model in models if model.status == "READY"]
        return max(ready, key=lambda model: model.creation_timestamp).model_id if ready else None

    def load(self, model_id: str) -> Any:
        """Load a logged model as :func:`mlflow.pyfunc.load_model` does."""
        return _load(f"models:/{model_id}")

    def load_registered(self, registered: Registered) -> Any:
        """Load a version of a registered model."""
        return _load(f"models:/{registered.name}/{registered.version}")

    def register(self, model_id: str, name: str, tags: Mapping[str, Any]) -> Registered:
        """Return the version of a registered model that a logged one is; make it where it is none.

        Args:
            model_id: of the logged model.
            name: of the registered one, which is made where it is missing.
            tags: of a new version.
        """
        source = f"models:/{model_id}"
        for version in self._client.search_model_versions(f"name = {_quoted(name)}"):
            if version.source == source:
                return _registered(version)
        texts = {key: str(value) for key, value in tags.items()}
        return _registered(mlflow.register_model(source, name, tags=texts))

    def with_alias(self, name: str, alias: str) -> Registered | None:
        """Return the version that has an alias, or None."""
        try:
            return _registered(self._client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in _MISSING:
                return None
            raise

    def set_alias(self, registered: Registered, alias: str) -> None:
        """Give a version an alias, which no other version of the model keeps."""
        self._client.set_registered_model_alias(registered.name, alias, registered.version)

    def all_with_alias(self, alias: str) -> list[Registered]:
        """Return the versions of all registered models that have an alias, by name."""
        names = sorted({model.name for model in self._models()})
        found = [self.with_alias(name, alias) for name in names]
        return [registered for registered in found if registered]

    def aliases(self, name: str | None) -> list[str]:
        """Return every alias of a registered model, or of all where it is None."""
        models = [model for model in self._models() if name in (None, model.name)]
        return sorted({alias for model in models for alias in model.aliases})

    def _run(self, run_id: str) -> Any:
        try:
            return self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise InputError(
                f"run {run_id}: must be in the tracker, but {self._location.shown} does not have "
                "it: name the tracker that it was sent to with --uri"
            ) from None

    def _models(self) -> list[RegisteredModel]:
        models: list[RegisteredModel] = []
        token = None
        while True:
            page = self._client.search_registered_models(page_token=token)
            models += page
            token = page.token
            if not token:
                return models


def allowed_name(text: str) -> str:
    """Return a text as the registry takes it for a name."""
    return "".join("-" if letter in _NOT_IN_NAMES else letter for letter in text)


def _load(uri: str) -> Any:
    return mlflow.pyfunc.load_model(uri)


def _registered(version: ModelVersion) -> Registered:
    return Registered(version.name, str(version.version))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "") + '"'
