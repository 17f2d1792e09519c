"""The best epoch of a trial that is trained together with others.

Its weights are held in memory and written now and then, since a process that is killed loses them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import torch

from sinesweep import runs
from sinesweep.config import Config
from sinesweep.redaction import redact_tree
from sinesweep.task.module import Forecaster
from sinesweep.training.checkpoint import BEST, OWN_KEY, AtomicCheckpointIO, is_better

_LIGHTNING = metadata.version("pytorch-lightning")


class BestEpoch:
    """Keeps the best epoch so far, as ``best.ckpt`` of the same trial alone would have it.

    Args:
        config: the trial's, checked.
        module: the task's; gets the weights when they are restored.
        directory: the trial's.
        steps: of the optimizer in an epoch.

    Attributes:
        epoch: counted from 0; None before there is one.
    """

    def __init__(self, config: Config, module: Forecaster, directory: Path, steps: int) -> None:
        self._config = config
        self._module = module
        self._directory = directory
        self._steps = steps
        self._value: float | None = None
        self._weights: Mapping[str, torch.Tensor] | None = None
        self._written: int | None = None  # the epoch
        self._written_at = time.monotonic()
        self.epoch: int | None = None

    def take(
        self, epoch: int, value: float | None, weights: Callable[[], Mapping[str, torch.Tensor]]
    ) -> None:
        """Take in an epoch.

        Args:
            epoch: counted from 0.
            value: of the objective; where there is none, the last epoch is the best.
            weights: copies the network's, if they are wanted.
        """
        maximize = self._config.settings.direction == "maximize"
        if value is None or is_better(value, self._value, maximize=maximize):
            self.epoch, self._value, self._weights = epoch, value, weights()

    def restore(self) -> None:
        """Put its weights into the module, and what is not written yet into the folder."""
        if self._weights is not None:
            self._module.network.load_state_dict(self._weights)
        self._write()

    def write_if_due(self, count: int) -> None:
        """Write it, unless that was done a short time ago.

        Args:
            count: how many trials share the process. ``checkpoint_interval`` is of each one's part
                of its time: writing costs no more of it than if they were trained one by one.
        """
        interval = self._config.settings.checkpoint_interval * count
        if time.monotonic() - self._written_at >= interval:
            self._write()

    def _write(self) -> None:
        if self._weights is None or self.epoch is None or self._written == self.epoch:
            return
        weights = {f"network.{name}": value for name, value in self._weights.items()}
        content = {
            "epoch": self.epoch + 1,
            "global_step": self._steps * (self.epoch + 1),
            "pytorch-lightning_version": _LIGHTNING,
            "state_dict": {**self._module.state_dict(), **weights},
            OWN_KEY: {
                "model": redact_tree(self._config.values["model"], "model"),
                "run": self._directory.name,
                "epoch": self.epoch,
                "best_value": self._value,
                "best_epoch": self.epoch,
            },
        }
        AtomicCheckpointIO().save_checkpoint(content, self._directory / runs.CHECKPOINTS / BEST)
        self._written, self._written_at = self.epoch, time.monotonic()
