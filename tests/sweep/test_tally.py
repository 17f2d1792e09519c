from collections.abc import Callable
from itertools import count

import pytest

from sinesweep.sweep.entry import FAIL, INTERRUPTED, PRUNED, RETRIED, REUSED, RUNNING, Entry
from sinesweep.sweep.tally import Tally

MakeEntry = Callable[..., Entry]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_tally(n_trials: int | None, workers: int, *finished: Entry) -> tuple[Tally, Clock]:
    clock = Clock()
    return Tally(["minimize"], n_trials, workers, finished, clock), clock


def test_counts(make_entry: MakeEntry) -> None:
    """Each outcome is counted by itself, and trials that run."""
    outcomes = [PRUNED, PRUNED, FAIL, RETRIED, INTERRUPTED]
    states = [PRUNED, PRUNED, FAIL, FAIL, FAIL]
    entries = [
        make_entry(n, state=state, outcome=outcome)
        for n, state, outcome in zip(count(), states, outcomes, strict=False)
    ]
    tally, _ = make_tally(9, 1, *entries, make_entry(5, 0.1), make_entry(6, 0.1, outcome=REUSED))
    tally.started(make_entry(7, state=RUNNING), 0)
    assert [(number, word) for number, word, _ in tally.counts()] == [
        (1, "complete"),
        (2, "pruned"),
        (1, "failed"),
        (1, "retried"),
        (1, "interrupted"),
        (1, "reused"),
        (1, "running"),
    ]


def test_done(make_entry: MakeEntry) -> None:
    """Done are the trials of the budget: none that are run again or were not run."""
    entries = [make_entry(0, 0.1), make_entry(1, state=FAIL), make_entry(2, 0.1, outcome=REUSED)]
    tally, _ = make_tally(9, 1, *entries, make_entry(3, state=FAIL, outcome=RETRIED))
    assert tally.done == 2


def test_best(make_entry: MakeEntry) -> None:
    """The best is of all trials, those of earlier commands among them."""
    tally, _ = make_tally(9, 1, make_entry(0, 0.2))
    tally.ended(make_entry(1, 0.3))
    assert [entry.number for entry in tally.best] == [0]
    tally.ended(make_entry(2, 0.1))
    assert [entry.number for entry in tally.best] == [2]


def test_reports(make_entry: MakeEntry) -> None:
    """The last report of a trial is known until the trial ends."""
    tally, _ = make_tally(9, 1)
    entry = make_entry(0, state=RUNNING)
    tally.started(entry, 0)
    tally.reported(entry, 0.5, 3)
    ended = tally.ended(make_entry(0, state=PRUNED))
    assert ended is not None
    assert (ended.value, ended.step) == (0.5, 3)
    assert not tally.running


def test_time_left(make_entry: MakeEntry) -> None:
    """What is left is shared by the workers, less what running trials have behind them."""
    tally, clock = make_tally(
        10, 2, make_entry(0, 0.1, seconds=10.0), make_entry(1, 0.1, seconds=20.0)
    )
    tally.started(make_entry(2, state=RUNNING), 0)
    clock.now += 5
    # 8 trials of 15 seconds, 5 of which are over, on 2 workers
    assert tally.left() == pytest.approx((8 * 15 - 5) / 2)


def test_time_left_of_the_last_trial(make_entry: MakeEntry) -> None:
    """One trial is not shared, however many workers there are."""
    tally, _ = make_tally(2, 8, make_entry(0, 0.1, seconds=10.0))
    assert tally.left() == pytest.approx(10)


def test_overdue_trials(make_entry: MakeEntry) -> None:
    """A trial that takes longer than others leaves no less than nothing."""
    tally, clock = make_tally(2, 1, make_entry(0, 0.1, seconds=10.0))
    tally.started(make_entry(1, state=RUNNING), 0)
    clock.now += 1000
    assert tally.left() == 0


@pytest.mark.parametrize("n_trials", [None, 1])
def test_no_time_left(make_entry: MakeEntry, n_trials: int | None) -> None:
    """Without a number of trials, or behind the last one, no time is estimated."""
    tally, _ = make_tally(n_trials, 1, make_entry(0, 0.1))
    assert tally.left() is None
