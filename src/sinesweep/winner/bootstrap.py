"""How sure a mean over seeds is: percentile bootstrap intervals.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sinesweep import seeds

CONFIDENCE = 0.95
RESAMPLES = 10_000
_SEED = 0


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the interval that the mean lies in with 95 % confidence.

    The same values give the same interval.

    Args:
        values: two or more, drawn independently. To compare two means over the same seeds, give
            the differences, seed by seed.
    """
    array = np.asarray(values, dtype=np.float64)
    generator = seeds.generator(_SEED, "bootstrap")
    drawn = generator.integers(0, len(array), size=(RESAMPLES, len(array)))
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(array[drawn].mean(axis=1), [outside, 1 - outside])
    return float(low), float(high)
