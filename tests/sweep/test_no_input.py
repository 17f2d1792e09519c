"""Trials that ask for input in a worker, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

_REFUSED = """
import sys
from sinesweep.sweep.no_input import is_debuggers_end, refuse_input
refuse_input()
def trial():
    {code}
try:
    trial()
except Exception as error:
    print(type(error).__name__, is_debuggers_end(error), error)
"""
_HINT = (
    "a worker has no terminal: run trials in the command's own process with "
    "hydra.sweeper.backend=inline hydra.sweeper.workers=1"
)


def refused(code: str, **variables: str) -> str:
    """Run code whose standard input is a terminal that nobody answers at."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _REFUSED.format(code=code)],
        env=variables,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "input('what? ')",
        "sys.stdin.read()",
        "sys.stdin.readline()",
        "sys.stdin.readlines()",
        "list(sys.stdin)",
        "sys.stdin.buffer.read()",
        "import getpass; getpass.getpass()",
    ],
)
def test_reading_fails_with_a_hint(code: str) -> None:
    """Whatever waits for input fails at once, and says which backend has a terminal."""
    assert f"EOFError False standard input cannot be read: {_HINT}" in refused(code)


def test_breakpoint_fails_with_a_hint() -> None:
    """A debugger that nobody could answer is not started."""
    assert f"RuntimeError False breakpoint() cannot be used: {_HINT}" in refused("breakpoint()")


def test_breakpoint_that_is_switched_off_stays_so() -> None:
    """PYTHONBREAKPOINT means what it means outside of a worker."""
    assert refused("breakpoint(); print('went on')", PYTHONBREAKPOINT="0") == "went on\n"


def test_end_of_a_debugger_is_recognised() -> None:
    """pdb.set_trace() reads no command and quits; the trial's error then has the hint, too."""
    assert "BdbQuit True" in refused("import pdb; pdb.set_trace(); pass")


def test_child_processes_read_nothing() -> None:
    """A program that a trial starts finds the end of its input at once."""
    assert refused("import os; os.system('cat; echo end')") == "end\n"
