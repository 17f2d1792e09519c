"""A winner on its way into the registry: its model is logged, reloaded, and judged once more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from sinesweep import runs
from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.modules import add_folders_of_run
from sinesweep.task.reference import reference_sets
from sinesweep.tracking import record
from sinesweep.tracking.delivery import LOCK_FILE, Delivery
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import Record
from sinesweep.tracking.registry import Registry
from sinesweep.tracking.tracker import Tracker
from sinesweep.training.evaluation import absolute_errors
from sinesweep.winner.finding import Found

METRIC = "reference/test_mae"
TOLERANCE = 1e-6  # relative: what single precision leaves, if the sums are split otherwise


@dataclass(frozen=True)
class Proof:
    """What a reloaded model was found to be worth.

    Attributes:
        model_id: MLflow's, of the logged model.
        recorded: its ``reference/test_mae`` as the run told it.
        recomputed: the same, of the reloaded model.
    """

    model_id: str
    recorded: float
    recomputed: float

    @property
    def difference(self) -> float:
        """Relative to what was recorded."""
        return abs(self.recomputed - self.recorded) / self.recorded

    @property
    def holds(self) -> bool:
        """Whether it is the model that was recorded."""
        return self.difference <= TOLERANCE


def prove(found: Found, registry: Registry, location: Location) -> Proof:
    """Load a run's logged model from the tracker, and compute what the run told of it.

    A run that logged no model does so now, from its best checkpoint.

    Raises:
        InputError: the run was not tracked, has no reference MAE, or keeps no checkpoint.
    """
    recorded = recorded_mae(found)
    run_id = tracked_id(found)
    model_id = registry.logged_model(run_id)
    if model_id is None:
        _log_model(found, location)
        model_id = registry.logged_model(run_id)
        assert model_id is not None, "it was delivered"
    return Proof(model_id, recorded, _reference_mae(registry.load(model_id)))


def recorded_mae(found: Found) -> float:
    """Return what a run told of its model on the reference test set.

    Raises:
        InputError: it told nothing.
    """
    history = record.metric_history(found.directory).get(METRIC)
    if not history:
        raise InputError(
            f"{found.words}: must have a {METRIC} to be promoted by, but has none: promote a "
            "finished run of the reference task"
        )
    return history[-1][1]


def tracked_id(found: Found) -> str:
    """Return MLflow's id of a run.

    Raises:
        InputError: it has none.
    """
    if found.run_id is None:
        again = (
            "train it again with tracking=mlflow"
            if found.sweep is None
            else f"sinesweep rerun {found.sweep.name} {found.trial} -- tracking=mlflow"
        )
        raise InputError(
            f"{found.words}: must be in the tracker, but is not: send it with sinesweep sync, or "
            f"where it was not tracked: {again}"
        )
    return found.run_id


def _log_model(found: Found, location: Location) -> None:
    """Log the best checkpoint's model, as the run would have with ``artifacts.model=true``."""
    from hydra.utils import instantiate

    from sinesweep.training.checkpoint import BEST, load_module
    from sinesweep.training.outputs import log_model

    best = found.directory / runs.CHECKPOINTS / BEST
    if not best.exists():
        raise InputError(
            f"{found.words}: must have logged a model or keep its best checkpoint, but {best} is "
            "gone: train it again with artifacts.model=true, and promote that with --run"
        )
    add_folders_of_run(found.directory)
    with _alone(found):
        data = instantiate(found.config["data"], _convert_="all")
        end = record.last_end(found.directory)
        log_model(best, load_module(best), data, Tracker(found.directory, None))
        if end is not None:  # the last word of a record says how its run ended, and when
            Record(found.directory).append(**end)
        Delivery(found.directory, location).pump()


@contextmanager
def _alone(found: Found) -> Iterator[None]:
    """Hold what the writer of the run, or of its sweep, holds while it is sending."""
    folder = found.sweep or found.directory
    lock = take_lock(folder / LOCK_FILE)
    if lock is None:
        raise InputError(
            f"{found.words}: must not be written to, but {folder.name} is still running: wait "
            "for it"
        )
    with lock:
        yield


def _reference_mae(model: Any) -> float:
    """Return the MAE of a loaded model on the reference test set."""
    inputs, outputs = (schema.inputs[0].shape[-1] for schema in _schemas(model))
    windows = reference_sets(inputs, outputs).test
    forecasts = np.asarray(model.predict(windows.inputs), dtype=np.float32)
    return float(absolute_errors(forecasts, windows).mean())


def _schemas(model: Any) -> tuple[Any, Any]:
    signature = model.metadata.signature
    return signature.inputs, signature.outputs
