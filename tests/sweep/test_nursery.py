"""The process that workers are forked from."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from sinesweep.sweep.nursery import Exit, Nursery, children_of
from sinesweep.sweep.process_state import restored_process_state

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


def _restore(control: socket.socket) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(20)  # kills a process that waits forever
    with restored_process_state((), []):
        pass
    control.send(Exit(0, "restored").encode())


def test_armed_traceback_timer_does_not_block_workers() -> None:
    """A process restores its state if the command has armed ``dump_traceback_later``."""
    faulthandler.dump_traceback_later(3600)
    try:
        nursery = Nursery(_restore)
    finally:
        faulthandler.cancel_dump_traceback_later()
    exit_ = nursery.read_exit()
    nursery.close()
    assert exit_ == Exit(0, "restored")
