"""Sets the global seeds of an epoch."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from sinesweep import seeds


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Return what an epoch's dropout, and whatever else a model draws, is seeded with."""
    return seeds.derive(seed, "epoch", epoch, rank)


class EpochSeeds(Callback):
    """Seeds Python, NumPy and torch at the start of each epoch.

    An epoch's dropout then depends on seed, epoch and process alone, and a run that is continued
    at an epoch goes on with the numbers of one that was never interrupted.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed before the first batch: the iterators made at an epoch's start draw numbers, too."""
        if batch_idx > 0:
            return
        seed = epoch_seed(self._seed, trainer.current_epoch, trainer.global_rank)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 # for user code that draws from it
        if trainer.strategy.root_device.type == "cpu":
            # manual_seed would note the stack for an accelerator that may come into use later.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
