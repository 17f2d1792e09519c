"""Dropout's draws are bounded, and the same however they are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from members import OUTPUTS, ROWS, STEPS, make_member

from sinesweep.fused import dropout
from sinesweep.fused.kernel import Shape
from sinesweep.fused.member import Member


def test_draws_of_one_member_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part has as many whole batches as fit, and one where none does."""
    member = make_member((3, 8, 16), dropout=0.3)
    a_batch = 2 * STEPS * 8 * 16
    order = member.order()
    for most, expected in ((2**20, [45]), (2 * a_batch + 1, [32, 13]), (7, [16, 16, 13])):
        monkeypatch.setattr(dropout, "MOST_OF_ONE", most)
        parts = list(dropout.parts_of_one(member, order))
        assert [len(rows) for rows, _ in parts] == expected
        np.testing.assert_array_equal(np.concatenate([rows for rows, _ in parts]), order)
        assert [len(drawn) for _, drawn in parts] == [2 * STEPS * 8 * n for n in expected]
        assert dropout.most_draws(member) == max(len(drawn) for _, drawn in parts)


@pytest.mark.parametrize("kind", [(1, 8, 16), (2, 8, 16)])
def test_without_dropout_nothing_is_drawn(kind: tuple[int, int, int]) -> None:
    """One part has all rows; a single layer has no place between layers."""
    member = make_member(kind, dropout=0.3 if kind[0] == 1 else 0.0)
    ((rows, drawn),) = dropout.parts_of_one(member, member.order())
    assert len(rows) == ROWS
    assert len(drawn) == dropout.most_draws(member) == 0
    assert dropout.Masks([member], shape_of([member]), [16, 16, 13]).next() is None


def shape_of(members: list[Member]) -> Shape:
    """Return the shape of a computation of members in order of depth."""
    layers = range(members[0].layers)
    models = tuple(sum(member.layers > layer for member in members) for layer in layers)
    return Shape(models, 8, STEPS, OUTPUTS, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize("most", [2**26, 30_000, 1])
def test_masks_are_those_that_each_member_draws(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """0 or 1 / (1 - p) as PyTorch's LSTM draws them; one in padding and without dropout."""
    monkeypatch.setattr(dropout, "MOST_OF_ALL", most)
    batches = [16, 16, 13]
    kinds = (((3, 8, 16), 0.3), ((2, 5, 16), 0.45), ((2, 8, 16), 0.0), ((1, 8, 16), 0.3))
    members = [make_member(kind, dropout=p) for kind, p in kinds]
    masks = dropout.Masks(members, shape_of(members), batches)
    drawn = [
        torch.from_numpy(np.concatenate([d for _, d in dropout.parts_of_one(m, m.order())]))
        for m in members[:2]
    ]
    starts = [0, 0]
    for batch in batches:
        found = masks.next()
        assert found is not None
        assert [mask.shape for mask in found] == [(STEPS, k, 8, batch) for k in (3, 1)]
        for index, member in enumerate(members[:2]):
            for mask in found[: member.layers - 1]:
                size = STEPS * batch * member.width
                own = drawn[index][starts[index] : starts[index] + size]
                starts[index] += size
                expected = own.view(STEPS, batch, member.width).double().div(1 - member.dropout)
                torch.testing.assert_close(
                    mask[:, index, : member.width], expected.transpose(1, 2), rtol=0, atol=0
                )
        assert (found[0][:, 2] == 1).all()
