"""Who trains what, and that a neighbour's NaN reaches nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import torch
from members import make_member, trained

from sinesweep.fused import in_turn
from sinesweep.fused.batched import Batched
from sinesweep.fused.engines import WIDEST_COMPILED, WIDEST_ON_A_CPU, Engine, alone, engines_of
from sinesweep.fused.in_turn import InTurn
from sinesweep.fused.member import Member


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(InTurn, torch.float32), (Batched, torch.float32), (Batched, torch.float64)],
)
def test_a_nan_stays_with_its_model(
    kind: Callable[[Sequence[Member]], Engine], dtype: torch.dtype
) -> None:
    """Others have the bits that they have beside as many of which none diverged."""
    make = partial(make_member, dtype=dtype, dropout=0.2, clip=0.5)
    calm = ((2, 5, 16), (1, 8, 16), (2, 8, 16))

    def beside(wild: tuple[int, int, int], *, diverged: bool) -> tuple[list[Member], Engine]:
        members = [make(wild), *map(make, calm)]
        if diverged:
            with torch.no_grad():
                members[0].like.fill_(torch.nan)
        return members, kind(members)

    for wild in ((3, 7, 16), (1, 7, 16)):  # the deepest is the first of a batch
        usual, among = (beside(wild, diverged=diverged) for diverged in (False, True))
        expected, found = (trained(engine, of=members) for members, engine in (usual, among))
        assert np.isfinite(expected[0]).all()
        assert np.isnan(found[0][:3]).all()
        for one, other in zip(found[1:], expected[1:], strict=True):
            np.testing.assert_array_equal(one, other)


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


def test_what_is_wider_than_pays_is_trained_alone() -> None:
    """Compiled up to a width of its own; in double precision, where nothing is, up to another."""
    for widest, dtype in ((WIDEST_COMPILED, torch.float32), (WIDEST_ON_A_CPU, torch.float64)):
        just, beyond = (make_member((1, widest + n, 32), dtype=dtype) for n in (0, 1))
        reason = f"a network of more than {widest} units is as fast alone on a CPU"
        assert [alone(just), alone(beyond)] == [None, reason]
        kinds = [kind for kind, _ in shares([make() for _, make in engines_of([just, beyond])])]
        assert "OneByOne" in kinds
        assert len(kinds) == 2


def test_the_same_width_serves_alone_and_among_others() -> None:
    """Whoever trains beside it, so that a run of its own has a trial's bits."""
    wide, narrow = make_member((1, WIDEST_COMPILED + 1, 32)), make_member((1, 8, 32))
    ((of_itself, _),) = engines_of([wide])
    among = [members for members, _ in engines_of([narrow, wide])]
    assert list(of_itself) in [list(members) for members in among]
