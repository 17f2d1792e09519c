"""What numba does between two products is what PyTorch's operations do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from sinesweep.fused import compiled, kernel
from sinesweep.fused.kernel import Backward, Forward, Shape, prepared

SHAPE = Shape(
    models=(5, 3, 1),
    width=12,
    steps=9,
    outputs=4,
    dtype=torch.float32,
    device=torch.device("cpu"),
)
BATCH = 19  # not a multiple of what a processor takes at once


def make_weights(scale: float = 0.4) -> list[torch.Tensor]:
    """Return a layer's weights each, and the head's."""
    torch.manual_seed(0)
    layers = [
        scale * torch.randn(k, kernel.GATES * SHAPE.width, SHAPE.rows(layer))
        for layer, k in enumerate(SHAPE.models)
    ]
    return [*layers, torch.randn(SHAPE.models[0], SHAPE.outputs, SHAPE.width + 1)]


def passes(weights: Sequence[torch.Tensor], series: torch.Tensor) -> list[torch.Tensor]:
    """Return the forecast, and the gradient of its sum of squares by each weight."""
    *cells, head = weights
    forward = Forward(SHAPE, BATCH, keep=True)
    masks = [torch.rand(SHAPE.steps, k, SHAPE.width, BATCH).round() * 2 for k in SHAPE.models[1:]]
    ready = prepared(SHAPE, cells, [torch.empty_like(cell) for cell in cells])
    forecast = forward(ready, head, series, masks)
    gradients = [torch.empty_like(weight) for weight in weights]
    *d_cells, d_head = gradients
    Backward(forward)(cells, head, 2 * forecast, d_cells, d_head, masks)
    return [forecast, *gradients]


def both(
    weights: Sequence[torch.Tensor], series: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return what numba and PyTorch's operations make of the same."""
    found = []
    for has_numba in (True, False):
        monkeypatch.setattr(kernel, "_HAS_NUMBA", has_numba)
        assert SHAPE.is_compiled is has_numba
        torch.manual_seed(1)
        found.append(passes(weights, series))
    return found[0], found[1]


def test_both_ways_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecasts and gradients agree to single precision, with dropout and several depths."""
    series = torch.randn(SHAPE.steps, SHAPE.models[0], 1, BATCH)
    compiled_ones, torchs = both(make_weights(), series, monkeypatch)
    for ours, theirs in zip(compiled_ones, torchs, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5 * float(theirs.abs().max()))


def test_saturated_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where gates are wide open or shut, both ways agree, too."""
    series = 30 * torch.randn(SHAPE.steps, SHAPE.models[0], 1, BATCH)
    compiled_ones, torchs = both(make_weights(scale=8), series, monkeypatch)
    torch.testing.assert_close(compiled_ones[0], torchs[0], rtol=1e-3, atol=1e-3)


def test_a_nan_stays_with_its_model() -> None:
    """A model of NaNs forecasts NaN; the others' numbers are the same to the last bit."""
    assert SHAPE.is_compiled
    series = torch.randn(SHAPE.steps, SHAPE.models[0], 1, BATCH)
    weights = make_weights()
    torch.manual_seed(1)
    before = passes(weights, series)
    for weight in weights:
        if len(weight) > 1:
            weight[1] = torch.nan
    torch.manual_seed(1)
    after = passes(weights, series)
    assert after[0][1].isnan().all()
    for old, new in zip(before, after, strict=True):
        others = [k for k in range(len(old)) if k != 1]
        assert torch.equal(old[others], new[others])


def test_tanh() -> None:
    """Its relative error is below 4e-7 wherever single precision tells it from one."""
    x = np.linspace(-12, 12, 400_001, dtype=np.float32)
    layer = np.zeros((1, 1, 4, len(x)), np.float32)
    layer[0, 0, 0] = layer[0, 0, 2] = 100  # i and o are open
    layer[0, 0, 3] = x
    cells, shown = np.zeros((2, 1, 1, len(x)), np.float32), np.zeros((1, 1, 1, len(x)), np.float32)
    read = np.zeros((2, 1, 3, len(x)), np.float32)
    compiled.forward(layer, cells, shown, read, 1, 0)
    expected = np.tanh(x.astype(np.float64))
    near = np.abs(x) > 0
    error = np.abs(cells[1, 0, 0][near] / expected[near] - 1)
    assert error.max() < 4e-7
    np.testing.assert_allclose(
        shown[0, 0, 0], np.tanh(cells[1, 0, 0].astype(np.float64)), rtol=4e-7
    )
