"""Signals that ask a process to stop, and the handlers for them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# SIGHUP: the terminal was closed. SIGXCPU: the soft limit on CPU time is reached.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)


@contextmanager
def handle_stop_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Install a handler for the stop signals. Under nohup, SIGHUP stays ignored."""
    before: dict[signal.Signals, Any] = {
        number: signal.signal(number, handler)
        for number in STOP_SIGNALS
        if not (number == signal.SIGHUP and is_ignored(number))
    }
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)


def is_ignored(number: int) -> bool:
    """Return whether this process ignores a signal."""
    return signal.getsignal(number) == signal.SIG_IGN


def is_repeated_hangup(number: int, cause: str | None) -> bool:
    """Whether a signal is SIGHUP after another stop signal.

    A closing terminal can send SIGHUP twice: from the shell and from the kernel. The second one
    does not mean "stop at once", and must not break off the work of closing a run.

    Args:
        number: the signal.
        cause: the name of the first stop signal, if there was one.
    """
    return number == signal.SIGHUP and cause is not None
