"""Adam for K models at once, each with numbers of its own.

The formulas are PyTorch's: Adam (Kingma and Ba, 2015) with weight decay as a part of the gradient,
AdamW with decoupled weight decay (Loshchilov and Hutter, 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

EXACTLY = (torch.optim.Adam, torch.optim.AdamW)
_OWN_ARGUMENTS = ("amsgrad", "maximize")
# Units that only fill a batch have no gradient: 0 / (0 + eps) must be 0.
_LEAST_EPS = torch.finfo(torch.float32).tiny


def refusal(optimizer: torch.optim.Optimizer) -> str | None:
    """Return why an optimizer cannot be one of many at once, or None where it can."""
    if type(optimizer) not in EXACTLY:
        return f"its optimizer is {type(optimizer).__name__}, not Adam or AdamW"
    (group, *more) = optimizer.param_groups
    if more:
        return "its optimizer has several groups of parameters"
    if group["eps"] < _LEAST_EPS:
        return f"its optimizer's eps is {group['eps']:g}"
    given = [name for name in _OWN_ARGUMENTS if group[name]]
    return f"its optimizer has {given[0]}" if given else None


class Rates(NamedTuple):
    """What one optimizer goes by.

    Attributes:
        lr, beta1, beta2, eps: as PyTorch calls them.
        in_gradient: weight decay that is a part of the gradient.
        apart: weight decay that is decoupled.
        clip: the largest norm of the gradient, infinite where there is none.
    """

    lr: float
    beta1: float
    beta2: float
    eps: float
    in_gradient: float
    apart: float
    clip: float


def rates_of(optimizer: torch.optim.Optimizer, clip: float | None) -> Rates:
    """Read an optimizer's numbers; schedules change its learning rate."""
    (group,) = optimizer.param_groups
    decay = float(group["weight_decay"])
    decoupled = group.get("decoupled_weight_decay", isinstance(optimizer, torch.optim.AdamW))
    return Rates(
        lr=float(group["lr"]),
        beta1=float(group["betas"][0]),
        beta2=float(group["betas"][1]),
        eps=float(group["eps"]),
        in_gradient=0.0 if decoupled else decay,
        apart=decay if decoupled else 0.0,
        clip=math.inf if clip is None else float(clip),
    )


class Adam:
    """One optimizer for blocks of K_l models each.

    Args:
        rates: each model's.
        steps: how many each has taken.
        blocks: parameters, (K_l, ...), the first K_l models' each.
        first, second: the moments, alike.
        count: how many steps it will take: their rates are made beforehand, in one copy.
    """

    def __init__(
        self,
        rates: Sequence[Rates],
        steps: Sequence[int],
        blocks: Sequence[torch.Tensor],
        first: Sequence[torch.Tensor],
        second: Sequence[torch.Tensor],
        *,
        count: int,
    ) -> None:
        like = blocks[0]
        columns = dict(zip(Rates._fields, torch.tensor(rates, dtype=torch.float64).T, strict=True))
        self._blocks, self._first, self._second = blocks, first, second
        lr, beta1, beta2 = (columns[name] for name in ("lr", "beta1", "beta2"))
        behind = torch.tensor(steps, dtype=torch.float64)
        taken = behind + torch.arange(1, count + 1, dtype=torch.float64)[:, None]
        self._scales = self._ready(-lr / (1 - beta1**taken), like)
        self._corrections = self._ready((1 - beta2**taken).rsqrt(), like)
        self._taken = 0
        self._lerp = self._ready(1 - beta1, like)
        self._keep = self._ready(beta2, like)
        self._add = self._ready(1 - beta2, like)
        self._eps = self._ready(columns["eps"], like)
        decays, limits = columns["in_gradient"], columns["clip"]
        self._in_gradient = self._ready(decays, like) if bool(decays.any()) else None
        shrink = 1 - lr * columns["apart"]
        self._shrink = self._ready(shrink, like) if bool((shrink != 1).any()) else None
        self._limit = None if bool(limits.isinf().all()) else limits.to(like)
        self._work = [torch.empty_like(block) for block in blocks]
        self._root = [torch.empty_like(block) for block in blocks]

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Take one step; the gradients are changed on the way."""
        scale, corrected = self._scales[self._taken], self._corrections[self._taken]
        self._taken += 1
        if self._limit is not None:
            self._clip(gradients)
        for block, first, second, gradient, work, root in zip(
            self._blocks, self._first, self._second, gradients, self._work, self._root, strict=True
        ):
            k = len(block)
            if self._in_gradient is not None:
                gradient.addcmul_(block, self._in_gradient[:k])
            if self._shrink is not None:
                block.mul_(self._shrink[:k])
            first.lerp_(gradient, self._lerp[:k])
            torch.mul(gradient, self._add[:k], out=work)
            second.mul_(self._keep[:k]).addcmul_(work, gradient)
            torch.sqrt(second, out=root).mul_(corrected[:k]).add_(self._eps[:k])
            torch.mul(first, scale[:k], out=work)
            block.addcdiv_(work, root)

    def _clip(self, gradients: Sequence[torch.Tensor]) -> None:
        assert self._limit is not None
        squares = torch.zeros_like(self._limit)
        for gradient in gradients:
            squares[: len(gradient)] += gradient.square().sum((1, 2))
        factor = (self._limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        # Without a limit of its own, a model's infinite gradient stays what it is.
        factor = factor.masked_fill(self._limit.isinf(), 1.0)[:, None, None]
        for gradient in gradients:
            gradient.mul_(factor[: len(gradient)])

    @staticmethod
    def _ready(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return values.to(like)[..., None, None]
