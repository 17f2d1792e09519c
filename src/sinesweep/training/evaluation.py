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


def final_figures(
    module: pl.LightningModule, data: SeriesDataModule, test_mae: float | None
) -> dict[str, float]:
    """Return the figures that a trained model is reported by.

    Args:
        module: the trained model.
        data: what it was trained on.
        test_mae: the model's MAE on the test set, if it has reported that itself.

    Returns:
        ``test/mae``, ``reference/test_mae``, the breakdown of both reference MAEs by decay and by
        period, the baselines on every set, and the skill over repeating the last value.
    """
    by_baseline = data.baselines
    errors = forecast_errors(module, data.reference.test)
    if test_mae is None:
        test_mae = float(forecast_errors(module, data.splits.test).mean())
    reference_mae = float(errors.mean())
    figures = {
        "test/mae": test_mae,
        "reference/test_mae": reference_mae,
        **breakdown(errors, data.reference.test, "test"),
        **breakdown(forecast_errors(module, data.reference.val), data.reference.val, "val"),
        **{
            f"baseline/{name}/{label}": value
            for name, by_set in by_baseline.items()
            for label, value in by_set.items()
        },
    }
    last_value = by_baseline[baselines.LAST_VALUE]
    for name, mae, bar in (
        ("test/skill", test_mae, last_value["test_mae"]),
        ("reference/skill", reference_mae, last_value["reference_test_mae"]),
    ):
        if bar > 0:  # series damped to a constant leave nothing to be skilled at
            figures[name] = baselines.skill(mae, bar)
    return figures


def forecast_errors(module: pl.LightningModule, windows: Windows) -> NDArray[np.float64]:
    """Return each series' mean absolute error, (N,)."""
    return absolute_errors(forecast(module, windows.inputs, windows.targets.shape[1]), windows)


def absolute_errors(forecasts: NDArray[np.float32], windows: Windows) -> NDArray[np.float64]:
    """Return each series' mean absolute error, (N,), of forecasts (N, O)."""
    return np.abs(forecasts.astype(np.float64) - windows.targets).mean(axis=1)


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
