"""What is computed in one batch is what each model computes alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from members import make_member, make_windows, trained
from numpy.typing import NDArray

from sinesweep.fused.batched import Batched
from sinesweep.fused.engines import OneByOne
from sinesweep.fused.in_turn import InTurn
from sinesweep.fused.member import Member

# Of one padded width, so that they are computed together, in no order of depth.
KINDS = [(2, 5, 19), (1, 8, 19), (3, 8, 19), (1, 1, 19), (3, 3, 19), (2, 8, 19)]
OPTIMIZERS = [
    partial(torch.optim.Adam, lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
    partial(torch.optim.AdamW, lr=0.02, weight_decay=0.3),
    partial(torch.optim.Adam, lr=0.01),
]
# Sums of products in another order, over a few steps: a few last bits of double precision.
EXACT = {"rtol": 0.0, "atol": 1e-12}


def make_members(dtype: torch.dtype = torch.float64, device: str = "cpu") -> list[Member]:
    """Return members that differ in all that members of a batch may differ in."""
    return [
        make_member(
            kind,
            dropout=(0.4, 0.0, 0.2)[n % 3],
            optimizer=OPTIMIZERS[n % len(OPTIMIZERS)],
            clip=(None, 0.05)[n % 2],
            dtype=dtype,
            device=device,
        )
        for n, kind in enumerate(KINDS)
    ]


def alone(members: Sequence[Member]) -> list[NDArray[np.float64]]:
    """Return what PyTorch's own LSTM makes of each."""
    return [trained(OneByOne(member))[0] for member in members]


def test_it_computes_what_pytorchs_lstm_does() -> None:
    """In double precision errors and weights are equal but for the order of sums."""
    members = make_members()
    for ours, theirs in zip(
        trained(Batched(members), of=members), alone(make_members()), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, **EXACT)


def test_neighbours_change_next_to_nothing() -> None:
    """In double precision; how many there are decides how products are computed."""
    members = make_members()
    for member, ours in zip(make_members(), trained(Batched(members), of=members), strict=True):
        (by_itself,) = trained(Batched([member]))
        np.testing.assert_allclose(ours, by_itself, **EXACT)


def test_members_that_join() -> None:
    """Those with an epoch behind them and those with none train on together as they would alone."""
    members, theirs = make_members(), make_members()
    Batched(members[::2]).train_epoch()
    for member in theirs[::2]:
        OneByOne(member).train_epoch()
    expected = alone(theirs)
    assert len({member.steps for member in members}) == 2
    for ours, other in zip(trained(Batched(members), of=members), expected, strict=True):
        np.testing.assert_allclose(ours, other, **EXACT)


def test_saturated_gates() -> None:
    """Where gates are wide open or shut, forecasts agree, too."""
    make = partial(make_member, (2, 12, 16), scale=40.0, dtype=torch.float64)
    windows = [make_windows(3)]
    ours, theirs = Batched([make()]).errors(windows), OneByOne(make()).errors(windows)
    np.testing.assert_allclose(ours, theirs, **EXACT)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="PyTorch sees no GPU: install its build for your driver on a machine that has one",
)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # In double precision README's promise, since a GPU's functions have last bits of their own; in
    # single, what two epochs make of a last bit.
    [(torch.float64, {"rtol": 0.0, "atol": 1e-9}), (torch.float32, {"rtol": 2e-3, "atol": 2e-4})],
)
def test_a_gpu_computes_what_a_cpu_does(dtype: torch.dtype, tolerance: Any) -> None:
    """Errors and weights agree with PyTorch's own LSTM on a CPU, dropout's draws among them."""
    on_gpu = make_members(dtype, "cuda")
    on_cpu = alone(make_members(dtype))
    for ours, theirs in zip(trained(Batched(on_gpu), of=on_gpu), on_cpu, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


def test_single_precision_is_the_compiled_codes() -> None:
    """Both engines compute the same in single precision, but for rounding."""
    members, others = make_members(torch.float32), make_members(torch.float32)
    for ours, theirs in zip(
        trained(Batched(members), of=members), trained(InTurn(others)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
