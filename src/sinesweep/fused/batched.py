"""Many models trained in one batched computation, by PyTorch's operations.

Shapes: K members, N rows, B batch, T steps read, O steps forecast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused import adam, weights
from sinesweep.fused.kernel import GATES, Backward, Forward, Shape, prepared
from sinesweep.fused.member import Member
from sinesweep.task.series import Windows
from sinesweep.training.seeding import epoch_seed

_EVALUATION_BATCH = 128  # what fits a cache beside the weights


class Batched:
    """Trains members of one kind in one batched computation.

    Args:
        members: in any order; those with more layers come first here.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members: Sequence[Member] = sorted(members, key=lambda member: -member.layers)
        first = self.members[0]
        steps, outputs = first.train.inputs.shape[1], first.train.targets.shape[1]
        depths = range(first.layers)
        self._shape = Shape(
            models=tuple(sum(m.layers > layer for m in self.members) for layer in depths),
            width=first.padded,
            steps=steps,
            outputs=outputs,
            dtype=first.like.dtype,
            device=first.like.device,
        )
        for member in self.members:
            _enter(member)
        self._blocks, self._first, self._second = (
            self._stacked([getattr(member, name) for member in self.members])
            for name in ("blocks", "first", "second")
        )
        self._scatter()
        self._gradients = [torch.empty_like(block) for block in self._blocks]
        self._doubled = [torch.empty_like(block) for block in self._blocks[:-1]]
        self._inputs, self._targets = self._gathered([m.train for m in self.members])
        self._passes: dict[int, tuple[Forward, Backward]] = {}
        self._evaluations: dict[int, Forward] = {}

    def train_epoch(self) -> NDArray[np.float64]:
        """Train one epoch of each; see :class:`~sinesweep.fused.engines.Engine`."""
        rows = torch.from_numpy(np.stack([member.order() for member in self.members]))
        rows = rows.to(self._shape.device)
        inputs = _in_order(self._inputs, rows).permute(2, 0, 1).contiguous().unsqueeze(2)
        targets = _in_order(self._targets, rows).transpose(1, 2).contiguous()
        optimizer = adam.Adam(
            [adam.rates_of(member.optimizer, member.clip) for member in self.members],
            [member.steps for member in self.members],
            self._blocks,
            self._first,
            self._second,
        )
        masks = _Masks(self.members, self._shape)
        errors = torch.zeros(len(self.members), dtype=torch.float64, device=self._shape.device)
        batch_size, count = self.members[0].batch_size, 0
        for start in range(0, rows.shape[1], batch_size):
            errors += self._train_batch(
                inputs[..., start : start + batch_size],
                targets[..., start : start + batch_size],
                optimizer,
                masks,
            )
            count += 1
        for member in self.members:
            member.epoch += 1
            member.steps += count
        return (errors / self._targets[0].numel()).cpu().numpy()

    def errors(self, windows: Sequence[Windows]) -> NDArray[np.float64]:
        """Evaluate on sets of one size; see :class:`~sinesweep.fused.engines.Engine`."""
        inputs, targets = self._gathered(windows)
        series = inputs.permute(2, 0, 1).unsqueeze(2)
        targets = targets.transpose(1, 2)
        *cells, head = self._blocks
        ready = prepared(cells, self._doubled)
        errors = torch.zeros(len(self.members), dtype=torch.float64, device=self._shape.device)
        for start in range(0, series.shape[-1], _EVALUATION_BATCH):
            part = slice(start, start + _EVALUATION_BATCH)
            wanted = targets[..., part]
            forward = self._evaluation(wanted.shape[-1])
            forecast = forward(ready, head, series[..., part])
            errors += (forecast - wanted).abs_().sum((1, 2), dtype=torch.float64)
        return (errors / targets[0].numel()).cpu().numpy()

    def state(self, member: Member) -> dict[str, torch.Tensor]:
        """Copy the weights; see :class:`~sinesweep.fused.engines.Engine`."""
        return weights.unpack(member.blocks, member.width)

    @property
    def description(self) -> str:
        """Say what is trained; see :class:`~sinesweep.fused.engines.Engine`."""
        first = self.members[0]
        held = memory(self._shape, first.batch_size, len(first.train)) / 2**20
        return f"{len(self.members)} up to {self._shape.width} wide together ({held:.0f} MB)"

    def _train_batch(
        self, inputs: torch.Tensor, targets: torch.Tensor, optimizer: adam.Adam, masks: _Masks
    ) -> torch.Tensor:
        forward, backward = self._passes_for(inputs.shape[-1])
        drawn = masks.draw(inputs.shape[-1])
        *cells, head = self._blocks
        *d_cells, d_head = self._gradients
        ready = prepared(cells, self._doubled)
        difference = forward(ready, head, inputs, drawn).sub_(targets)
        d_forecast = difference.sgn().div_(targets[0].numel())
        backward(cells, head, d_forecast, d_cells, d_head, drawn)
        optimizer.step(self._gradients)
        return difference.abs_().sum((1, 2), dtype=torch.float64)

    def _passes_for(self, batch: int) -> tuple[Forward, Backward]:
        if batch not in self._passes:
            forward = Forward(self._shape, batch, keep=True)
            self._passes[batch] = forward, Backward(forward)
        return self._passes[batch]

    def _evaluation(self, batch: int) -> Forward:
        if batch not in self._evaluations:
            self._evaluations[batch] = Forward(self._shape, batch, keep=False)
        return self._evaluations[batch]

    def _stacked(self, parts: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
        """Return each layer's (K_l, ...) of the members' blocks, and the heads' (K, ...)."""
        layers = [
            torch.stack([part[layer] for part in parts[:k]])
            for layer, k in enumerate(self._shape.models)
        ]
        return [*layers, torch.stack([part[-1] for part in parts])]

    def _scatter(self) -> None:
        """Have the members look at their part of what is stacked."""
        for index, member in enumerate(self.members):
            for name, stacked in (
                ("blocks", self._blocks),
                ("first", self._first),
                ("second", self._second),
            ):
                own = [layer[index] for layer in stacked[: member.layers]]
                setattr(member, name, [*own, stacked[-1][index]])

    def _gathered(self, windows: Sequence[Windows]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (K, N, T) and targets (K, N, O)."""
        same = all(one is windows[0] for one in windows)
        chosen = windows[:1] if same else windows
        parts = (
            torch.from_numpy(np.stack([getattr(one, name) for one in chosen]))
            .to(dtype=self._shape.dtype, device=self._shape.device)
            .expand(len(windows), -1, -1)
            for name in ("inputs", "targets")
        )
        inputs, targets = parts
        return inputs, targets


class _Masks:
    """Dropout of an epoch: each member's own numbers, as PyTorch's LSTM draws them on a CPU."""

    def __init__(self, members: Sequence[Member], shape: Shape) -> None:
        self._shape = shape
        self._dropping = [
            (index, member, torch.Generator().manual_seed(epoch_seed(member.seed, member.epoch)))
            for index, member in enumerate(members)
            if member.dropout > 0
        ]

    def draw(self, batch: int) -> list[torch.Tensor] | None:
        """Return a batch's masks for the input of each layer but the first, (T, K_l, H, B)."""
        if not self._dropping:
            return None
        shape = self._shape
        masks = [
            torch.ones(shape.steps, k, shape.width, batch, **shape.options)
            for k in shape.models[1:]
        ]
        for index, member, generator in self._dropping:
            kept = 1 - member.dropout
            for mask in masks[: member.layers - 1]:
                drawn = torch.empty(shape.steps, batch, member.width, dtype=shape.dtype)
                drawn.bernoulli_(kept, generator=generator).div_(kept)
                mask[:, index, : member.width] = drawn.transpose(1, 2).to(shape.device)
        return masks


def _enter(member: Member) -> None:
    if member.blocks:
        return
    state = member.module.network.state_dict()
    member.blocks = weights.pack(state, member.layers, member.padded)
    member.first, member.second = (
        [torch.zeros_like(block) for block in member.blocks] for _ in range(2)
    )


def _in_order(values: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return values.gather(1, rows.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def memory(shape: Shape, batch: int, rows: int) -> int:
    """Return the bytes that training on so many rows holds.

    Each step of time keeps, for each model and layer, what the layer reads (I + 1 + H), four
    gates, the cell and its tanh (H each), for each row of the batch. The data are there twice, the
    second time in the epoch's order. Weights are, with their moments, gradients and what the steps
    need in between, seven times.
    """
    passes = sum(
        k * batch * (shape.steps + 1) * (shape.rows(layer) + (GATES + 2) * shape.width)
        for layer, k in enumerate(shape.models)
    )
    data = 2 * shape.models[0] * rows * (shape.steps + shape.outputs)
    parameters = shape.models[0] * shape.outputs * (shape.width + 1) + sum(
        k * GATES * shape.width * shape.rows(layer) for layer, k in enumerate(shape.models)
    )
    return (passes + data + 7 * parameters) * torch.empty((), dtype=shape.dtype).element_size()
