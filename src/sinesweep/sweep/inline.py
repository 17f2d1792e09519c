"""Trials in the command's own process, one after another, with its terminal: to debug them.

The sweep's side (study, tracker, tables) runs in a process that is forked from the command, so that
a trial that changes the process, or waits in a debugger, does not disturb it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import NoReturn

from sinesweep.errors import Interrupted, SweepFailed
from sinesweep.signals import handle_stop_signals
from sinesweep.sweep.channel import SweepEnded
from sinesweep.sweep.nursery import Exit, Nursery
from sinesweep.sweep.worker import Worker


class InlineWorker(Nursery):
    """The command's process, as the sweep's side sees it: a worker that is there already.

    Args:
        line: the sweep's end of the worker's connection.
        control: a connection that is open as long as the command lives.
        command: the command's process.
    """

    def __init__(self, line: socket.socket, control: socket.socket, command: int) -> None:
        self._line = line
        self._socket = control
        self._command = command

    def start(self, worker: int) -> Connection:  # noqa: ARG002 # there is one
        """Return the connection to the command's process."""
        return Connection(os.dup(self._line.fileno()))

    def kill(self, worker: int) -> None:  # noqa: ARG002 # there is one
        """Interrupt the trial: to kill the process would end the command."""
        with suppress(ProcessLookupError):
            os.kill(self._command, signal.SIGINT)

    def read_exit(self) -> Exit | None:
        """Return None: the command's process has ended."""
        return None

    def close(self) -> None:
        """Close the connection, which ends the worker."""
        self._socket.close()
        self._line.close()


class InlineCommand:
    """The command's process, where trials run.

    Args:
        line: the worker's end of its connection.
        control: kept open.
        sweep: the sweep's process.
    """

    def __init__(self, line: socket.socket, control: socket.socket, sweep: int) -> None:
        self._line = line
        self._control = control
        self._sweep = sweep
        self._is_attached = False

    def run(self, worker: Worker) -> int:
        """Run trials until the sweep has ended; return its exit code.

        Raises:
            SweepFailed: the sweep's process was killed.
        """
        with handle_stop_signals(self._handle):
            with suppress(SweepEnded):
                worker.serve(Connection(self._line.detach()))
            _, status = os.waitpid(self._sweep, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            raise SweepFailed(f"its process was killed by {signal.Signals(-code).name}")
        return code

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Let stop signals interrupt the code inside."""
        self._is_attached = True
        try:
            yield
        finally:
            self._is_attached = False

    def interrupt(self, error: KeyboardInterrupt) -> str:
        """Stop the sweep because its trial was interrupted; return the signal's name."""
        name = str(error) or signal.SIGINT.name
        self._pass_on(getattr(signal, name, signal.SIGINT))
        return name

    def leave(self) -> NoReturn:
        """Leave the worker."""
        raise SweepEnded

    def _handle(self, number: int, _: FrameType | None) -> None:
        """Interrupt the trial, or stop the sweep between trials.

        A debugger takes Ctrl-C at its prompt for itself. So the sweep is told only when the trial
        has ended of it.
        """
        if self._is_attached:
            raise Interrupted(signal.Signals(number).name)
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._sweep, number)


def split() -> InlineWorker | InlineCommand:
    """Fork the sweep's process. Return the worker in that process, and the command in this one."""
    line, theirs = socket.socketpair()
    control, held = socket.socketpair()
    command = os.getpid()
    sweep = os.fork()
    if sweep == 0:
        theirs.close()
        held.close()
        os.setsid()  # signals of the terminal are for the command's process
        return InlineWorker(line, control, command)
    line.close()
    control.close()
    return InlineCommand(theirs, held, sweep)
