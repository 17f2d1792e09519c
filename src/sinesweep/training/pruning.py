"""Reports a metric of each epoch to the sweep, and stops a trial that is given up."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from sinesweep.sweep.trial import TrialPruned, current_trial


class PruningCallback(Callback):
    """Reports a metric after each epoch and ends the training when the sweep's pruner says so.

    Outside of a sweep it does nothing. Lightning ends the training as it does any other, loggers
    included; call :meth:`raise_if_pruned` after ``Trainer.fit`` to give the trial up::

        pruning = PruningCallback("val/mae")
        Trainer(callbacks=[pruning]).fit(module, data)
        pruning.raise_if_pruned()

    Args:
        monitor: a metric that is logged each epoch; where it is not there, nothing is reported.
    """

    def __init__(self, monitor: str) -> None:
        self._monitor = monitor
        self._epoch: int | None = None  # where it was given up

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
        given = None if value is None else float(value)
        return trial.report_and_ask(given, step=trainer.current_epoch)
