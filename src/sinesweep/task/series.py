"""Damped sines: the formula, the patterns they are drawn from, and the windows a model sees.

Shapes: N series, T steps of a series, I input steps, O output steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sinesweep import seeds

Array = NDArray[np.float64]

QUANTITIES = ("period", "decay", "amplitude", "phase", "offset")


@dataclass(frozen=True)
class Patterns:
    """What each series is made of; every array has shape (N,) and dtype float64.

    Attributes:
        period: steps.
        decay: per step.
        amplitude, offset: in the unit of the series.
        phase: radians.
    """

    period: Array
    decay: Array
    amplitude: Array
    phase: Array
    offset: Array

    def __len__(self) -> int:
        return len(self.period)

    def table(self) -> Array:
        """Return the patterns as rows, shape (N, 5), columns in the order of QUANTITIES."""
        return np.stack([getattr(self, name) for name in QUANTITIES], axis=1)


@dataclass(frozen=True)
class Windows:
    """What a model reads and has to forecast, and the patterns behind it.

    Attributes:
        inputs: (N, I), float32.
        targets: (N, O), float32: the steps right after the inputs.
        patterns: of length N.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    patterns: Patterns

    def __len__(self) -> int:
        return len(self.inputs)

    def fingerprint(self) -> str:
        """Return the SHA-256 of shapes and values, in hexadecimal."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return digest.hexdigest()


def damped_sines(patterns: Patterns, length: int) -> Array:
    """Evaluate ``offset + amplitude * sin(2 pi i / period + phase) * exp(-decay * i)``.

    Args:
        patterns: N patterns.
        length: T, the number of steps; i runs from 0 to T - 1.

    Returns:
        (N, T), float64.
    """
    i = np.arange(length)
    angle = 2 * np.pi * i / patterns.period[:, None] + patterns.phase[:, None]
    damping = np.exp(-patterns.decay[:, None] * i)
    return patterns.offset[:, None] + patterns.amplitude[:, None] * np.sin(angle) * damping


def draw(count: int, ranges: Mapping[str, tuple[float, float]], seed: int, split: str) -> Patterns:
    """Draw patterns uniformly, each quantity from a generator of its own.

    The first n patterns are the same for every count, and no other split or range changes them.

    Args:
        count: N.
        ranges: low and high of each of QUANTITIES.
        seed: the data's seed.
        split: the name of the split, a stream of its own.
    """
    columns = {
        name: seeds.generator(seed, split, name).uniform(*ranges[name], size=count)
        for name in QUANTITIES
    }
    return Patterns(**columns)


def cut(
    patterns: Patterns,
    length: int,
    input_steps: int,
    output_steps: int,
    input_noise: Array | None = None,
    target_noise: Array | None = None,
) -> Windows:
    """Make windows at the end of each series.

    The forecast is always the last ``output_steps`` of ``length``, so that models that read
    more or fewer steps are judged on the same numbers.

    Args:
        patterns: N patterns.
        length: T; at least ``input_steps + output_steps``.
        input_steps: I.
        output_steps: O.
        input_noise: (N, T), added to what is read, or None.
        target_noise: (N, T), added to what is to be forecast, or None.
    """
    clean = damped_sines(patterns, length)
    seen = clean if input_noise is None else clean + input_noise
    wanted = clean if target_noise is None else clean + target_noise
    start = length - output_steps
    return Windows(
        inputs=seen[:, start - input_steps : start].astype(np.float32),
        targets=wanted[:, start:].astype(np.float32),
        patterns=patterns,
    )
