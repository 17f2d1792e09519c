"""The reference task's LightningModule."""

from __future__ import annotations

from functools import partial

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sinesweep.task.module import Forecaster


def test_a_schedule_that_follows_a_metric_follows_the_validation_error() -> None:
    """``ReduceLROnPlateau`` is given a metric to watch, and may miss it in an epoch."""
    module = Forecaster(
        layers=1, width=2, dropout=0.0, initialization="pytorch", output_steps=5,
        optimizer=partial(torch.optim.Adam, lr=0.1), scheduler=ReduceLROnPlateau,
    )  # fmt: skip
    found = module.configure_optimizers()["lr_scheduler"]
    assert isinstance(found.pop("scheduler"), ReduceLROnPlateau)
    assert found == {"monitor": "val/mae", "strict": False}
