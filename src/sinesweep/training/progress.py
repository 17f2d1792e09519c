"""Plain progress lines, for logs and pipes."""

from __future__ import annotations

import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_LINES = 15


class ProgressLines(Callback):
    """Prints about fifteen lines in the course of a training, each with the newest metrics.

    Args:
        names: the metrics to show, in order; those that were not logged are left out.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._start = 0.0
        self._shown = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch that has just ended, if it is a line's turn."""
        epochs = trainer.max_epochs or 1
        if trainer.current_epoch % -(-epochs // _LINES) == 0:
            self._show(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the last epoch."""
        self._show(trainer)

    def _show(self, trainer: pl.Trainer) -> None:
        done = trainer.current_epoch
        if done == 0 or done == self._shown or not trainer.is_global_zero:
            return
        self._shown = done
        metrics = trainer.callback_metrics
        values = [f"{name} {float(metrics[name]):.5f}" for name in self._names if name in metrics]
        line = "  ".join([f"epoch {done}/{trainer.max_epochs}", *values])
        print(f"{line}  {time.monotonic() - self._start:.1f} s", flush=True)  # noqa: T201 # the screen
