"""What the compiled code is written with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from sinesweep.fused import compiled


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
