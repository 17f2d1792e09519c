"""The process that workers are forked from."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from sinesweep.sweep.nursery import Nursery, children_of

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def _die(_: socket.socket) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("ask", [lambda each: each.start(0).close(), lambda each: each.kill(0)])
def test_killed_nursery_is_reported_once(ask: Callable[[Nursery], None]) -> None:
    """Orders to a process that is gone raise nothing: its end is read as any other."""
    nursery = Nursery(_die)
    assert nursery.read_exit() is None
    ask(nursery)
    assert nursery.read_exit() is None
    nursery.close()


def test_connection_to_no_worker_is_closed() -> None:
    """A worker that cannot be started any more is one that has ended."""
    nursery = Nursery(_die)
    assert nursery.read_exit() is None
    with (
        nursery.start(0) as connection,
        pytest.raises((EOFError, ConnectionResetError)),
    ):
        connection.recv()
    nursery.close()


def test_children_are_found() -> None:
    """The direct children of a process are listed, whatever session they are in."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as child:
        assert child.pid in children_of(os.getpid())
        assert os.getpid() not in children_of(child.pid)
        child.communicate()
    assert child.pid not in children_of(os.getpid())
