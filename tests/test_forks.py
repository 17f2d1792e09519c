"""Processes that user code forks, each test in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from sinesweep.forks import ended_forked_children


def _return() -> None:
    return


def _raise() -> None:
    raise ValueError("in the child")


def _exit() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(("end", "code"), [(_return, 0), (_raise, 1), (_exit, 3)])
def test_forked_child_ends_with_the_function(end: Callable[[], None], code: int) -> None:
    """A child that returns, raises or exits does not go on with the code of its parent."""
    child = os.fork()
    if child == 0:  # a process between the test and the child, in case the child goes on
        _fork_within(end)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code


def _fork_within(end: Callable[[], None]) -> None:
    """Exit with the code of a forked child, or with 99 if the child leaves the guarded code."""
    child = 0
    try:
        with ended_forked_children():
            child = os.fork()
            if child == 0:
                end()
    finally:
        if child == 0:
            os._exit(99)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def test_parent_goes_on() -> None:
    """Nothing changes for a function that forks nothing."""
    with pytest.raises(ValueError, match="in the child"), ended_forked_children():
        _raise()
