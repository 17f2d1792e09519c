from collections.abc import Callable

import pytest

from sinesweep.sweep.entry import FAIL, PRUNED, REUSED, RUNNING, Entry
from sinesweep.sweep.ranking import best, best_values, chosen, pareto, ranked

MakeEntry = Callable[..., Entry]


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


@pytest.mark.parametrize(("direction", "number"), [("minimize", 1), ("maximize", 0)])
def test_best(make_entry: MakeEntry, direction: str, number: int) -> None:
    """The best trial has the lowest value, or the highest where that is wanted."""
    found = best([make_entry(0, 0.3), make_entry(1, 0.1), make_entry(2, 0.2)], [direction])
    assert found is not None
    assert found.number == number


def test_equal_values(make_entry: MakeEntry) -> None:
    """Of equal values the first trial's counts, in whatever order they are given."""
    assert numbers(ranked([make_entry(2, 0.1), make_entry(1, 0.1)], ["minimize"])) == [1, 2]


def test_only_completed_trials(make_entry: MakeEntry) -> None:
    """Trials that did not complete are never the best."""
    others = [make_entry(n, state=state) for n, state in enumerate([FAIL, PRUNED, RUNNING])]
    assert best(others, ["minimize"]) is None
    assert pareto(others, ["minimize", "minimize"]) == []


def test_reused_values(make_entry: MakeEntry) -> None:
    """A trial that took over another's values does not stand beside it."""
    entries = [make_entry(0, 1.0, 1.0), make_entry(1, 1.0, 1.0, outcome=REUSED)]
    assert numbers(pareto(entries, ["minimize", "minimize"])) == [0]


def test_pareto_set(make_entry: MakeEntry) -> None:
    """A trial that another beats in one objective, and equals in the other, is not optimal."""
    points = [(0.1, 900.0), (0.2, 500.0), (0.2, 600.0), (0.3, 500.0), (0.4, 100.0)]
    entries = [make_entry(number, *point) for number, point in enumerate(points)]
    assert numbers(pareto(entries, ["minimize", "minimize"])) == [0, 1, 4]


def test_pareto_set_of_equals(make_entry: MakeEntry) -> None:
    """Of equal points none beats the other."""
    entries = [make_entry(0, 0.1, 5.0), make_entry(1, 0.1, 5.0)]
    assert numbers(pareto(entries, ["minimize", "minimize"])) == [0, 1]


def test_pareto_set_of_mixed_directions(make_entry: MakeEntry) -> None:
    """Each objective has its own direction."""
    points = [(0.1, 1.0), (0.2, 2.0), (0.3, 1.5)]
    entries = [make_entry(number, *point) for number, point in enumerate(points)]
    assert numbers(pareto(entries, ["minimize", "maximize"])) == [0, 1]


def test_pareto_set_is_optunas(make_entry: MakeEntry) -> None:
    """The Pareto set of three objectives is the one that Optuna finds."""
    optuna = pytest.importorskip("optuna")
    directions = ["minimize", "maximize", "minimize"]
    study = optuna.create_study(directions=directions)
    points = [((7 * n) % 10, (3 * n) % 11, (5 * n) % 13) for n in range(60)]
    for point in points:
        study.add_trial(optuna.create_trial(values=point))
    entries = [make_entry(number, *map(float, point)) for number, point in enumerate(points)]
    expected = sorted(trial.number for trial in study.best_trials)
    assert numbers(pareto(entries, directions)) == expected


def test_chosen(make_entry: MakeEntry) -> None:
    """A sweep finds one trial, or as many as are optimal for several objectives."""
    assert numbers(chosen([make_entry(0, 0.1), make_entry(1, 0.1)], ["minimize"])) == [0]
    entries = [make_entry(0, 0.1, 2.0), make_entry(1, 0.2, 1.0)]
    assert numbers(chosen(entries, ["minimize", "minimize"])) == [0, 1]


def test_best_values(make_entry: MakeEntry) -> None:
    """Each objective's best value is found by itself; without trials there is none."""
    entries = [make_entry(0, 0.1, 2.0), make_entry(1, 0.2, 3.0), make_entry(2, state=FAIL)]
    assert best_values(entries, ["minimize", "maximize"]) == [0.1, 3.0]
    assert best_values(entries[2:], ["minimize", "maximize"]) == []
