"""How sure a comparison is: medians, and whether two differ by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sinesweep.sweep.wording import figure

FEWEST = 3  # values of each side: of less nothing can be told apart
_RESAMPLES = 2000
_SEED = 0
_LEVEL = (2.5, 97.5)  # percent


@dataclass(frozen=True)
class Comparison:
    """The best of several groups beside the next.

    Attributes:
        first: the group with the best median.
        second: the one with the next, or None where there is one group.
        interval: 95%, of the second median less the first; None where there are too few values.
    """

    first: str
    second: str | None
    interval: tuple[float, float] | None

    @property
    def is_clear(self) -> bool:
        """Whether the difference is beyond chance."""
        return self.interval is not None and self.interval[0] * self.interval[1] > 0


def compare(groups: Mapping[str, Sequence[float]], sign: int) -> Comparison:
    """Compare the medians of groups.

    Args:
        groups: values by what they have in common; none is empty.
        sign: 1 where small values are good, -1 where large ones are.
    """
    order = sorted(groups, key=lambda name: sign * float(np.median(groups[name])))
    if len(order) < 2:
        return Comparison(order[0], None, None)
    first, second = groups[order[0]], groups[order[1]]
    enough = min(len(first), len(second)) >= FEWEST
    return Comparison(order[0], order[1], difference(first, second) if enough else None)


def difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return a 95% bootstrap interval of the second's median less the first's."""
    generator = np.random.default_rng(_SEED)
    low, high = np.percentile(_medians(second, generator) - _medians(first, generator), _LEVEL)
    return float(low), float(high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95% bootstrap interval of the median."""
    low, high = np.percentile(_medians(values, np.random.default_rng(_SEED)), _LEVEL)
    return float(low), float(high)


def verdict(groups: Mapping[str, Sequence[float]], sign: int, metric: str) -> str:
    """Say in a sentence which group is best and whether that is more than chance.

    Args:
        groups: values by words for what they have in common; none is empty.
        sign: as for :func:`compare`.
        metric: what the values are called.
    """
    found = compare(groups, sign)
    which = "lowest" if sign > 0 else "highest"
    first = groups[found.first]
    if found.second is None:
        return f"Only {found.first} was completed: its median {metric} is {_described(first)}."
    text = f"{found.first} had the {which} median {metric}, {_described(first)}"
    text += f"; next was {found.second}, {_described(groups[found.second])}"
    if found.interval is None:
        return f"{text}: too few trials to tell them apart."
    if found.is_clear:
        low, high = sorted(abs(bound) for bound in found.interval)
        span = f"95% interval {figure(low)} to {figure(high)}"
        return f"{text}. The difference is beyond chance ({span})."
    return f"{text}: the difference is within noise."


def _described(values: Sequence[float]) -> str:
    count = f"{len(values)} trial{'s' if len(values) != 1 else ''}"
    return f"{figure(float(np.median(values)))} of {count}"


def _medians(values: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Return the medians of resamples, (_RESAMPLES,)."""
    known = np.asarray(values, dtype=float)
    return np.median(known[generator.integers(len(known), size=(_RESAMPLES, len(known)))], axis=1)
