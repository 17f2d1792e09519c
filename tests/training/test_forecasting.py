"""A trained module on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from sinesweep.errors import ForecastFault
from sinesweep.training.forecasting import forecast

INPUTS = np.ones((4, 50), dtype=np.float32)
RULE = (
    r" must map a tensor \(batch, input_steps\) to a tensor \(batch, output_steps\) in forward on "
    "the data of the reference task, but "
)


class Returning(pl.LightningModule):
    """A module whose forecast is given."""

    def __init__(self, outputs: Any) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, series: torch.Tensor) -> Any:
        return self._outputs


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (torch.zeros(4, 3), r"maps \(4, 50\) to \(4, 3\)"),
        (torch.zeros(4, 5, 1), r"maps \(4, 50\) to \(4, 5, 1\)"),
        (torch.zeros(5), r"maps \(4, 50\) to \(5,\)"),
        (torch.zeros(1, 5), r"maps \(4, 50\) to \(1, 5\)"),
        (torch.tensor(0.0), r"maps \(4, 50\) to \(\)"),
        ((torch.zeros(4, 5), None), "returns a tuple"),
        (None, "returns a NoneType"),
    ],
)
def test_another_mapping_is_refused(outputs: Any, problem: str) -> None:
    """The message states the required mapping and what the module does instead."""
    with pytest.raises(ForecastFault, match=f"^Returning{RULE}{problem}: correct forward"):
        forecast(Returning(outputs), INPUTS, 5)


def test_a_module_without_forward_is_refused() -> None:
    """The message states the required mapping."""
    with pytest.raises(ForecastFault, match=f"^LightningModule{RULE}has no forward method"):
        forecast(pl.LightningModule(), INPUTS, 5)


def test_a_module_without_parameters_forecasts() -> None:
    """Such a module runs on the CPU in single precision."""
    forecasts = forecast(Returning(torch.ones(4, 5)), INPUTS, 5)
    np.testing.assert_array_equal(forecasts, np.ones((4, 5)))
