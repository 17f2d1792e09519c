"""Processes that the user's code forks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sinesweep.redaction import redact


@contextmanager
def ended_forked_children() -> Iterator[None]:
    """End each process that the code inside forks when it leaves that code.

    Otherwise the child would go on with what follows: it would send a second outcome, close the
    parent's run, or run trials of its own.
    """
    parent = os.getpid()
    try:
        yield
    except SystemExit as stop:
        if os.getpid() != parent:
            _end(_exit_code(stop.code))
        raise
    except BaseException:
        if os.getpid() != parent:
            _end(1, traceback.format_exc())
        raise
    if os.getpid() != parent:
        _end(0)


def _end(code: int, fault: str = "") -> None:
    """End the process without its parent's clean-up."""
    with suppress(Exception):  # the streams are the user's
        print(redact(fault), end="", file=sys.stderr)  # noqa: T201 # the trial's log
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _exit_code(code: object) -> int:
    if isinstance(code, int):
        return code & 0xFF
    return int(code is not None)
