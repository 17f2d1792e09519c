"""Many models trained in one batched computation, by PyTorch's operations.

Shapes: K members, N rows, B batch, T steps read, O steps forecast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused import adam, weights
from sinesweep.fused.dropout import Masks
from sinesweep.fused.kernel import Backward, Forward, Shape, prepared
from sinesweep.fused.member import Member
from sinesweep.fused.memory import EVALUATION_BATCH, held
from sinesweep.task.series import Windows


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
        batches = [len(batch) for batch in rows[0].split(self.members[0].batch_size)]
        optimizer = adam.Adam(
            [adam.rates_of(member.optimizer, member.clip) for member in self.members],
            [member.steps for member in self.members],
            self._blocks,
            self._first,
            self._second,
            count=len(batches),
        )
        masks = Masks(self.members, self._shape, batches)
        errors = torch.zeros(len(self.members), dtype=torch.float64, device=self._shape.device)
        for batch in zip(inputs.split(batches, -1), targets.split(batches, -1), strict=True):
            errors += self._train_batch(*batch, optimizer, masks.next())
        for member in self.members:
            member.epoch += 1
            member.steps += len(batches)
        return (errors / self._targets[0].numel()).cpu().numpy()

    def errors(self, windows: Sequence[Windows]) -> NDArray[np.float64]:
        """Evaluate on sets of one size; see :class:`~sinesweep.fused.engines.Engine`."""
        inputs, targets = self._gathered(windows)
        series = inputs.permute(2, 0, 1).unsqueeze(2)
        targets = targets.transpose(1, 2)
        *cells, head = self._blocks
        ready = prepared(cells, self._doubled)
        errors = torch.zeros(len(self.members), dtype=torch.float64, device=self._shape.device)
        for start in range(0, series.shape[-1], EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
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
        megabytes = held(self._shape, self.members) / 2**20
        return f"{len(self.members)} up to {self._shape.width} wide together ({megabytes:.0f} MB)"

    def _train_batch(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        optimizer: adam.Adam,
        masks: Sequence[torch.Tensor] | None,
    ) -> torch.Tensor:
        forward, backward = self._passes_for(inputs.shape[-1])
        *cells, head = self._blocks
        *d_cells, d_head = self._gradients
        ready = prepared(cells, self._doubled)
        difference = forward(ready, head, inputs, masks).sub_(targets)
        d_forecast = difference.sgn().div_(targets[0].numel())
        backward(cells, head, d_forecast, d_cells, d_head, masks)
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
