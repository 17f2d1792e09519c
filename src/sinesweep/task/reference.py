"""The reference sets: fixed series on which every model of the task can be compared.

A grid over period x decay, wider than the default training range, each cell with seeded phases;
amplitude and offset are 0.5 and there is no noise. No ``data`` key changes the series. A change to
anything in this file that alters a number needs a new NAME.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sinesweep import seeds
from sinesweep.task.series import Patterns, Windows, cut

NAME = "damped-sines-v1"
PERIODS = (8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 24.0)  # steps
DECAYS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15)  # per step
LENGTH = 55  # steps
OUTPUT_STEPS = 5

_SEED = 20_261_101
_PHASES = {"val": 2, "test": 8}  # series in each cell of the grid


@dataclass(frozen=True)
class ReferenceSets:
    """The reference series as windows.

    Attributes:
        name: NAME, with the window's shape where that changes what is forecast: MAEs under
            different names are not comparable.
        val: to choose by.
        test: to report.
    """

    name: str
    val: Windows
    test: Windows


@lru_cache(maxsize=8)
def reference_sets(input_steps: int, output_steps: int) -> ReferenceSets:
    """Cut the reference series for a model's window.

    The forecast is steps 50 .. 54 however many steps are read before it. Only a window that does
    not fit, or another horizon, makes other targets and so another name.
    """
    length = max(LENGTH, input_steps + output_steps)
    standard = length == LENGTH and output_steps == OUTPUT_STEPS
    return ReferenceSets(
        name=NAME if standard else f"{NAME}/length-{length}/horizon-{output_steps}",
        val=cut(_patterns("val"), length, input_steps, output_steps),
        test=cut(_patterns("test"), length, input_steps, output_steps),
    )


def _patterns(split: str) -> Patterns:
    period, decay = np.meshgrid(PERIODS, DECAYS, indexing="ij")
    period, decay = (np.repeat(grid.ravel(), _PHASES[split]) for grid in (period, decay))
    half = np.full(len(period), 0.5)
    phase = seeds.generator(_SEED, split, "phase").uniform(0, 2 * np.pi, len(period))
    return Patterns(period=period, decay=decay, amplitude=half, phase=phase, offset=half)
