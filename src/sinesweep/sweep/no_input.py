"""Standard input of a worker: a trial that asks for input fails immediately, with a hint.

A worker has no terminal, so the question would stay invisible.
"""

from __future__ import annotations

import bdb
import io
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

HINT = (
    "a worker has no terminal: run trials in the command's own process with "
    "hydra.sweeper.backend=inline hydra.sweeper.workers=1"
)
_STDIN = 0
_VARIABLE = "PYTHONBREAKPOINT"


class _NoInput(io.RawIOBase):
    """Fails each read with the hint."""

    def fileno(self) -> int:
        """Return the descriptor, which is the null device."""
        return _STDIN

    def readable(self) -> bool:
        """Pass for a file that can be read."""
        return True

    def readinto(self, _: Any, /) -> NoReturn:
        """Fail."""
        raise EOFError(f"standard input cannot be read: {HINT}")


class _NoText(io.TextIOWrapper):
    """Fails each read of text with the hint."""

    def read(self, _: int | None = -1, /) -> NoReturn:
        """Fail."""
        raise EOFError(f"standard input cannot be read: {HINT}")

    def readline(self, _: int = -1, /) -> NoReturn:  # pyright: ignore[reportIncompatibleMethodOverride] # it never returns
        """Fail."""
        self.read()

    def __next__(self) -> NoReturn:
        self.read()


def refuse_input() -> None:
    """Let input, the debugger and reads of standard input fail in this process."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _STDIN)
    if null != _STDIN:
        os.close(null)
    sys.stdin = sys.__stdin__ = _NoText(io.BufferedReader(_NoInput()), encoding="utf-8")  # pyright: ignore[reportAttributeAccessIssue] # typeshed calls it final
    sys.breakpointhook = _refuse_breakpoint(sys.breakpointhook)


def is_debuggers_end(error: BaseException) -> bool:
    """Whether an error is how a debugger ends that found no input."""
    return isinstance(error, bdb.BdbQuit)


def _refuse_breakpoint(usual: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(*arguments: Any, **more: Any) -> Any:
        if os.environ.get(_VARIABLE):  # switched off, or a debugger that needs no terminal
            return usual(*arguments, **more)
        raise RuntimeError(f"breakpoint() cannot be used: {HINT}")

    return refuse
