from __future__ import annotations

import pytest

from sinesweep.sweep.balance import Balance


@pytest.fixture
def balance() -> Balance:
    """Trials have taken ten seconds."""
    made = Balance()
    for seconds in (5.0, 15.0):
        made.ended(seconds)
    return made


def test_what_is_left(balance: Balance) -> None:
    """By the mean of what trials have taken; one that has run for longer may be over any time."""
    assert balance.left([0.0, 5.0, 10.0, 30.0]) == 1.5


def test_before_any_has_ended() -> None:
    """Each counts as a whole one."""
    assert Balance().left([0.0, 5.0, 100.0]) == 3


def test_no_worker_is_given_more_than_its_share(balance: Balance) -> None:
    """The last trials are not all for the worker whose trials happen to end first."""
    given = 0.0
    while balance.may_have_more(given, [given, 0.0], waiting=16 - int(given)):
        given += 1
    assert given == 8


def test_while_there_is_enough_every_place_is_taken(balance: Balance) -> None:
    """A worker that is behind is given more, too."""
    assert balance.may_have_more(12.0, [12.0, 4.0], waiting=20)


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_somebody_takes_the_last(balance: Balance, workers: int) -> None:
    """A trial that waits has a worker that may have it."""
    left = [8.0] * workers
    assert balance.may_have_more(8.0, left, waiting=1)


def test_where_nobody_knows_how_many_are_to_come(balance: Balance) -> None:
    """Every place is taken."""
    assert balance.may_have_more(9.0, [9.0, 0.0], waiting=None)
