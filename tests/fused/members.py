"""Members that tests of the engines train, on noise: what is right for it is right for sines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sinesweep.fused.engines import Engine
from sinesweep.fused.member import Member
from sinesweep.task.module import Forecaster
from sinesweep.task.series import Patterns, Windows

STEPS, OUTPUTS, ROWS = 9, 5, 45
# (layers, width, batch_size): tiles of 8, 4 and 1 rows with and without a rest, batches that are
# no multiple of what a processor takes at once.
KINDS = [(1, 1, 7), (1, 3, 45), (2, 5, 19), (3, 8, 16), (2, 9, 32), (1, 20, 1), (2, 31, 24)]

# A large eps: where a gradient is next to nothing, its rounding does not decide the step.
ADAM = partial(torch.optim.Adam, lr=0.01, eps=1e-3)


def make_windows(seed: int, rows: int = ROWS) -> Windows:
    """Return noise."""
    rng = np.random.default_rng(seed)
    tables = (rng.normal(size=(rows, n)).astype(np.float32) for n in (STEPS, OUTPUTS))
    inputs, targets = tables
    return Windows(inputs, targets, Patterns(*[np.zeros(rows)] * 5))


def make_member(
    kind: tuple[int, int, int],
    *,
    dropout: float = 0.0,
    optimizer: partial[Any] = ADAM,
    clip: float | None = None,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    evaluated: tuple[int, ...] = (),
) -> Member:
    """Return a network, the same for the same arguments."""
    layers, width, batch_size = kind
    torch.manual_seed(width)
    module = Forecaster(
        layers=layers,
        width=width,
        dropout=dropout,
        initialization="pytorch",
        output_steps=OUTPUTS,
        optimizer=optimizer,
        scheduler=partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    )
    module.to(dtype=dtype, device=device)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)
    made = module.configure_optimizers()["optimizer"]
    train = make_windows(width)
    return Member(module, made, train, batch_size, seed=width, clip=clip, evaluated=evaluated)


def trained(
    engine: Engine, epochs: int = 2, of: Sequence[Member] | None = None
) -> list[NDArray[np.float64]]:
    """Return each member's errors and weights after some epochs, in one vector.

    Args:
        engine: trains them.
        epochs: how many.
        of: the members in the wanted order; an engine may have one of its own.
    """
    errors = [engine.train_epoch() for _ in range(epochs)]
    errors.append(engine.errors([make_windows(99, 21)] * len(engine.members)))
    places = {member: index for index, member in enumerate(engine.members)}
    return [
        np.concatenate(
            [[error[places[member]] for error in errors]]
            + [value.flatten().double().cpu().numpy() for value in engine.state(member).values()]
        )
        for member in of or engine.members
    ]
