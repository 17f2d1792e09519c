"""How an epoch is trained: by compiled code, in one batched computation, or by PyTorch's own LSTM.

All take :class:`~sinesweep.fused.member.Member` objects and train the same numbers: which serves
is a question of speed alone.

Shapes: K members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused import adam
from sinesweep.fused.batched import Batched
from sinesweep.fused.in_turn import InTurn, is_compiled
from sinesweep.fused.member import Member
from sinesweep.task.series import Windows
from sinesweep.training.seeding import epoch_seed

# Up to how many units what is compiled is faster than PyTorch's own LSTM, whatever the depth and
# the batch: see docs/benchmarks.md. At 192 it gains next to nothing with several layers, and at
# 256 it is slower, since weights and passes leave the core's cache.
WIDEST_COMPILED = 128
# A batch in single precision on a CPU, where nothing is compiled, by units as padded, as
# benchmarks/kernel.py measures it. In double precision it goes by the same.
WIDEST_ON_A_CPU = 24


class Engine(Protocol):
    """Trains members."""

    @property
    def members(self) -> Sequence[Member]:
        """The members, in the order of what the methods return."""
        ...

    def train_epoch(self) -> NDArray[np.float64]:
        """Train one epoch of each; return (K,), the mean absolute error over it, as it went."""
        ...

    def errors(self, windows: Sequence[Windows]) -> NDArray[np.float64]:
        """Return each member's mean absolute error, (K,), on a set of its own."""
        ...

    def state(self, member: Member) -> dict[str, torch.Tensor]:
        """Return a copy of a member's weights, as its network names them."""
        ...

    @property
    def description(self) -> str:
        """What is trained how, in a few words."""
        ...


class OneByOne:
    """Trains one member with PyTorch's own LSTM and optimizer."""

    def __init__(self, member: Member) -> None:
        self.members: Sequence[Member] = [member]
        self._inputs = torch.from_numpy(member.train.inputs).to(member.like)
        self._targets = torch.from_numpy(member.train.targets).to(member.like)
        self._parameters = [p for p in member.module.parameters() if p.requires_grad]

    def train_epoch(self) -> NDArray[np.float64]:
        """Train one epoch; see :class:`Engine`."""
        (member,) = self.members
        network = member.module.network.train()
        torch.manual_seed(epoch_seed(member.seed, member.epoch))
        error = torch.zeros((), dtype=torch.float64, device=member.like.device)
        for rows in torch.from_numpy(member.order()).split(member.batch_size):
            targets = self._targets[rows]
            member.optimizer.zero_grad()
            forecast = network(self._inputs[rows])
            member.module.loss(forecast, targets).backward()
            if member.clip is not None:
                torch.nn.utils.clip_grad_norm_(self._parameters, member.clip)
            member.optimizer.step()
            error += (forecast.detach() - targets).abs().sum(dtype=torch.float64)
        member.epoch += 1
        return np.array([float(error) / self._targets.numel()])

    def errors(self, windows: Sequence[Windows]) -> NDArray[np.float64]:
        """Evaluate; see :class:`Engine`."""
        (member,), (one,) = self.members, windows
        inputs, targets = (
            torch.from_numpy(part).to(member.like) for part in (one.inputs, one.targets)
        )
        network = member.module.network.eval()
        with torch.inference_mode():
            error = (network(inputs) - targets).abs().mean(dtype=torch.float64)
        return np.array([float(error)])

    def state(self, member: Member) -> dict[str, torch.Tensor]:
        """Copy the weights; see :class:`Engine`."""
        return {name: value.clone() for name, value in member.module.network.state_dict().items()}

    @property
    def description(self) -> str:
        """Say what is trained; see :class:`Engine`."""
        (member,) = self.members
        return f"1 of {member.layers} x {member.width} alone"


def engines_of(
    members: Sequence[Member],
) -> Iterator[tuple[Sequence[Member], Callable[[], Engine]]]:
    """Choose how members are trained; yield those of each engine, and what makes it."""
    in_turn: list[Member] = []
    kinds: dict[tuple[object, ...], list[Member]] = {}
    for member in members:
        if not member.blocks and alone(member):
            yield [member], partial(OneByOne, member)
        elif is_compiled(member.like):
            in_turn.append(member)
        else:
            kinds.setdefault(member.kind, []).append(member)
    if in_turn:
        yield in_turn, partial(InTurn, in_turn)
    for together in kinds.values():
        yield together, partial(Batched, together)


def alone(member: Member) -> str | None:
    """Return why PyTorch's own LSTM trains a member, or None where it does not."""
    if member.like.device.type == "cpu":
        if is_compiled(member.like):
            widest, width = WIDEST_COMPILED, member.width
        else:
            widest, width = WIDEST_ON_A_CPU, member.padded
        if width > widest:
            return f"a network of more than {widest} units is as fast alone on a CPU"
    return adam.refusal(member.optimizer)
