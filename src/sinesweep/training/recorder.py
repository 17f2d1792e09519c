"""Hands Lightning's metrics to the tracker."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers.logger import Logger

from sinesweep.tracking.tracker import Tracker
from sinesweep.training.experiment import RunExperiment


class RecordLogger(Logger):
    """A Lightning logger whose steps are epochs, or batches for what is logged every few batches.

    Hyperparameters come from the configuration, and the run's end is told by whoever started it:
    Lightning knows neither.

    An epoch has one value of each metric: the last one that is logged in the epoch. So the metrics
    of an epoch are written when the epoch has ended, and those of an epoch that is broken off are
    not written at all: a continued run trains that epoch again.

    Args:
        tracker: takes the metrics.
        judged: the metrics that the run is judged by. They have a value for each epoch, and none
            for each batch.
    """

    def __init__(self, tracker: Tracker, judged: Collection[str] = ()) -> None:
        super().__init__()
        self._tracker = tracker
        self.judged = tuple(dict.fromkeys(judged))
        self.between_batches = False
        self.is_training = False
        self.batch = 0  # of the whole training, the one that is trained
        self.epoch = 0
        self._epoch: dict[tuple[str, int], float] = {}  # by name and step

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

    @property
    @rank_zero_experiment
    def experiment(self) -> RunExperiment:
        """What a module logs to the run directly."""
        return RunExperiment(self, self._tracker)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Tell metrics under the epoch they belong to.

        Lightning gives the epoch with its metrics. What a module logs itself has the step that the
        module gives, or else the number of the batch, and of the epoch between batches.
        """
        if "epoch" not in metrics:
            now = self.batch if self.between_batches else self.epoch
            own = {name: float(value) for name, value in metrics.items()}
            self._tracker.log_metrics(own, now if step is None else int(step))
            return
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        epoch = int(metrics["epoch"])
        if self.between_batches:
            kept = {name: value for name, value in values.items() if name not in self.judged}
            self._tracker.log_metrics(kept, int(step or 0))
        elif self.is_training:
            self._epoch |= {(name, epoch): value for name, value in values.items()}
        else:
            self._tracker.log_metrics(values, epoch)

    @rank_zero_only
    def end_epoch(self, epoch: int, judged: Mapping[str, float]) -> None:
        """Write the metrics of an epoch that has ended.

        Args:
            epoch: counted from 0.
            judged: the values of the metrics that the run is judged by, as callbacks see them.
                They are written if the module keeps them from the logger.
        """
        self._tracker.record.refuse_fork()  # before it writes a checkpoint
        missing = {(name, epoch): value for name, value in judged.items()}
        by_step: dict[int, dict[str, float]] = {}
        for (name, step), value in (missing | self._epoch).items():
            by_step.setdefault(step, {})[name] = value
        self._epoch.clear()
        for step, values in by_step.items():
            self._tracker.log_metrics(values, step)

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Leave hyperparameters to the configuration, which has all of them already."""


class StepScale(Callback):
    """Tells the logger whether what comes next belongs to a batch or to an epoch."""

    def __init__(self, logger: RecordLogger) -> None:
        self._logger = logger
        self._seen: dict[str, Any] = {}  # the judged metrics as Lightning held them last

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Metrics of epochs follow."""
        self._logger.is_training = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the metrics of the epoch that has just ended."""
        self._end_epoch(trainer)
        self._logger.epoch = trainer.current_epoch

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Metrics of batches follow, until a whole set or the epoch has been gone through."""
        self._logger.batch = trainer.global_step
        self._logger.between_batches = True

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Metrics of a whole set follow."""
        self._logger.between_batches = False

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Metrics of the epoch follow."""
        self._logger.between_batches = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the metrics of the last epoch."""
        self._end_epoch(trainer)
        self._logger.is_training = False

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        metrics = trainer.callback_metrics
        now = {name: metrics[name] for name in self._logger.judged if name in metrics}
        # Lightning holds the very tensor of an earlier epoch until the metric is logged again.
        new = {name: value for name, value in now.items() if value is not self._seen.get(name)}
        self._seen = now
        values = {name: float(value) for name, value in new.items()}
        self._logger.end_epoch(trainer.current_epoch - 1, values)
