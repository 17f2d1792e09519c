"""Timestamps whose differences are durations.

A process reads the wall clock once, when it imports this module, and then counts from there. So the
difference between two timestamps of a process, or of processes that it forked, does not follow
changes of the wall clock.
"""

from __future__ import annotations

import time

# Counts on while the machine is suspended, where the system has such a clock.
_COUNTER = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_EPOCH = time.time_ns() - time.clock_gettime_ns(_COUNTER)


def timestamp_ns() -> int:
    """Return the time in nanoseconds since the epoch."""
    return _EPOCH + time.clock_gettime_ns(_COUNTER)
