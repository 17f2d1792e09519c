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

from sinesweep.fused import adam, dropout, weights
from sinesweep.fused.member import Member
from sinesweep.task.series import Windows

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
        return f"{len(self.members)} in turn ({self.held / 2**20:.0f} MB)"

    @property
    def held(self) -> int:
        """The most bytes that are held at a time, without modules and the best epochs' weights."""
        rooms = sum(array.nbytes for room in self._rooms for array in room)
        draws = max(map(dropout.most_draws, self.members)) * len(self._rooms)
        trained = sum(3 * member.blocks[0].nbytes for member in self.members)
        data = {id(member.train): member.train for member in self.members}.values()
        return rooms + draws + trained + sum(one.inputs.nbytes + one.targets.nbytes for one in data)

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
        parts = (member.blocks[0], member.first[0], member.second[0])
        error = 0.0
        for rows, masks in dropout.parts_of_one(member, member.order()):
            error += self._compiled.train(
                tuple(self._networks[index]),
                *(part.numpy() for part in parts),
                tuple(adam.rates_of(member.optimizer, member.clip)),
                member.steps,
                *_tables(member.train),
                rows,
                member.batch_size,
                masks,
                np.float32(1) / np.float32(1 - member.dropout),
                tuple(room),
            )
            member.steps += -(-len(rows) // member.batch_size)
        member.epoch += 1
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
