from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from sinesweep.task import baselines
from sinesweep.training.evaluation import final_figures


class _LastValue(pl.LightningModule):
    """Forecasts as the baseline of that name does."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return series[:, -1:].repeat(1, 5)


@pytest.fixture(scope="module")
def data(make_data: Callable[..., Any]) -> Any:
    """Small sets of the task's data."""
    return make_data("data.num_series=60", "data.val_series=8", "data.test_series=8")


def test_a_model_is_judged_beside_the_baselines(data: Any) -> None:
    """A model that repeats the last value has the errors of that baseline, and no skill."""
    figures = final_figures(_LastValue(), data, None)

    for name in ("test", "reference"):
        baseline = "test_mae" if name == "test" else "reference_test_mae"
        expected = figures[f"baseline/{baselines.LAST_VALUE}/{baseline}"]
        # Both take the mean of the same float64 differences, in another order.
        mae = figures["test/mae" if name == "test" else "reference/test_mae"]
        np.testing.assert_allclose(mae, expected, rtol=1e-12)
        np.testing.assert_allclose(figures[f"{name}/skill"], 0, atol=1e-12)


def test_a_reported_test_error_is_not_measured_again(data: Any) -> None:
    """What the model's own test step reported is the figure, and the skill is of that."""
    figures = final_figures(_LastValue(), data, 0.125)

    assert figures["test/mae"] == 0.125
    bar = figures[f"baseline/{baselines.LAST_VALUE}/test_mae"]
    assert figures["test/skill"] == 1 - 0.125 / bar
