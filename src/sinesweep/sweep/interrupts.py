"""Stop signals for a loop that must not be torn out of a write: counted, not raised."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from sinesweep.errors import Interrupted
from sinesweep.signals import handle_stop_signals, is_repeated_hangup


class Interrupts:
    """How often the process was asked to stop; readable, for a selector, when it just was."""

    def __init__(self) -> None:
        self.count = 0
        self.cause: str | None = None
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(self._writable, False)

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._readable

    def handle(self, number: int, _: FrameType | None) -> None:
        """Count a signal."""
        if is_repeated_hangup(number, self.cause):
            return
        self.count += 1
        self.cause = self.cause or signal.Signals(number).name
        with suppress(BlockingIOError):  # full of signals that nobody has looked at
            os.write(self._writable, b"!")

    def leave_if_any(self) -> None:
        """Leave where nothing runs yet that would have to be closed.

        Raises:
            Interrupted: a signal has come.
        """
        if self.cause is not None:
            raise Interrupted(self.cause)

    def drain(self) -> None:
        """Take note."""
        with suppress(BlockingIOError):
            os.read(self._readable, 1024)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._readable)
        os.close(self._writable)


@contextmanager
def counted_interrupts() -> Iterator[Interrupts]:
    """Count signals instead of raising them."""
    interrupts = Interrupts()
    try:
        with handle_stop_signals(interrupts.handle):
            yield interrupts
    finally:
        interrupts.close()
