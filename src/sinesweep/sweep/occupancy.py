"""How full a sweep keeps the places that its workers have for trials."""

from __future__ import annotations

import time
from collections.abc import Callable


class Occupancy:
    """Adds up the time that places were taken.

    From the first trial until there are none left to begin: after that places must become empty.

    Args:
        places: of all workers.
        clock: seconds.
    """

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._taken = 0
        self._is_counting = False
        self._was_full = False
        self._since = 0.0
        self._used = 0.0  # place-seconds
        self._seconds = 0.0

    def change(self, taken: int, *, queued: bool) -> None:
        """Take in how many places are taken from now on.

        Args:
            taken: the trials that run.
            queued: whether there are trials left to begin.
        """
        self._add()
        self._taken = taken
        self._was_full = self._was_full or taken >= self._places
        self._is_counting = queued and taken > 0

    @property
    def share(self) -> float | None:
        """The mean share of places that were taken, 0 to 1.

        None where no time has passed, or where there never were trials for all places.
        """
        self._add()
        if not self._was_full or not self._seconds:
            return None
        return self._used / (self._seconds * self._places)

    def _add(self) -> None:
        now = self._clock()
        if self._is_counting:
            self._used += self._taken * (now - self._since)
            self._seconds += now - self._since
        self._since = now
