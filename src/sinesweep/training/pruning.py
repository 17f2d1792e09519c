"""Reports a metric of each epoch to the sweep, and stops a trial that is given up."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

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
        self._reported: Any = None

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report; ask."""
        prune = trainer.is_global_zero and self._is_given_up(trainer)
        if trainer.strategy.broadcast(prune):
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
        trial = current_trial()
        if not trial.is_managed:
            return False
        value = trainer.callback_metrics.get(self._monitor)
        # Lightning holds the very tensor of an earlier epoch until the metric is logged again.
        given = None if value is None or value is self._reported else float(value)
        self._reported = value
        return trial.report_and_ask(given, step=trainer.current_epoch)
