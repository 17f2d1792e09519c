"""Dropout, as PyTorch's LSTM draws it on a CPU: for one batch and one layer at a time.

A member has a generator of its own, so its draws are the same whoever trains beside it. They are
numbers of one byte, 0 or 1, and are made for a part of an epoch, which bounds what they take.

Shapes: K members, T steps read, B batch, H hidden size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused.kernel import Shape
from sinesweep.fused.member import Member
from sinesweep.training.seeding import epoch_seed

# Bytes that draws made at once may take, if they are not one batch's: for one member, where parts
# are many times what a call of compiled code costs; and for all of a batched computation.
MOST_OF_ONE = 2**20
MOST_OF_ALL = 2**26


def parts_of_one(
    member: Member, order: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield parts of an epoch's rows, and the draws for each.

    Args:
        member: its epoch seeds the draws.
        order: of the epoch's rows.

    Yields:
        Rows of whole batches, and for each batch, one after the other, (L - 1, T, B, H). Without
        dropout all rows at once, and no draws.
    """
    per_row = draws_for_a_row(member)
    if per_row == 0:
        yield order, np.empty(0, np.uint8)
        return
    generator = _generator(member)
    rows = rows_at_once(member)
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        drawn = torch.empty(len(part) * per_row, dtype=torch.uint8)
        for batch in drawn.split(member.batch_size * per_row):
            for layer in batch.chunk(member.layers - 1):
                layer.bernoulli_(1 - member.dropout, generator=generator)
        yield part, drawn.numpy()


def draws_for_a_row(member: Member) -> int:
    """Return how many draws one series takes."""
    if member.dropout == 0:
        return 0
    return (member.layers - 1) * member.train.inputs.shape[1] * member.width


def rows_at_once(member: Member) -> int:
    """Return how many rows one member's draws are made for at once: whole batches."""
    size = draws_for_a_row(member) * member.batch_size
    return batches_at_once(size, MOST_OF_ONE) * member.batch_size


def most_draws(member: Member) -> int:
    """Return the bytes that one member's draws take at once."""
    if member.dropout == 0:
        return 0
    return draws_for_a_row(member) * min(rows_at_once(member), len(member.train))


def batches_at_once(size: int, most: int) -> int:
    """Return how many batches' draws, of so many bytes each, are made at once."""
    return max(1, most // size)


class Masks:
    """Dropout of an epoch of members that are computed together.

    Draws are made for several batches ahead, in a loop over members, and go to the device in one
    copy; where those of one batch are more than ``MOST_OF_ALL``, for that one alone.

    Args:
        members: in the computation's order.
        shape: of the computation.
        batches: the size of each batch of the epoch.
    """

    def __init__(self, members: Sequence[Member], shape: Shape, batches: Sequence[int]) -> None:
        self._shape = shape
        self._dropping = [
            (index, member, _generator(member))
            for index, member in enumerate(members)
            if member.dropout > 0
        ]
        if not self._dropping:
            return
        self._batches = deque(batches)
        self._ahead: deque[list[torch.Tensor]] = deque()
        kept = torch.tensor([1 - member.dropout for member in members], dtype=torch.float64)
        ones = torch.ones(len(members), dtype=shape.dtype)
        self._scale = (ones / kept.to(shape.dtype)).to(shape.device)[:, None, None]
        sizes = (shape.steps * k * shape.width * max(batches) for k in shape.models[1:])
        self._masks = [torch.empty(size, **shape.options) for size in sizes]

    def next(self) -> list[torch.Tensor] | None:
        """Return the next batch's masks for the input of each layer but the first.

        Returns:
            (T, K_l, H, B) of 0 and 1 / (1 - p), which the next call writes over; or None where no
            member has dropout.
        """
        if not self._dropping:
            return None
        if not self._ahead:
            self._draw()
        masks = []
        for drawn, buffer in zip(self._ahead.popleft(), self._masks, strict=True):
            ordered = drawn.permute(1, 0, 3, 2)
            mask = buffer[: ordered.numel()].view(ordered.shape)
            masks.append(torch.mul(ordered, self._scale[: len(drawn)], out=mask))
        return masks

    def _draw(self) -> None:
        """Draw for some batches ahead."""
        per_row = draws_of_all_for_a_row(self._shape)
        count = batches_at_once(per_row * self._batches[0], MOST_OF_ALL)
        batches = [self._batches.popleft() for _ in range(min(count, len(self._batches)))]
        # Where nothing is dropped, in padding for one, a unit is kept.
        drawn = torch.ones(sum(batches) * per_row, dtype=torch.uint8)
        layers = self._by_layer(drawn, batches)
        for index, member, generator in self._dropping:
            for batch in layers:
                for layer in batch[: member.layers - 1]:
                    own = layer[index, :, :, : member.width]
                    own.bernoulli_(1 - member.dropout, generator=generator)
        self._ahead.extend(self._by_layer(drawn.to(self._shape.device), batches))

    def _by_layer(self, drawn: torch.Tensor, batches: Sequence[int]) -> list[list[torch.Tensor]]:
        """Return each batch's draws, (K_l, T, B, H) for each layer but the first."""
        shape, found, start = self._shape, [], 0
        for batch in batches:
            layers = []
            for k in shape.models[1:]:
                size = k * shape.steps * batch * shape.width
                part = drawn[start : start + size]
                layers.append(part.view(k, shape.steps, batch, shape.width))
                start += size
            found.append(layers)
        return found


def draws_of_all_for_a_row(shape: Shape) -> int:
    """Return how many draws one series of each member takes, padding and all."""
    return sum(shape.models[1:]) * shape.steps * shape.width


def _generator(member: Member) -> torch.Generator:
    return torch.Generator().manual_seed(epoch_seed(member.seed, member.epoch))
