"""How far a training is: one bar on a terminal, plain lines in logs and pipes.

Epochs count from 0 here as everywhere: of 30 epochs the last one is ``epoch 29/29``.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm

_LINES = 15
_MOST_OTHERS = 6  # metrics of a model of the user's own in a line
_BAR = "{desc} |{bar}| {elapsed}<{remaining}{postfix}"


class ProgressBar(Callback):
    """Draws one bar for the whole training, with the newest metrics behind it.

    Beside the named metrics it shows those that a module logs with ``prog_bar=True``.

    Args:
        names: the metrics to show, in order; those that were not logged are left out.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw it."""
        if not trainer.is_global_zero:
            return
        batches = trainer.num_training_batches
        total = batches * (trainer.max_epochs or 0)
        is_known = 0 < total < math.inf
        self._bar = tqdm(
            total=total if is_known else None,
            initial=int(trainer.current_epoch * batches) if is_known else 0,
            bar_format=_BAR,
            dynamic_ncols=True,
            file=sys.stdout,
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the epoch that begins and the metrics of the one before."""
        self._describe(trainer, trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Go on by a batch."""
        if self._bar is not None:
            self._bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave it as it is at the end."""
        self._describe(trainer, trainer.current_epoch - 1)
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Go to a line of its own for what is said of the exception."""
        self._close()

    def _describe(self, trainer: pl.Trainer, epoch: int) -> None:
        if self._bar is None:
            return
        last = None if self._bar.total is None else trainer.max_epochs
        self._bar.set_description_str(epoch_text(epoch, last), refresh=False)
        told = trainer.callback_metrics
        values = {name: told[name] for name in self._names if name in told}
        values |= trainer.progress_bar_metrics
        shown = [f"{name} {float(value):.5f}" for name, value in values.items()]
        self._bar.set_postfix_str("  ".join(shown), refresh=False)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class ProgressLines(Callback):
    """Prints about fifteen lines in the course of a training, each with the newest metrics.

    Args:
        names: the metrics to show first, in order; those that were not logged are left out. Some
            of the others that a module logs follow.
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
        values = [
            f"{name} {value:.5f}" for name, value in self._chosen(trainer.callback_metrics).items()
        ]
        line = "  ".join([epoch_text(done - 1, trainer.max_epochs), *values])
        print(f"{line}  {time.monotonic() - self._start:.1f} s", flush=True)  # noqa: T201 # the screen

    def _chosen(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        first = [name for name in self._names if name in metrics]
        others = [name for name in metrics if name not in first and not _is_fork(name, metrics)]
        return {name: float(metrics[name]) for name in [*first, *others[:_MOST_OTHERS]]}


def epoch_text(epoch: int, epochs: int | None) -> str:
    """Return ``epoch 0/29`` for the first of 30 epochs, or ``epoch 0`` of a number not known."""
    return f"epoch {epoch}" if epochs is None else f"epoch {epoch}/{epochs - 1}"


def _is_fork(name: str, metrics: Mapping[str, Any]) -> bool:
    """Whether Lightning keeps a metric a second time, for its steps or its epochs."""
    base, _, kind = name.rpartition("_")
    return kind in ("step", "epoch") and base in metrics
