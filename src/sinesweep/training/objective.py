"""Whether a run logs what it is judged by, told as soon as it can be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from sinesweep.errors import InputError
from sinesweep.tracking import record

# How the names of metrics begin that no test logs.
_BEFORE_THE_TEST = ("train", "training", "val", "valid", "validation")


class ObjectiveCheck(Callback):
    """Stops a run whose objective is not among the metrics of its first whole epoch.

    Args:
        objective: the metric's name.
        directory: the run's folder.
        tested: whether a test follows the training: it can log the objective, unless its name
            says that it is of training or validation.
    """

    def __init__(self, objective: str, directory: Path, tested: bool) -> None:
        self._objective = objective
        self._directory = directory
        self._is_due = not tested or re.split(r"\W|_", objective)[0] in _BEFORE_THE_TEST
        self._has_validated = False
        self._is_whole = False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the epoch holds a validation, which not every epoch does."""
        self._has_validated |= not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the epoch holds all that an epoch can hold."""
        self._is_whole |= self._has_validated or not trainer.enable_validation

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what the epoch before has logged: all of it is told by now."""
        self._look(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what the last epoch has logged."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if not (self._is_due and self._is_whole):
            return
        self._is_due = False
        # A model can also talk to the logger itself, past Lightning's metrics. Of several processes
        # one may know more than the others, so they decide together.
        logged = {*trainer.callback_metrics, *record.metric_history(self._directory)}
        if trainer.strategy.reduce_boolean_decision(self._objective not in logged):
            raise missing(self._objective, logged)


def missing(objective: str, logged: Iterable[str]) -> InputError:
    """Return what is said of an objective that is not logged."""
    return InputError(
        f"objective: must be a metric that the run logs, but is {objective!r}; it logged "
        f"{', '.join(sorted(logged)) or 'none'}"
    )
