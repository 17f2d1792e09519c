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
    logged reports nothing. A metric that the module logs in its own ``on_train_epoch_end``, which
    Lightning calls after the callbacks', is reported when the next epoch begins, for the epoch that
    it belongs to, and the pruner is asked when that next one ends.

    Args:
        monitor: a metric that is logged during training or validation.
    """

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor
        self._epoch: int | None = None  # where it was given up
        self._managed_in = os.getpid() if current_trial().is_managed else None
        self._held: Any = None  # the metric as Lightning held it when this last looked
        self._is_missing = False  # whether it was not logged when this looked at an epoch's end
        self._is_due = False  # whether it was reported since the pruner was asked

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

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report what the module has logged at the very end of the epoch before."""
        if (value := self._late(trainer)) is not None and trainer.is_global_zero:
            current_trial().report(value, step=trainer.current_epoch - 1)
            self._is_due = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report; ask."""
        value = self._new(trainer)
        self._is_missing = value is None
        self._decide(trainer, value, trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report what the module has logged at the very end of the last epoch; ask."""
        if (value := self._late(trainer)) is not None:
            self._decide(trainer, value, trainer.current_epoch - 1)

    def raise_if_pruned(self) -> None:
        """Give the trial up if the training was stopped here.

        Raises:
            TrialPruned: it was.
        """
        if self._epoch is not None:
            raise TrialPruned(f"pruned after epoch {self._epoch}")

    def _new(self, trainer: pl.Trainer) -> float | None:
        """Return the metric if it was logged since this last looked.

        Every process reads it: it may have to be gathered from all.
        """
        if not current_trial().is_managed and trainer.world_size == 1:
            return None
        value = trainer.callback_metrics.get(self._monitor)
        # Lightning holds the very tensor of an earlier epoch until the metric is logged again.
        before, self._held = self._held, value
        return None if value is None or value is before else float(value)

    def _late(self, trainer: pl.Trainer) -> float | None:
        """Return the metric if it was not there when its epoch ended, and is now."""
        value = self._new(trainer)
        return value if self._is_missing else None

    def _decide(self, trainer: pl.Trainer, value: float | None, epoch: int) -> None:
        """Have all processes stop if the first one hears that the trial is given up."""
        if trainer.strategy.broadcast(self._is_given_up(trainer, value, epoch)):
            self._epoch = epoch
            trainer.should_stop = True

    def _is_given_up(self, trainer: pl.Trainer, value: float | None, epoch: int) -> bool:
        if not trainer.is_global_zero:
            return False
        trial, is_due, self._is_due = current_trial(), self._is_due, False
        if value is None and is_due:
            return trial.should_prune()
        return trial.report_and_ask(value, step=epoch)
