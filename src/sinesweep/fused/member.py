"""One model among those that are trained together: its module, its data, where it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.task.module import Forecaster
from sinesweep.task.series import Windows

# A layer's units come in these numbers; beyond the last, in multiples of it.
WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)


@dataclass(eq=False)
class Member:
    """A model in training.

    Attributes:
        module: the task's own, with its initial weights; of the right dtype, on its device.
        optimizer: its own; what it says of the learning rate holds.
        train: what it is trained on.
        batch_size: rows of a batch.
        seed: the run's: of the order of rows, and of dropout.
        clip: largest norm of the gradient, or None.
        evaluated: rows of the sets that it is evaluated on.
        epoch: how many it has behind it.
        steps: how many steps its optimizer has taken.
        blocks, first, second: weights and moments, but for PyTorch's own LSTM; see
            :mod:`sinesweep.fused.weights`.
    """

    module: Forecaster
    optimizer: torch.optim.Optimizer
    train: Windows
    batch_size: int
    seed: int
    clip: float | None
    evaluated: tuple[int, ...] = ()
    epoch: int = 0
    steps: int = 0
    blocks: list[torch.Tensor] = field(default_factory=list)
    first: list[torch.Tensor] = field(default_factory=list)
    second: list[torch.Tensor] = field(default_factory=list)

    @property
    def layers(self) -> int:
        """How many LSTM layers it has."""
        return self.module.network.lstm.num_layers

    @property
    def width(self) -> int:
        """Its hidden size."""
        return self.module.network.lstm.hidden_size

    @property
    def padded(self) -> int:
        """The hidden size that it is computed with in a batch."""
        last = WIDTHS[-1]
        return next((w for w in WIDTHS if w >= self.width), -(-self.width // last) * last)

    @property
    def dropout(self) -> float:
        """Between its layers."""
        return self.module.network.lstm.dropout

    @property
    def like(self) -> torch.Tensor:
        """A tensor of its dtype, on its device."""
        return self.module.network.head.weight

    @property
    def kind(self) -> tuple[object, ...]:
        """What members of one batch have in common."""
        rows, steps = self.train.inputs.shape
        outputs = self.train.targets.shape[1]
        return (
            self.evaluated, self.padded, rows, steps, outputs, self.batch_size,
            self.like.dtype, self.like.device,
        )  # fmt: skip

    def order(self) -> NDArray[np.int64]:
        """Return the order of this epoch's rows."""
        from sinesweep.task.datamodule import epoch_order

        return epoch_order(self.seed, self.epoch, len(self.train))
