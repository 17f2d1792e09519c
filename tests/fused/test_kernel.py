"""What is compiled computes what PyTorch does, and each network by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit
from numpy.typing import NDArray

from sinesweep.fused import adam, compiled, in_turn
from sinesweep.fused.engines import Engine, OneByOne, engines_of
from sinesweep.fused.in_turn import InTurn
from sinesweep.fused.member import Member
from sinesweep.task.module import Forecaster
from sinesweep.task.series import Patterns, Windows

STEPS, OUTPUTS, ROWS = 9, 5, 45
# (layers, width, batch_size): tiles of 8, 4 and 1 rows with and without a rest, batches that are
# no multiple of what a processor takes at once.
KINDS = [(1, 1, 7), (1, 3, 45), (2, 5, 19), (3, 8, 16), (2, 9, 32), (1, 20, 1), (2, 31, 24)]

ADAM = partial(torch.optim.Adam, lr=0.01)


def make_windows(seed: int, rows: int = ROWS) -> Windows:
    """Return noise: what is right for it is right for sines."""
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
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)
    made = module.configure_optimizers()["optimizer"]
    return Member(module, made, make_windows(width), batch_size, seed=width, clip=clip)


def trained(engine: Engine, epochs: int = 2) -> list[NDArray[np.float64]]:
    """Return each member's errors and weights after some epochs, in one vector."""
    errors = [engine.train_epoch() for _ in range(epochs)]
    errors.append(engine.errors([make_windows(99, 21)] * len(engine.members)))
    return [
        np.concatenate(
            [[error[index] for error in errors]]
            + [value.flatten().double().numpy() for value in engine.state(member).values()]
        )
        for index, member in enumerate(engine.members)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_it_computes_what_pytorchs_lstm_does(kind: tuple[int, int, int], dropout: float) -> None:
    """Errors and weights agree to single precision after two epochs, dropout's draws included."""
    make = partial(make_member, kind, dropout=dropout, clip=0.5)
    (ours,), (theirs,) = trained(InTurn([make()])), trained(OneByOne(make()))
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.Adam, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
        partial(torch.optim.AdamW, lr=0.02, weight_decay=0.3),
    ],
)
def test_optimizers(optimizer: partial[Any]) -> None:
    """Both kinds of weight decay, and arguments other than the defaults, are PyTorch's."""
    make = partial(make_member, (2, 6, 16), optimizer=optimizer)
    (ours,), (theirs,) = trained(InTurn([make()])), trained(OneByOne(make()))
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_saturated_gates() -> None:
    """Where gates are wide open or shut, forecasts agree, too."""
    make = partial(make_member, (2, 12, 16), scale=40.0)
    windows = [make_windows(3)]
    ours, theirs = InTurn([make()]).errors(windows), OneByOne(make()).errors(windows)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_neighbours_change_not_one_bit() -> None:
    """What a network computes is the same alone, among others in any order, and in threads."""
    alone = [trained(InTurn([make_member(kind)]))[0] for kind in KINDS]
    among = trained(InTurn([make_member(kind) for kind in KINDS[::-1]]))[::-1]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        in_threads = trained(InTurn([make_member(kind) for kind in KINDS]))
    finally:
        torch.set_num_threads(threads)
    for one, other, third in zip(alone, among, in_threads, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


def test_a_nan_stays_with_its_model() -> None:
    """What a diverged network leaves behind in memory does not reach the one after it."""
    wild = make_member((3, 31, 24))
    with torch.no_grad():
        wild.like.fill_(torch.nan)
    found = trained(InTurn([wild, *map(make_member, KINDS)]))
    assert np.isnan(found[0][:3]).all()
    for one, kind in zip(found[1:], KINDS, strict=True):
        np.testing.assert_array_equal(one, trained(InTurn([make_member(kind)]))[0])


@pytest.mark.parametrize("clip", [0.1, None])
@pytest.mark.parametrize("extreme", [0.5, 1e30, torch.inf, torch.nan])
def test_a_step_by_a_gradient_that_overflows(clip: float | None, extreme: float) -> None:
    """It is PyTorch's, clipped or not, and no neighbour's in a batch has a part in it."""
    gradient, weights = torch.full((3, 2), 0.2), torch.ones(3, 2)
    gradient[1, 1] = extreme
    parameter = torch.nn.Parameter(weights.clone())
    parameter.grad = gradient.clone()
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([parameter], clip)
    rates = adam.rates_of(optimizer, clip)
    optimizer.step()
    expected = parameter.detach()

    alone = weights.flatten().numpy().copy()
    moments = np.zeros((2, 6), np.float32)
    compiled.step(alone, *moments, gradient.flatten().numpy().copy(), tuple(rates), 1)
    torch.testing.assert_close(torch.from_numpy(alone).view(3, 2), expected, equal_nan=True)

    neighbours = [rates, adam.rates_of(optimizer, 0.3), adam.rates_of(optimizer, None)]
    stacked = torch.stack([weights] * 3)
    zeros = [torch.zeros_like(stacked) for _ in range(2)]
    together = adam.Adam(neighbours, [0] * 3, [stacked], [zeros[0]], [zeros[1]])
    together.step([torch.stack([gradient, torch.ones(3, 2), gradient])])
    torch.testing.assert_close(stacked[0], expected, equal_nan=True)
    assert stacked[1].isfinite().all()
    if clip is None:
        torch.testing.assert_close(stacked[2], expected, equal_nan=True)


def shares(engines: Sequence[Engine]) -> list[tuple[str, int]]:
    """Return which engine trains how many."""
    return sorted((type(engine).__name__, len(engine.members)) for engine in engines)


def test_who_trains_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled, all that Adam trains; without numba, what is narrow, by kinds; else PyTorch."""
    sgd = make_member((1, 8, 32), optimizer=partial(torch.optim.SGD, lr=0.1))
    members = [*(make_member(kind) for kind in ((1, 8, 32), (2, 7, 32), (1, 80, 32))), sgd]
    assert shares([make() for _, make in engines_of(members)]) == [("InTurn", 3), ("OneByOne", 1)]
    for member in members:
        member.blocks = []
    monkeypatch.setattr(in_turn, "_HAS_NUMBA", False)
    assert shares([make() for _, make in engines_of(members)]) == [
        ("Batched", 2),
        ("OneByOne", 1),
        ("OneByOne", 1),
    ]


@compiled.written
def unit_of_tanh(code: Any, x: Any, at: Any) -> None:
    """Write tanh in the place of what is read."""
    place = code.at(x, at)
    code.store(compiled.tanh(code.load(place)), place)


@njit
def in_place(x: Any) -> None:
    """Replace numbers by their tanh."""
    for at in range(0, len(x), compiled.LANES):
        unit_of_tanh(x, at)


def test_tanh() -> None:
    """Its relative error is below 4e-7 wherever single precision tells it from one."""
    x = np.linspace(-12, 12, 400_000, dtype=np.float32)
    expected = np.tanh(x.astype(np.float64))
    in_place(x)
    assert np.abs(x / expected - 1).max() < 4e-7
    nothing = np.full(compiled.LANES, np.nan, np.float32)
    in_place(nothing)
    assert np.isnan(nothing).all()
