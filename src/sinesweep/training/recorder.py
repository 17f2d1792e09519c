"""Hands Lightning's metrics to the tracker."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers.logger import Logger

from sinesweep.tracking.tracker import Tracker


class RecordLogger(Logger):
    """A Lightning logger whose steps are epochs, or batches for what is logged every few batches.

    Hyperparameters come from the configuration, and the run's end is told by whoever started it:
    Lightning knows neither.

    Args:
        tracker: takes the metrics.
    """

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker
        self.between_batches = False

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._tracker.directory.name

    @property
    def version(self) -> str | None:
        """The tracker's id of the run."""
        return self._tracker.run_id

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self._tracker.directory)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Tell metrics under the epoch they belong to."""
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        epoch = metrics.get("epoch", step or 0)
        self._tracker.log_metrics(values, int(step or 0) if self.between_batches else int(epoch))

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Leave hyperparameters to the configuration, which has all of them already."""


class StepScale(Callback):
    """Tells the logger whether what comes next belongs to a batch or to an epoch."""

    def __init__(self, logger: RecordLogger) -> None:
        self._logger = logger

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Metrics of batches follow, until a whole set or the epoch has been gone through."""
        self._logger.between_batches = True

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Metrics of a whole set follow."""
        self._logger.between_batches = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Metrics of the epoch follow."""
        self._logger.between_batches = False
