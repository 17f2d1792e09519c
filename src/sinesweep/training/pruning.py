"""Reports a metric of each epoch to the sweep, and stops a trial that is given up."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from sinesweep.errors import InputError
from sinesweep.sweep.trial import TrialPruned, current_trial


class PruningCallback(Callback):
    """Reports a metric after each epoch and ends the training when the sweep's pruner says so.

    Outside of a sweep it does nothing. Lightning ends the training as it does any other, loggers
    included, and the trial is PRUNED whatever the function returns. To skip what follows the
    training, such as a test, call :meth:`raise_if_pruned`::

        pruning = PruningCallback("val/mae")
        Trainer(callbacks=[pruning]).fit(module, data)
        pruning.raise_if_pruned()

    Of several validations in an epoch the last one is reported. An epoch in which the metric is not
    logged reports nothing.

    Args:
        monitor: a metric that is logged during training or validation.
    """

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor
        self._epoch: int | None = None  # where it was given up
        self._managed_in = os.getpid() if current_trial().is_managed else None
        self._reported: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse processes that were forked or spawned by a trial: the sweep does not hear them.

        Raises:
            InputError: the trainer's strategy has started them.
        """
        if self._managed_in not in (None, os.getpid()):
            raise InputError(
                "Trainer(strategy=...): must train a trial of a sweep in the trial's own process, "
                f"but {type(trainer.strategy).__name__} has forked or spawned others, which cannot "
                "report: use strategy='auto', or strategy='ddp', which starts processes"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report; ask."""
        if trainer.strategy.broadcast(self._is_given_up(trainer)):
            self._epoch = trainer.current_epoch
            trainer.should_stop = True

    def raise_if_pruned(self) -> None:
        """Give the trial up if the training was stopped here.

        Raises:
            TrialPruned: it was.
        """
        if self._epoch is not None:
            raise TrialPruned(f"pruned after epoch {self._epoch}")

    def _is_given_up(self, trainer: pl.Trainer) -> bool:
        """Ask in the first process; a metric may have to be gathered from all when it is read."""
        trial = current_trial()
        if not trial.is_managed and trainer.world_size == 1:
            return False
        value = trainer.callback_metrics.get(self._monitor)
        # Lightning holds the very tensor of an earlier epoch until the metric is logged again.
        given = None if value is None or value is self._reported else float(value)
        self._reported = value
        if not trainer.is_global_zero:
            return False
        return trial.report_and_ask(given, step=trainer.current_epoch)
