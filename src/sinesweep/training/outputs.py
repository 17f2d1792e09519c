"""What a run leaves once its training has ended: metrics as CSV, figures, the logged model."""

from __future__ import annotations

import csv
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytorch_lightning as pl

from sinesweep import runs
from sinesweep.config import EPOCH_METRICS, Artifacts
from sinesweep.task import baselines
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.tracking.tracker import Tracker
from sinesweep.training.checkpoint import BEST
from sinesweep.training.evaluation import absolute_errors
from sinesweep.training.forecasting import forecast

# What a logged model needs to be loaded elsewhere; sinesweep's own code travels with it.
_REQUIREMENTS = (
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "pydantic",
    "rich",
)


@dataclass(frozen=True)
class Trained:
    """A run whose training has ended.

    Attributes:
        module: with the weights of the best epoch.
        data: what it was trained on.
        best_epoch: counted from 0.
    """

    module: pl.LightningModule
    data: pl.LightningDataModule
    best_epoch: int | None


History = Mapping[str, Sequence[tuple[int, float]]]


def write(history: History, tracker: Tracker) -> None:
    """Write what every run leaves: its metrics as CSV, and the best checkpoint to the tracker.

    Args:
        history: each metric's (step, value) pairs.
        tracker: of the run's folder.
    """
    tracker.log_artifact(_write_metrics(tracker.directory / "metrics.csv", history))
    best = _best_checkpoint(tracker)
    if best.exists():
        tracker.log_artifact(best, runs.CHECKPOINTS)


def add_figures_and_model(
    trained: Trained,
    data: SeriesDataModule,
    history: History,
    artifacts: Artifacts,
    tracker: Tracker,
) -> None:
    """Add what was asked for of that which can cost as much as the training.

    Args:
        trained: the run.
        data: what it was trained on; other data than the task's has neither figures nor a model.
        history: each metric's (step, value) pairs.
        artifacts: what was asked for.
        tracker: of the run's folder.
    """
    if artifacts.figures:
        for path in _draw(tracker.directory / "figures", trained, data, history):
            tracker.log_artifact(path, "figures")
    best = _best_checkpoint(tracker)
    if artifacts.model and best.exists():
        log_model(best, trained.module, data, tracker)


def _best_checkpoint(tracker: Tracker) -> Path:
    return tracker.directory / runs.CHECKPOINTS / BEST


def _write_metrics(path: Path, history: History) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["metric", "step", "value"])
        for name, points in history.items():
            writer.writerows([name, step, repr(value)] for step, value in points)
    return path


def _draw(folder: Path, trained: Trained, data: SeriesDataModule, history: History) -> list[Path]:
    from sinesweep.task import figures  # matplotlib takes a second to import

    folder.mkdir(exist_ok=True)
    windows = data.reference.test
    forecasts = forecast(trained.module.eval(), windows.inputs)
    errors = absolute_errors(forecasts, windows)
    figures.draw_forecasts(folder / "forecasts.png", windows, forecasts, errors)
    figures.draw_error_map(folder / "error_map.png", windows, errors, data.training_range)
    figures.draw_learning_curves(
        folder / "learning_curves.png",
        {name: history[name] for name in EPOCH_METRICS if name in history},
        {name: history[f"baseline/{name}/reference_val_mae"][-1][1] for name in baselines.NAMES},
        trained.best_epoch,
    )
    return sorted(folder.glob("*.png"))


def log_model(
    best: Path, module: pl.LightningModule, data: SeriesDataModule, tracker: Tracker
) -> None:
    """Have a checkpoint sent to the tracker as a model that MLflow can load and serve.

    Args:
        best: the checkpoint, in the tracker's folder.
        module: what it makes.
        data: what it was trained on.
        tracker: of the run.
    """
    tracker.log_model(
        best,
        example=data.splits.test.inputs[:2].tolist(),
        output_steps=data.output_steps,
        requirements=[f"{name}=={_public_version(name)}" for name in _REQUIREMENTS],
        code=_own_code(type(module)),
    )


@cache  # the files of an installed package take a millisecond to find
def _public_version(package: str) -> str:
    return metadata.version(package).partition("+")[0]


def _own_code(model: type) -> Sequence[str]:
    """Return the file, or the outermost package, of a model that is not sinesweep's."""
    package = model.__module__.partition(".")[0]
    if package == "sinesweep":
        return []
    file = Path(inspect.getfile(sys.modules[package]))
    return [str(file.parent if file.name == "__init__.py" else file)]
