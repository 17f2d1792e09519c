"""The stacked LSTM under Lightning: loss, metrics, optimizer.

Shapes: B batch, I input steps, O output steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanAbsoluteError

from sinesweep.task.network import StackedLSTM

Batch = tuple[torch.Tensor, torch.Tensor]


class Forecaster(pl.LightningModule):
    """Trains a :class:`StackedLSTM` on the mean absolute error.

    Logs ``train/mae`` and ``val/mae`` each epoch and ``test/mae`` once.

    Args:
        layers: LSTM layers, 1 or more.
        width: hidden size of every layer.
        dropout: between layers, in [0, 1).
        initialization: ``pytorch`` or ``keras``.
        output_steps: steps to forecast.
        optimizer: makes the optimizer from the trainable parameters.
        scheduler: makes the learning rate schedule, stepped each epoch, from the optimizer.
    """

    def __init__(
        self,
        *,
        layers: int,
        width: int,
        dropout: float,
        initialization: str,
        output_steps: int,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler],
    ) -> None:
        super().__init__()
        self.network = StackedLSTM(
            layers=layers,
            width=width,
            output_steps=output_steps,
            dropout=dropout,
            initialization=initialization,
        )
        self.loss = nn.L1Loss()
        self.train_mae = MeanAbsoluteError()
        self.val_mae = MeanAbsoluteError()
        self.test_mae = MeanAbsoluteError()
        self._epoch: list[Batch] = []
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the hook it is in some fifty times a step; nn.Module would look each time
        # whether that is a parameter.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Forecast: (B, I) to (B, O)."""
        return self.network(series)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of one batch."""
        inputs, targets = batch
        forecast = self.network(inputs)
        self._epoch.append((forecast.detach(), targets))
        return self.loss(forecast, targets)

    def on_train_epoch_end(self) -> None:
        """Log the mean over the epoch's batches, as they were when they were trained on."""
        # Once an epoch: counting each batch in costs a small network some percent of its time.
        forecasts, targets = (torch.cat(part) for part in zip(*self._epoch, strict=True))
        self._epoch.clear()
        self.train_mae.update(forecasts, targets)
        self._log_and_reset("train/mae", self.train_mae)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch in."""
        self.val_mae.update(self.network(batch[0]), batch[1])

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation set."""
        self._log_and_reset("val/mae", self.val_mae)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count one batch in."""
        self.test_mae.update(self.network(batch[0]), batch[1])

    def on_test_epoch_end(self) -> None:
        """Log the mean over the test set."""
        self._log_and_reset("test/mae", self.test_mae)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Make the optimizer of the trainable parameters."""
        return self._make_optimizer(p for p in self.parameters() if p.requires_grad)

    def make_scheduler(
        self, optimizer: torch.optim.Optimizer
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Make the learning rate schedule of an optimizer."""
        return self._make_scheduler(optimizer)

    def configure_optimizers(self) -> Any:
        """Make optimizer and schedule from the configuration."""
        optimizer = self.make_optimizer()
        scheduler = self.make_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):  # an epoch without validation changes nothing
            scheduler = {"scheduler": scheduler, "monitor": "val/mae", "strict": False}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _log_and_reset(self, name: str, metric: MeanAbsoluteError) -> None:
        # The metric has already been gathered from all processes.
        self.log(name, metric.compute(), rank_zero_only=False, sync_dist=False)
        metric.reset()
