"""A run's account of itself, whoever trains it: how it is opened, and what it comes to."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.nn.parameter import is_lazy

from sinesweep import modules, runs
from sinesweep.config import Config
from sinesweep.sweep.trial import ManagedTrial, Trial
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.tracking import provenance, record
from sinesweep.tracking.tracker import Dataset, Tracker
from sinesweep.training import outputs
from sinesweep.training.evaluation import final_figures
from sinesweep.training.objective import missing
from sinesweep.training.result import Result, values_told


def open_run(
    config: Config,
    name: str,
    tracker: Tracker,
    data: pl.LightningDataModule,
    module: pl.LightningModule,
    device: str,
) -> None:
    """Begin a run's record, or go on with it.

    Args:
        config: the checked configuration.
        name: how the tracker calls the run.
        tracker: of the run's folder.
        data: what it is trained on.
        module: what is trained.
        device: what on, by name.
    """
    directory = tracker.directory
    if tracker.has_begun:
        tracker.resume({"sinesweep.state": "RUNNING", "sinesweep.error": ""})
        return
    runs.save_config(directory, config.values)
    tags: dict[str, Any] = {
        **provenance.tags(),
        **modules.tags(),
        "sinesweep.run": directory.name.rpartition("-")[2],
        record.DIRECTORY_TAG: str(directory.absolute()),
        record.ROOT_TAG: runs.make_root_id(Path(config.tracking.root)),
        "sinesweep.state": "RUNNING",
        "sinesweep.seed": config.settings.seed,
        "sinesweep.device": device,
    }
    datasets = _datasets(data)
    for dataset in datasets:
        tags[f"sinesweep.fingerprint.{dataset.context}"] = dataset.digest
    params = dict(config.params)
    if not any(is_lazy(parameter) for parameter in module.parameters()):
        params["trainable_parameters"] = trainable_parameters(module)
    tracker.begin(
        name=name,
        experiment=config.tracking.experiment,
        params=params,
        tags=tags,
        datasets=datasets,
    )
    tracker.log_artifact(directory / runs.CONFIG_FILE)


def _datasets(data: pl.LightningDataModule) -> list[Dataset]:
    if not isinstance(data, SeriesDataModule):
        return []
    contexts = {"train": "training", "val": "validation", "test": "testing"}
    sets = [(contexts[label], type(data).__name__, windows) for label, windows in data.splits]
    sets += [
        (f"reference_{label}", data.reference.name, windows)
        for label, windows in (("val", data.reference.val), ("test", data.reference.test))
    ]
    return [
        Dataset(
            name=name,
            digest=windows.fingerprint()[:36],  # as long as MLflow allows
            context=context,
            source=f"{type(data).__module__}.{type(data).__qualname__}",
            profile={
                "series": len(windows),
                "input_steps": windows.inputs.shape[1],
                "output_steps": windows.targets.shape[1],
            },
        )
        for context, name, windows in sets
    ]


def conclude(
    config: Config,
    tracker: Tracker,
    trained: outputs.Trained,
    metrics: Mapping[str, float],
    *,
    trial: Trial,
    epochs: int,
    start: float,
) -> Result:
    """Tell a trained run's final figures, write its artifacts and close it as FINISHED.

    Args:
        config: the checked configuration.
        tracker: of the run's folder.
        trained: module (with the weights of its best epoch), data, best epoch.
        metrics: what was told last of each.
        trial: the handle of the run, in a sweep or outside of one.
        epochs: how many it was trained for.
        start: when that began, by the monotonic clock.

    Raises:
        InputError: the objective, or what a sweep is told instead, is not among the metrics.
        ArithmeticError: it is not finite.
    """
    if isinstance(trained.data, SeriesDataModule):
        figures = final_figures(trained.module.eval(), trained.data, metrics.get("test/mae"))
        tracker.log_metrics(figures, step=epochs)
    history = record.metric_history(tracker.directory)
    told = {**metrics, **_at_best_epoch(history, trained.best_epoch)}
    objective = _objective(config, told)
    parameters = trainable_parameters(trained.module)
    outputs.write(history, tracker)
    artifacts = config.artifacts
    if isinstance(trained.data, SeriesDataModule) and (artifacts.figures or artifacts.model):
        against = _reason_against(config, trial, told, parameters)
        if against is None:
            outputs.add_figures_and_model(trained, trained.data, history, artifacts, tracker)
        else:
            tracker.log_tags({"sinesweep.artifacts": against})
    tracker.end(record.FINISHED, {"sinesweep.state": record.COMPLETE})
    return Result(
        objective=objective,
        metrics=told,
        best_epoch=trained.best_epoch,
        seconds=time.monotonic() - start,
        run_id=tracker.run_id,
        directory=tracker.directory,
        parameters=parameters,
        tracked=tracker.close(),
    )


def _reason_against(
    config: Config, trial: Trial, metrics: Mapping[str, float], parameters: int
) -> str | None:
    """Return why a run gets neither figures nor a model, or None where it gets them."""
    wanted = config.artifacts.trials
    if not trial.is_managed:
        return None
    if isinstance(trial, ManagedTrial) and not trial.listens:
        return "a further seed of its trial"
    if isinstance(wanted, str):
        return "artifacts.trials=none" if wanted == "none" else None
    value, *_ = values_told(config, metrics, parameters)
    return None if trial.is_among_best(value, wanted) else f"not among the best {wanted}"


def _at_best_epoch(
    history: dict[str, list[tuple[int, float]]], best_epoch: int | None
) -> dict[str, float]:
    return {
        name: next((value for step, value in points if step == best_epoch), points[-1][1])
        for name, points in history.items()
    }


def _objective(config: Config, metrics: dict[str, float]) -> float:
    name = config.settings.objective
    if name not in metrics:
        raise missing(name, metrics)
    if not math.isfinite(metrics[name]):
        raise ArithmeticError(f"the objective {name} is {metrics[name]}")
    return metrics[name]


def trainable_parameters(module: pl.LightningModule) -> int:
    """Return how many numbers training changes.

    A parameter of a lazy layer has no numbers before the first batch, and does not count.
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad and not is_lazy(p))
