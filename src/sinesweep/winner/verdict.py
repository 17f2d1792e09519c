"""What replicas say: each point's mean with its interval, and whether the first is the best."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sinesweep.redaction import redact_tree
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.space import point_key
from sinesweep.winner.bootstrap import CONFIDENCE, RESAMPLES, mean_interval
from sinesweep.winner.replication import Replica, value_of, values_by_seed

ENOUGH = 10  # seeds, from which on the percentile bootstrap covers about what it says
_SETS = ("train", "training", "val", "valid", "validation", "test", "reference")
_LEAST = 2  # seeds that an interval can be drawn from


@dataclass(frozen=True)
class Verdict:
    """A replication's result, as JSON has it.

    Attributes:
        content: ``sweep``, ``metric``, ``direction``, ``confidence``, ``resamples``; ``points``,
            each with ``rank``, ``label``, ``trial``, ``params``, ``values`` by seed, ``mean``,
            ``interval``, ``sweep_value`` (like ``trial`` null where a value was changed);
            ``comparison`` of the first two, or null; ``pairs``, the comparisons of all; and
            ``conclusion``.
    """

    content: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The first point against the second, seed by seed.

    Attributes:
        first, second: the points' labels.
        difference: of the means over the seeds that both have, the first less the second.
        interval: of the difference, with 95 % confidence.
        seeds: how many.
    """

    first: str
    second: str
    difference: float
    interval: tuple[float, float]
    seeds: int

    @property
    def distinguishable(self) -> bool:
        """Whether the interval excludes 0."""
        low, high = self.interval
        return low > 0 or high < 0


def judge(archive: Archive, replicas: Sequence[Replica], metric: str, seeds: int) -> Verdict:
    """Compare replicas that have been trained.

    Args:
        archive: the sweep that they are points of.
        replicas: the points, the best first.
        metric: what to compare: an objective's name, or a metric's.
        seeds: how many of each point.
    """
    found = [values_by_seed(archive, replica, metric, seeds) for replica in replicas]
    direction = direction_of(archive, metric)
    comparison = None
    if len(replicas) > 1 and len(archive.directions) == 1:
        comparison = compare(replicas[0].label, replicas[1].label, *found[:2])
    pairs = [
        compare(first.label, second.label, values, others)
        for (first, values), (second, others) in combinations(zip(replicas, found, strict=True), 2)
    ]
    points = [
        _point(archive, replica, metric, values)
        for replica, values in zip(replicas, found, strict=True)
    ]
    return Verdict(
        {
            "sweep": archive.name,
            "metric": metric,
            "direction": direction,
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "points": points,
            "comparison": comparison and _told(comparison),
            "pairs": [_told(pair) for pair in pairs if pair],
            "conclusion": _conclusion(archive, replicas, comparison, pairs, metric),
        }
    )


def _conclusion(
    archive: Archive,
    replicas: Sequence[Replica],
    first_two: Comparison | None,
    pairs: Sequence[Comparison | None],
    metric: str,
) -> str:
    direction = direction_of(archive, metric)
    if len({replica.entry.number for replica in replicas}) < len(replicas):  # of one key's values
        return "\n".join(conclude(pair, metric, direction) for pair in pairs)
    if len(archive.directions) > 1:
        return "These points are of a Pareto set, in which none is before another."
    return conclude(first_two, metric, direction)


def _told(comparison: Comparison) -> dict[str, Any]:
    return {**vars(comparison), "distinguishable": comparison.distinguishable}


def direction_of(archive: Archive, metric: str) -> str:
    """Return whether more or less of a metric is better.

    A metric that measures what an objective measures, on another set, has its direction.
    """
    known = dict(zip(archive.objectives, archive.directions, strict=True))
    if metric in known:
        return known[metric]
    for objective, direction in known.items():
        if _quantity(objective) == _quantity(metric):
            return direction
    return "maximize" if metric.endswith("skill") else "minimize"


def _quantity(metric: str) -> str:
    """Return ``mae`` for ``val/mae``, ``test_mae`` or ``reference/test_mae``."""
    words = re.split(r"[/_]", metric)
    return "_".join(word for word in words if word not in _SETS)


def compare(
    first: str, second: str, values: Mapping[int, float], others: Mapping[int, float]
) -> Comparison | None:
    """Compare two points by the seeds that both have; None where these are fewer than two."""
    differences = [values[seed] - others[seed] for seed in values if seed in others]
    if len(differences) < _LEAST:
        return None
    mean = sum(differences) / len(differences)
    return Comparison(first, second, mean, mean_interval(differences), len(differences))


def conclude(comparison: Comparison | None, metric: str, direction: str) -> str:
    """Say in a sentence whether the first point can be told from the second."""
    if comparison is None:
        return "There are not two points with two seeds in common to be compared."
    low, high = comparison.interval
    first, second = comparison.first, comparison.second
    if not comparison.distinguishable:
        verdict = f"{first} cannot be told from {second}"
    elif (comparison.difference < 0) == (direction == "minimize"):
        verdict = f"{first} is better than {second}"
    else:
        verdict = f"{second} is better than {first}"
    sentence = (
        f"{verdict}: their mean {metric} differs by {comparison.difference:+.3g}, and the 95 % "
        f"interval of that over {comparison.seeds} seeds, {low:+.3g} .. {high:+.3g}, "
        f"{'excludes' if comparison.distinguishable else 'includes'} 0."
    )
    few = comparison.seeds < ENOUGH
    warning = f" Intervals of fewer than {ENOUGH} seeds are too narrow: give more." if few else ""
    return sentence + warning


def _point(
    archive: Archive, replica: Replica, metric: str, values: Mapping[int, float]
) -> dict[str, Any]:
    numbers = list(values.values())
    # and not with a value changed
    is_own = point_key(replica.params) == point_key(replica.entry.params)
    return {
        "rank": replica.rank,
        "label": replica.label,
        "trial": replica.entry.number if is_own else None,
        "params": redact_tree(dict(replica.params)),
        "replicated_as": replica.folder.name,
        "values": {str(seed): value for seed, value in values.items()},
        "mean": sum(numbers) / len(numbers) if numbers else None,
        "interval": list(mean_interval(numbers)) if len(numbers) >= _LEAST else None,
        "sweep_value": value_of(archive, replica.entry, metric) if is_own else None,
    }
