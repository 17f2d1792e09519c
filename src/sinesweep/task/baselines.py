"""What a forecast costs without a network: the numbers every MAE is read against.

Shapes: N series, I input steps, O output steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sinesweep.task.series import Windows

Forecast = Callable[[NDArray[np.float32]], NDArray[np.float64]]

CONSTANT = "constant"
LAST_VALUE = "last_value"
LINEAR = "linear"
NAMES = (CONSTANT, LAST_VALUE, LINEAR)


def fit(train: Windows) -> dict[str, Forecast]:
    """Fit the three baselines on the training windows.

    Returns:
        ``constant``, the mean of the training targets; ``last_value``, the last value read,
        repeated; ``linear``, the least-squares map from inputs to outputs with an intercept (of
        least norm where the training set does not determine it). A damped sine around a constant
        obeys a linear recurrence, so without noise the linear map is all but exact.
    """
    mean = float(train.targets.mean(dtype=np.float64))
    outputs = train.targets.shape[1]
    weights = np.linalg.lstsq(
        _with_one(train.inputs), train.targets.astype(np.float64), rcond=None
    )[0]
    return {
        CONSTANT: lambda inputs: np.full((len(inputs), outputs), mean),
        LAST_VALUE: lambda inputs: np.repeat(inputs[:, -1:].astype(np.float64), outputs, axis=1),
        LINEAR: lambda inputs: _with_one(inputs) @ weights,
    }


def evaluate(train: Windows, sets: Mapping[str, Windows]) -> dict[str, dict[str, float]]:
    """Return the MAE of each baseline on each set, as ``{baseline: {set: mae}}``."""
    return {
        name: {label: mae(forecast(windows.inputs), windows) for label, windows in sets.items()}
        for name, forecast in fit(train).items()
    }


def mae(forecast: NDArray[np.floating], windows: Windows) -> float:
    """Return the mean absolute error over all N x O values."""
    return float(np.abs(forecast - windows.targets).mean(dtype=np.float64))


def skill(model_mae: float, last_value_mae: float) -> float:
    """Return ``1 - mae / mae of repeating the last value``: 1 is perfect, 0 no better than that."""
    return 1.0 - model_mae / last_value_mae


def _with_one(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])
