"""Which trials are the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sinesweep.sweep.entry import COMPLETE, REUSED, Entry


def ranked(entries: Iterable[Entry], directions: Sequence[str]) -> list[Entry]:
    """Return the completed trials of a sweep with one objective, best first; of equals, the first.

    A trial that took over another's values is left out: what it found, the other has. A trial that
    violates a constraint is left out, too, by all functions here, as Optuna's ``best_trial`` and
    ``best_trials`` do.
    """
    (sign,) = _signs(directions)
    return sorted(_completed(entries), key=lambda e: (sign * values_of(e)[0], e.number))


def best(entries: Iterable[Entry], directions: Sequence[str]) -> Entry | None:
    """Return the first of them."""
    (sign,) = _signs(directions)
    return min(_completed(entries), key=lambda e: (sign * values_of(e)[0], e.number), default=None)


def pareto(entries: Iterable[Entry], directions: Sequence[str]) -> list[Entry]:
    """Return the completed trials that no other dominates, by number.

    A trial dominates another if it is no worse in any objective, and better in one.
    """
    trials = _completed(entries)
    if not trials:
        return []
    costs = np.array([values_of(entry) for entry in trials]) * _signs(directions)
    front: list[Entry] = []
    members = np.empty_like(costs)
    # In this order no trial is dominated by a later one.
    for index in np.lexsort(costs.T[::-1]):
        if not _is_dominated(costs[index], members[: len(front)]):
            members[len(front)] = costs[index]
            front.append(trials[index])
    return sorted(front, key=lambda entry: entry.number)


def chosen(entries: Iterable[Entry], directions: Sequence[str]) -> list[Entry]:
    """Return what a sweep found: the best trial, or the Pareto set of several objectives."""
    if len(directions) > 1:
        return pareto(entries, directions)
    found = best(entries, directions)
    return [] if found is None else [found]


def best_values(entries: Iterable[Entry], directions: Sequence[str]) -> list[float]:
    """Return the best value of each objective, whichever trials have them; none without trials."""
    columns = zip(*(values_of(entry) for entry in _completed(entries)), strict=True)
    return [
        max(column) if direction == "maximize" else min(column)
        for column, direction in zip(columns, directions, strict=False)
    ]


def values_of(entry: Entry) -> tuple[float, ...]:
    """Return a completed trial's values."""
    assert entry.values is not None, "a completed trial has values"
    return entry.values


def _is_dominated(cost: np.ndarray, members: np.ndarray) -> bool:
    return bool(((members <= cost).all(axis=1) & (members < cost).any(axis=1)).any())


def infeasible(entries: Iterable[Entry]) -> int:
    """Return how many completed trials violate a constraint."""
    return sum(not entry.is_feasible for entry in _own(entries))


def infeasible_text(entries: Iterable[Entry]) -> str:
    """Return how many completed trials violate a constraint, in words; nothing if none does."""
    violating = infeasible(entries)
    verb = "violates" if violating == 1 else "violate"
    return f"{violating} of the complete ones {verb} a constraint" if violating else ""


def why_none(entries: Iterable[Entry]) -> str:
    """Say why a sweep has no best trial."""
    if infeasible(entries):
        return "no completed trial satisfies its constraints"
    return "no trial was completed"


def _completed(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in _own(entries) if entry.is_feasible]


def _own(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.state == COMPLETE and entry.outcome != REUSED]


def _signs(directions: Sequence[str]) -> list[int]:
    return [-1 if direction == "maximize" else 1 for direction in directions]
