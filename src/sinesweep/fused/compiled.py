"""What a step of time does between two products, compiled: one pass over memory instead of twenty.

For single precision on a CPU. numba compiles it when it is first imported and keeps the result;
the kernel does the same with PyTorch's operations where numba is not installed, on a GPU, and in
double precision.

tanh is a quotient of two polynomials of degree 4 in x**2 that was fitted by least squares, weighted
until the largest relative error is least, on [0, 9]; beyond, it is one to single precision. Its
relative error is below 4e-7 there, and sigmoid(x) = (1 + tanh(x / 2)) / 2. A NaN stays one.

Shapes: T steps, K models, H hidden size, B batch, R what a layer reads for each series.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float32, int64, njit, void

_P0, _P1, _P2, _P3, _P4 = (
    np.float32(number)
    for number in (
        0.999999979470677,
        0.1338102413385846,
        0.0034955862367005747,
        2.0609046864634717e-05,
        1.3354604016309903e-08,
    )
)
_Q1, _Q2, _Q3, _Q4 = (
    np.float32(number)
    for number in (
        0.4671433973037362,
        0.02587697527484969,
        0.00032856315413379013,
        7.776536548244544e-07,
    )
)
_LARGEST = np.float32(9)
_ONE, _HALF = np.float32(1), np.float32(0.5)
_OPTIONS: dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}
_BY_STEP = float32[:, :, :, ::1]
_ONE_STEP = float32[:, :, ::1]


def _compiled(signature: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        try:
            return njit(signature, cache=True, **_OPTIONS)(function)
        except RuntimeError:  # nowhere to keep it: each process compiles it anew
            return njit(signature, **_OPTIONS)(function)

    return decorate


@njit(inline="always", **_OPTIONS)
def _tanh(x: Any) -> Any:
    if x > _LARGEST:
        x = _LARGEST
    if x < -_LARGEST:
        x = -_LARGEST
    y = x * x
    above = (((_P4 * y + _P3) * y + _P2) * y + _P1) * y + _P0
    below = (((_Q4 * y + _Q3) * y + _Q2) * y + _Q1) * y + _ONE
    return x * above / below


@njit(inline="always", **_OPTIONS)
def _sigmoid(x: Any) -> Any:
    return _HALF + _HALF * _tanh(_HALF * x)


@_compiled(void(_BY_STEP, _BY_STEP, _BY_STEP, _BY_STEP, int64, int64))
def forward(gates: Any, cells: Any, shown: Any, read: Any, below: int, step: int) -> None:
    """Go from the gates' inputs to the cell and the output.

    Args:
        gates: (T, K, 4H, B): the inputs of i, f, o, g, replaced by what they let through.
        cells: (T + 1, K, H, B): read at this step, written at the next.
        shown: (T, K, H, B): takes tanh of the cell.
        read: (T + 1, K, R, B): takes the output, behind I + 1 rows, at the next step.
        below: I.
        step: in 0 .. T - 1.
    """
    width = shown.shape[2]
    for k in range(shown.shape[1]):
        for h in range(width):
            gate_i, gate_f = gates[step, k, h], gates[step, k, width + h]
            gate_o, gate_g = gates[step, k, 2 * width + h], gates[step, k, 3 * width + h]
            before, after = cells[step, k, h], cells[step + 1, k, h]
            tanh_of_cell, output = shown[step, k, h], read[step + 1, k, below + 1 + h]
            for b in range(shown.shape[3]):
                i, f = _sigmoid(gate_i[b]), _sigmoid(gate_f[b])
                o, g = _sigmoid(gate_o[b]), _tanh(gate_g[b])
                cell = f * before[b] + i * g
                squashed = _tanh(cell)
                gate_i[b], gate_f[b], gate_o[b], gate_g[b] = i, f, o, g
                after[b], tanh_of_cell[b], output[b] = cell, squashed, o * squashed


@_compiled(void(_BY_STEP, _BY_STEP, _BY_STEP, _ONE_STEP, _ONE_STEP, _ONE_STEP, int64, int64))
def backward(
    gates: Any,
    cells: Any,
    shown: Any,
    d_read: Any,
    d_cell: Any,
    d_gates: Any,
    below: int,
    step: int,
) -> None:
    """Go from the gradients of output and cell to those of the gates' inputs.

    Args:
        gates, cells, shown: as :func:`forward` left them.
        d_read: (K, R, B): the output's gradient, behind I + 1 rows.
        d_cell: (K, H, B): the gradient of the cell after this step, replaced by that before.
        d_gates: (K, 4H, B): takes those of the gates' inputs.
        below: I.
        step: in 0 .. T - 1.
    """
    width = shown.shape[2]
    for k in range(shown.shape[1]):
        for h in range(width):
            gate_i, gate_f = gates[step, k, h], gates[step, k, width + h]
            gate_o, gate_g = gates[step, k, 2 * width + h], gates[step, k, 3 * width + h]
            before, tanh_of_cell = cells[step, k, h], shown[step, k, h]
            d_output, d_c = d_read[k, below + 1 + h], d_cell[k, h]
            d_i, d_f = d_gates[k, h], d_gates[k, width + h]
            d_o, d_g = d_gates[k, 2 * width + h], d_gates[k, 3 * width + h]
            for b in range(shown.shape[3]):
                i, f, o, g = gate_i[b], gate_f[b], gate_o[b], gate_g[b]
                squashed, d_out = tanh_of_cell[b], d_output[b]
                d = d_c[b] + d_out * o * (_ONE - squashed * squashed)
                d_i[b] = d * g * i * (_ONE - i)
                d_f[b] = d * before[b] * f * (_ONE - f)
                d_o[b] = d_out * squashed * o * (_ONE - o)
                d_g[b] = d * i * (_ONE - g * g)
                d_c[b] = d * f
