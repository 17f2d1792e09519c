"""Models of any kind trained one after the other within an epoch, by compiled code."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused import adam, weights
from sinesweep.fused.member import Member
from sinesweep.task.series import Windows
from sinesweep.training.seeding import epoch_seed

if TYPE_CHECKING:
    from sinesweep.fused.compiled import Network, Room

_HAS_NUMBA = importlib.util.find_spec("numba") is not None


def is_compiled(like: torch.Tensor) -> bool:
    """Whether models with this tensor's dtype and device can be trained so."""
    return _HAS_NUMBA and like.dtype == torch.float32 and like.device.type == "cpu"


class InTurn:
    """Trains members that may differ in everything; what one computes reaches no other.

    Each has a thread for its turn where PyTorch is allowed several.

    Args:
        members: in any order.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        from sinesweep.fused import compiled

        self._compiled = compiled
        self.members: Sequence[Member] = members
        self._networks = [_network(member) for member in members]
        for member in members:
            if not member.blocks:
                vector = weights.vector(member.module.network.state_dict(), member.layers)
                member.blocks, member.first, member.second = (
                    [vector], [torch.zeros_like(vector)], [torch.zeros_like(vector)]
                )  # fmt: skip
        threads = min(torch.get_num_threads(), len(members))
        has_dropout = any(member.dropout > 0 for member in members)
        self._rooms = [compiled.room(self._networks, dropout=has_dropout) for _ in range(threads)]

    def train_epoch(self) -> NDArray[np.float64]:
        """Train one epoch of each; see :class:`~sinesweep.fused.engines.Engine`."""
        return self._each(self._train)

    def errors(self, windows: Sequence[Windows]) -> NDArray[np.float64]:
        """Evaluate; see :class:`~sinesweep.fused.engines.Engine`."""
        return self._each(lambda index, room: self._evaluate(index, windows[index], room))

    def state(self, member: Member) -> dict[str, torch.Tensor]:
        """Copy the weights; see :class:`~sinesweep.fused.engines.Engine`."""
        return weights.named(member.blocks[0], member.layers, member.module.network.state_dict())

    @property
    def description(self) -> str:
        """Say what is trained; see :class:`~sinesweep.fused.engines.Engine`."""
        numbers = sum(array.size for room in self._rooms for array in room)
        numbers += sum(3 * member.blocks[0].numel() for member in self.members)
        data = {id(member.train): member.train for member in self.members}.values()
        numbers += sum(one.inputs.size + one.targets.size for one in data)
        held = 4 * numbers + max(map(_mask_size, self.members)) * len(self._rooms)
        return f"{len(self.members)} in turn ({held / 2**20:.0f} MB)"

    def _each(self, work: Callable[[int, Room], float]) -> NDArray[np.float64]:
        """Return what work makes of each member, by its index, in room of its own."""
        indices = range(len(self.members))
        if len(self._rooms) == 1:
            return np.array([work(index, self._rooms[0]) for index in indices])
        free: SimpleQueue[Room] = SimpleQueue()
        for room in self._rooms:
            free.put(room)

        def in_free_room(index: int) -> float:
            room = free.get()
            try:
                return work(index, room)
            finally:
                free.put(room)

        with ThreadPoolExecutor(len(self._rooms)) as threads:
            return np.array([*threads.map(in_free_room, indices)])

    def _train(self, index: int, room: Room) -> float:
        member = self.members[index]
        order = member.order()
        parts = (member.blocks[0], member.first[0], member.second[0])
        error = self._compiled.train(
            tuple(self._networks[index]),
            *(part.numpy() for part in parts),
            tuple(adam.rates_of(member.optimizer, member.clip)),
            member.steps,
            *_tables(member.train),
            order,
            member.batch_size,
            _masks(member),
            np.float32(1) / np.float32(1 - member.dropout),
            tuple(room),
        )
        member.epoch += 1
        member.steps += -(-len(order) // member.batch_size)
        return error / member.train.targets.size

    def _evaluate(self, index: int, windows: Windows, room: Room) -> float:
        vector = self.members[index].blocks[0].numpy()
        rows = np.arange(len(windows))
        error = self._compiled.evaluate(
            tuple(self._networks[index]), vector, *_tables(windows), rows, tuple(room)
        )
        return error / windows.targets.size


def _network(member: Member) -> Network:
    from sinesweep.fused.compiled import Network

    steps, outputs = member.train.inputs.shape[1], member.train.targets.shape[1]
    return Network(member.layers, member.width, steps, outputs)


def _tables(windows: Windows) -> list[NDArray[np.float32]]:
    return [np.ascontiguousarray(part, np.float32) for part in (windows.inputs, windows.targets)]


def _mask_size(member: Member) -> int:
    """Return how many numbers of an epoch dropout may set to zero."""
    if member.dropout == 0:
        return 0
    return (member.layers - 1) * member.train.inputs.size * member.width


def _masks(member: Member) -> NDArray[np.uint8]:
    """Draw an epoch's dropout, (L - 1, T, B, H) a batch, as PyTorch's LSTM does on a CPU."""
    masks = torch.empty(_mask_size(member), dtype=torch.uint8)
    if member.dropout > 0:
        generator = torch.Generator().manual_seed(epoch_seed(member.seed, member.epoch))
        for batch in masks.split(member.batch_size * len(masks) // len(member.train)):
            for layer in batch.chunk(member.layers - 1):
                layer.bernoulli_(1 - member.dropout, generator=generator)
    return masks.numpy()
