"""A worker's end of its connection to the controller, which its trials share."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

from sinesweep.sweep.messages import (
    Alone,
    Answer,
    Assignment,
    Ended,
    Held,
    Question,
    Ready,
    Report,
    Served,
    Stop,
)


class Line(Protocol):
    """What a channel needs of a connection."""

    def send(self, message: object, /) -> None:
        """Send a message."""

    def recv(self) -> object:
        """Wait for a message."""

    def poll(self) -> bool:
        """Whether a message has come."""
        ...


class SweepEnded(BaseException):
    """The sweep has closed its connection to a worker in the command's own process."""


def _exit() -> NoReturn:
    os._exit(0)


class Channel:
    """Sends what trials say and keeps what comes until somebody asks for it.

    Where the sweep's process has died, this one ends at once: that is no failure of a trial.

    Args:
        connection: to the controller.
        on_lost: called when the connection is closed.
    """

    def __init__(self, connection: Line, on_lost: Callable[[], NoReturn] = _exit) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._process = os.getpid()
        self._assignments: deque[Assignment] = deque()
        self._answers: dict[int, bool] = {}
        self._stopped: dict[int | None, str] = {}
        self._unserved: set[int] = set()

    def send(self, message: Ready | Report | Alone | Held) -> None:
        """Send what needs no answer."""
        with self._use():
            self._connection.send(message)

    def ask(self, question: Question) -> bool:
        """Send a question and wait for its answer."""
        with self._use():
            self._connection.send(question)
        while question.trial not in self._answers:
            self._receive()
        return self._answers.pop(question.trial)

    def stopped(self, trial: int) -> str | None:
        """Return why the controller has stopped a trial, or None, without waiting."""
        self._receive_all()
        return self._stopped.get(trial) or self._stopped.get(None)

    def end(self, ended: Ended) -> None:
        """Send a trial's end."""
        with self._use():
            self._connection.send(ended)
        self._stopped.pop(ended.trial, None)
        self._unserved.add(ended.trial)

    def assignments(self, *, wait: bool) -> Iterator[Assignment]:
        """Yield the trials to be begun.

        Before that, each trial that has ended is waited for to be served, so that its place is
        taken again before the others go on.

        Args:
            wait: until there is one.
        """
        while self._unserved or (wait and not self._assignments):
            self._receive()
        self._receive_all()
        while self._assignments:
            yield self._assignments.popleft()
            self._receive_all()

    def _receive_all(self) -> None:
        with self._use():
            while self._connection.poll():
                self._receive()

    def _receive(self) -> None:
        with self._use():
            message = self._connection.recv()
        match message:
            case Assignment():
                self._assignments.append(message)
            case Answer():
                self._answers[message.trial] = message.yes
            case Served():
                self._unserved.discard(message.trial)
            case Stop():
                self._stopped[message.trial] = message.cause
            case _:
                raise TypeError(f"a controller does not say {message!r}")

    @contextmanager
    def _use(self) -> Iterator[None]:
        """Guard a use of the connection, which belongs to the process of the worker alone.

        Raises:
            RuntimeError: this is another process, forked by a trial.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "the trial's handle must be used in the process that runs the trial, but is used "
                "in a process that was forked from it: return the values to that one"
            )
        try:
            yield
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._on_lost()
