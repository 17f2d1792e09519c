"""Adam for K models at once, each with numbers of its own.

The formulas are PyTorch's: Adam (Kingma and Ba, 2015) with weight decay as a part of the gradient,
AdamW with decoupled weight decay (Loshchilov and Hutter, 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

EXACTLY = (torch.optim.Adam, torch.optim.AdamW)
_OWN_ARGUMENTS = ("amsgrad", "maximize")


def refusal(optimizer: torch.optim.Optimizer) -> str | None:
    """Return why an optimizer cannot be one of many at once, or None where it can."""
    if type(optimizer) not in EXACTLY:
        return f"its optimizer is {type(optimizer).__name__}, not Adam or AdamW"
    (group, *more) = optimizer.param_groups
    if more:
        return "its optimizer has several groups of parameters"
    given = [name for name in _OWN_ARGUMENTS if group[name]]
    return f"its optimizer has {given[0]}" if given else None


class Adam:
    """One optimizer for blocks of K_l models each.

    Args:
        optimizers: the models' own, which say their learning rates: schedules change these.
        steps: how many each has taken.
        clips: the largest norm of each model's gradient, or None; as clip_grad_norm_ has it.
        blocks: parameters, (K_l, ...), the first K_l models' each.
        first, second: the moments, alike.
    """

    def __init__(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        steps: Sequence[int],
        clips: Sequence[float | None],
        blocks: Sequence[torch.Tensor],
        first: Sequence[torch.Tensor],
        second: Sequence[torch.Tensor],
    ) -> None:
        like = blocks[0]
        groups = [optimizer.param_groups[0] for optimizer in optimizers]
        decoupled = [
            bool(group.get("decoupled_weight_decay", isinstance(optimizer, torch.optim.AdamW)))
            for group, optimizer in zip(groups, optimizers, strict=True)
        ]

        def column(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64)

        self._blocks, self._first, self._second = blocks, first, second
        self._steps = column(steps)
        self._lr = column([float(group["lr"]) for group in groups])
        self._beta1 = column([group["betas"][0] for group in groups])
        self._beta2 = column([group["betas"][1] for group in groups])
        self._lerp = self._ready(1 - self._beta1, like)
        self._keep = self._ready(self._beta2, like)
        self._add = self._ready(1 - self._beta2, like)
        self._eps = self._ready(column([group["eps"] for group in groups]), like)
        decays = column([group["weight_decay"] for group in groups])
        apart = torch.tensor(decoupled)
        self._in_gradient = self._where_any(torch.where(apart, 0.0, decays), like)
        shrink = 1 - self._lr * torch.where(apart, decays, 0.0)
        self._shrink = self._ready(shrink, like) if bool((shrink != 1).any()) else None
        limits = column([torch.inf if clip is None else clip for clip in clips])
        self._limit = limits.to(like) if any(clip is not None for clip in clips) else None
        self._work = [torch.empty_like(block) for block in blocks]
        self._root = [torch.empty_like(block) for block in blocks]

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Take one step; the gradients are changed on the way."""
        self._steps += 1
        like = self._blocks[0]
        if self._limit is not None:
            self._clip(gradients)
        scale = -self._lr / (1 - self._beta1**self._steps)
        scale = self._ready(scale, like)
        corrected = self._ready((1 - self._beta2**self._steps).rsqrt(), like)
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
        factor = (self._limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)[:, None, None]
        for gradient in gradients:
            gradient.mul_(factor[: len(gradient)])

    @staticmethod
    def _ready(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return values.to(like)[:, None, None]

    def _where_any(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor | None:
        return self._ready(values, like) if bool((values != 0).any()) else None
