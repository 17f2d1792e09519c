"""What a batched computation says that it holds is what it holds."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import partial

import pytest
import torch
from members import make_member, make_windows

from sinesweep.fused import adam
from sinesweep.fused.batched import Batched
from sinesweep.fused.memory import held


def bytes_of_tensors() -> int:
    """Return the bytes of all tensors that there are."""
    found = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in found)}.values())


@pytest.mark.parametrize(("shared", "dropout"), [(True, 0.3), (False, 0.3), (False, 0.0)])
def test_what_is_held(monkeypatch: pytest.MonkeyPatch, dropout: float, shared: bool) -> None:
    """It is most while the last batch's step is taken, an epoch after the first evaluation."""
    kinds = ((3, 31, 32), (2, 25, 32), (2, 32, 32), (1, 32, 32))
    make = partial(make_member, dropout=dropout, evaluated=(130, 21), dtype=torch.float64)
    members = [*map(make, kinds)]
    if shared:
        for member in members:
            member.train = members[0].train
    gc.collect()
    before, most = bytes_of_tensors(), []
    engine = Batched(members)
    engine.train_epoch()
    for rows in (130, 21):
        engine.errors([make_windows(7, rows)] * len(members))
    step = adam.Adam.step

    def watched(self: adam.Adam, gradients: Sequence[torch.Tensor]) -> None:
        step(self, gradients)
        most.append(bytes_of_tensors() - before)

    monkeypatch.setattr(adam.Adam, "step", watched)
    engine.train_epoch()
    # What one step and one model need in between, such as the loss, is not counted.
    assert held(engine._shape, engine.members) == pytest.approx(max(most), rel=0.02)
