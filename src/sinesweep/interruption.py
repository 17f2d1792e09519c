"""Stop signals as one exception, and a flag that stays set if the exception is swallowed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sinesweep.errors import Interrupted
from sinesweep.signals import handle_stop_signals, is_repeated_hangup


class Interruption:
    """Whether the process was asked to stop, and how."""

    def __init__(self) -> None:
        self.cause: str | None = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """Note the signal and leave whatever is running."""
        if is_repeated_hangup(number, self.cause):
            return
        self.cause = signal.Signals(number).name
        raise Interrupted(self.cause)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Raise Interrupted on a stop signal; Lightning turns that into SystemExit."""
    interruption = Interruption()
    with handle_stop_signals(interruption.handle):
        yield interruption
