"""Adam as Keras computes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class KerasAdam(torch.optim.Adam):
    """Adam with the paper's "epsilon hat".

    Keras adds epsilon to the root of the uncorrected second moment, PyTorch to the corrected one
    (Kingma and Ba, 2015, section 2, the note on the order of computation). PyTorch's value that
    does the same at step t is ``epsilon / sqrt(1 - beta2 ** t)``, thirty times larger at first.

    Args:
        params: the parameters to train.
        lr: learning rate, above 0.
        betas: decay of the first and second moment.
        epsilon: Keras' epsilon, above 0.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-7,
    ) -> None:
        if epsilon <= 0:
            raise ValueError(f"epsilon > 0 must hold, but epsilon is {epsilon}")
        super().__init__(params, lr=lr, betas=(betas[0], betas[1]))
        # Each group counts its own steps, those added later, too.
        self.defaults |= {"epsilon": epsilon, "steps": 0}
        for group in self.param_groups:
            group |= {"epsilon": epsilon, "steps": 0}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] # theirs is overloaded
        """Take one step."""
        for group in self.param_groups:
            group["steps"] += 1
            group["eps"] = group["epsilon"] / math.sqrt(1 - group["betas"][1] ** group["steps"])
        return super().step(closure)
