"""Ctrl-C and SIGTERM, as one exception and a flag that outlives whoever swallows it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from sinesweep.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether the process was asked to stop, and how."""

    def __init__(self) -> None:
        self.cause: str | None = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """Note the signal and leave whatever is running."""
        self.cause = signal.Signals(number).name
        raise Interrupted(self.cause)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Raise Interrupted on Ctrl-C and SIGTERM; Lightning turns that into SystemExit."""
    interruption = Interruption()
    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, interruption.handle) for number in _SIGNALS
    }
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
