"""What the task reports beyond Lightning's own loops: reference sets, baselines, skill."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback

from sinesweep.task import baselines
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.task.series import Windows
from sinesweep.training.forecasting import forecast


class ReferenceEvaluation(Callback):
    """Logs ``reference/val_mae`` each epoch.

    Args:
        data: the run's data.
    """

    def __init__(self, data: SeriesDataModule) -> None:
        self._data = data

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the MAE that models are chosen by."""
        if trainer.sanity_checking:
            return
        errors = forecast_errors(pl_module, self._data.reference.val)
        pl_module.log("reference/val_mae", float(errors.mean()))


def final_figures(module: pl.LightningModule, data: SeriesDataModule) -> dict[str, float]:
    """Return the figures that a trained model is reported by.

    Returns:
        ``test/mae``, ``reference/test_mae``, the breakdown of both reference MAEs by decay and by
        period, the baselines on every set, and the skill over repeating the last value.
    """
    by_baseline = evaluate_baselines(data)
    errors = forecast_errors(module, data.reference.test)
    test_mae = float(forecast_errors(module, data.splits.test).mean())
    last_value = by_baseline[baselines.LAST_VALUE]
    figures = {
        "test/mae": test_mae,
        "reference/test_mae": float(errors.mean()),
        **breakdown(errors, data.reference.test, "test"),
        **breakdown(forecast_errors(module, data.reference.val), data.reference.val, "val"),
        **{
            f"baseline/{name}/{label}": value
            for name, by_set in by_baseline.items()
            for label, value in by_set.items()
        },
    }
    for name, label in (("test", "test_mae"), ("reference", "reference_test_mae")):
        if last_value[label] > 0:  # series damped to a constant leave nothing to be skilled at
            mae = figures["test/mae" if name == "test" else "reference/test_mae"]
            figures[f"{name}/skill"] = baselines.skill(mae, last_value[label])
    return figures


def evaluate_baselines(data: SeriesDataModule) -> dict[str, dict[str, float]]:
    """Return ``{baseline: {val_mae, test_mae, reference_val_mae, reference_test_mae}}``."""
    sets = {
        "val_mae": data.splits.val,
        "test_mae": data.splits.test,
        "reference_val_mae": data.reference.val,
        "reference_test_mae": data.reference.test,
    }
    return baselines.evaluate(data.splits.train, sets)


def forecast_errors(module: pl.LightningModule, windows: Windows) -> NDArray[np.float64]:
    """Return each series' mean absolute error, (N,)."""
    difference = forecast(module, windows.inputs).astype(np.float64) - windows.targets
    return np.abs(difference).mean(axis=1)


def breakdown(errors: NDArray[np.float64], windows: Windows, label: str) -> dict[str, float]:
    """Return the reference MAE for each decay and for each period of the grid.

    Args:
        errors: (N,), the MAE of each series.
        windows: the N series.
        label: ``val`` or ``test``.
    """
    return {
        f"reference/{label}_mae_by_{name}/{value:g}": float(errors[column == value].mean())
        for name, column in _columns(windows).items()
        for value in np.unique(column)
    }


def _columns(windows: Windows) -> Mapping[str, NDArray[np.float64]]:
    return {"decay": windows.patterns.decay, "period": windows.patterns.period}
