"""Which worker is to have the next trial, where each has several: trials do not move later.

At the end of a sweep a worker that has more left than the others is waited for. So none is given
more than its share of what is left, even if it has a free place; how much that is, the trials that
have ended tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Balance:
    """Measures work in trials, by the mean time that a trial has taken so far."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._count = 0

    def ended(self, seconds: float) -> None:
        """Take in how long a trial ran."""
        self._seconds += seconds
        self._count += 1

    def left(self, ran: Iterable[float]) -> float:
        """Return how much of running trials is left.

        Args:
            ran: the seconds that each has run.
        """
        if not self._seconds:
            return float(sum(1 for _ in ran))
        mean = self._seconds / self._count
        return sum(max(0.0, 1 - seconds / mean) for seconds in ran)

    def may_have_more(self, own: float, all_running: Sequence[float], waiting: int | None) -> bool:
        """Whether a worker has less left than its share.

        The one that has least left always has: no worker is idle while trials wait.

        Args:
            own: what it has left.
            all_running: what each worker has left.
            waiting: how many trials are still to begin, or None where nobody knows.
        """
        return waiting is None or own < (waiting + sum(all_running)) / len(all_running)
