"""What is compiled computes what PyTorch does, and each network by itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from members import KINDS, make_member, make_windows, trained

from sinesweep.fused import dropout as drawing
from sinesweep.fused.compiled import LANES
from sinesweep.fused.engines import OneByOne
from sinesweep.fused.in_turn import InTurn
from sinesweep.fused.member import Member


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
        partial(torch.optim.AdamW, lr=0.02, eps=1e-3, weight_decay=0.3),
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


def moved(member: Member) -> Member:
    """Return a member with each weight moved by a unit in its last place, or not at all."""
    drawn = torch.Generator().manual_seed(member.seed)
    with torch.no_grad():
        for weight in member.module.parameters():
            toward = weight + torch.randint(-1, 2, weight.shape, generator=drawn)
            weight.copy_(torch.nextafter(weight, toward))
    return member


@pytest.mark.slow
def test_it_is_no_farther_from_pytorchs_lstm_than_a_last_bit() -> None:
    """In the median of some networks, over 90 steps; rounding in each adds to the first's."""
    kinds = [(layers, width, 16) for layers in (1, 2, 3) for width in (6, 17, 24)]
    make = partial(make_member, optimizer=partial(torch.optim.Adam, lr=0.01))
    theirs, beside = (
        [trained(OneByOne(change(make(kind))), 30)[0] for kind in kinds]
        for change in (lambda member: member, moved)
    )
    ours = trained(InTurn([*map(make, kinds)]), 30)
    distances = [
        np.median([np.linalg.norm(a - b) for a, b in zip(theirs, found, strict=True)])
        for found in (ours, beside)
    ]
    # They are about equal, but other processors round otherwise. A mistake would be far beyond: of
    # the weights' norm, some 10, either is a millionth.
    assert distances[0] < 4 * distances[1]


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


def test_draws_in_parts_are_those_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout's draws for a batch at a time, or for a whole epoch, train the same weights."""
    kinds = [kind for kind in KINDS if kind[0] > 1]
    whole, parts = [], []
    for most, found in ((2**20, whole), (1, parts)):
        monkeypatch.setattr(drawing, "MOST_OF_ONE", most)
        members = [make_member(kind, dropout=0.3) for kind in kinds]
        found += trained(InTurn(members))
        assert [member.steps for member in members] == [2 * -(-45 // kind[2]) for kind in kinds]
    for one, other in zip(whole, parts, strict=True):
        # The error is summed up otherwise, in double precision; weights are the same bits.
        np.testing.assert_allclose(one[:3], other[:3], rtol=1e-14)
        np.testing.assert_array_equal(one[3:], other[3:])


def test_what_is_held() -> None:
    """A room a thread, thrice each one's weights, and once a set that is shared.

    The room is as README says: passes on as many series as are taken at a time, and a gradient.
    """
    members = [make_member(kind) for kind in ((2, 24, 32), (1, 8, 32))]
    members[1].train = members[0].train
    engine = InTurn(members)
    rooms = sum(array.nbytes for room in engine._rooms for array in room)
    steps = members[0].train.inputs.shape[1]
    passes = 4 * LANES * steps * 24 * (7 * 2 + 1)
    gradient = 4 * max(network.parameters for network in engine._networks)
    assert rooms == pytest.approx((passes + gradient) * len(engine._rooms), rel=0.1)
    parameters = sum(network.parameters for network in engine._networks)
    data = members[0].train.inputs.nbytes + members[0].train.targets.nbytes
    assert engine.held == rooms + 3 * 4 * parameters + data
