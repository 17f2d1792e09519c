from __future__ import annotations

import pytest

from sinesweep.sweep.occupancy import Occupancy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def occupancy(clock: Clock) -> Occupancy:
    """Four places."""
    return Occupancy(4, clock)


def test_mean_share(occupancy: Occupancy, clock: Clock) -> None:
    """Each number of taken places counts for as long as it lasted."""
    occupancy.change(4, queued=True)
    clock.now += 3
    occupancy.change(2, queued=True)
    clock.now += 1
    assert occupancy.share == (3 * 4 + 1 * 2) / (4 * 4)


def test_share_while_trials_run(occupancy: Occupancy, clock: Clock) -> None:
    """It can be asked for at any time, and asking changes nothing."""
    occupancy.change(4, queued=True)
    clock.now += 1
    assert occupancy.share == 1
    occupancy.change(3, queued=True)
    clock.now += 1
    assert [occupancy.share, occupancy.share] == [7 / 8, 7 / 8]


def test_before_the_first_trial_nothing_counts(occupancy: Occupancy, clock: Clock) -> None:
    """Neither a slow start nor places that nobody was to take."""
    occupancy.change(0, queued=True)
    clock.now += 50
    occupancy.change(4, queued=True)
    clock.now += 1
    assert occupancy.share == 1


def test_after_the_last_trial_began_nothing_counts(occupancy: Occupancy, clock: Clock) -> None:
    """When there are none left to begin, places must become empty."""
    occupancy.change(4, queued=True)
    clock.now += 1
    occupancy.change(4, queued=False)
    clock.now += 10
    occupancy.change(1, queued=False)
    clock.now += 10
    assert occupancy.share == 1


def test_trials_that_are_run_again_count(occupancy: Occupancy, clock: Clock) -> None:
    """When there are trials to begin again, it goes on counting."""
    occupancy.change(4, queued=True)
    clock.now += 1
    occupancy.change(4, queued=False)
    clock.now += 1
    occupancy.change(2, queued=True)
    clock.now += 1
    assert occupancy.share == (4 + 2) / 8


def test_no_time(occupancy: Occupancy) -> None:
    """There is no share where no time has passed."""
    occupancy.change(4, queued=True)
    assert occupancy.share is None


def test_fewer_trials_than_places(occupancy: Occupancy, clock: Clock) -> None:
    """There is none where places could not be taken."""
    occupancy.change(2, queued=True)
    clock.now += 1
    occupancy.change(3, queued=False)
    assert occupancy.share is None
