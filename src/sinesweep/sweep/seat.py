"""A worker as the controller sees it, and the trials that it has."""

from __future__ import annotations

import select
import time
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from sinesweep.sweep.entry import Entry
from sinesweep.sweep.messages import Answer, Assignment, Served, Stop
from sinesweep.sweep.outcome import Outcome


@dataclass
class Running:
    """A trial that a worker has.

    Attributes:
        entry: the trial.
        started: when it was assigned, by the monotonic clock.
        waited: seconds since then in which it had to wait for another.
        told: how many seconds it had run when it was told to stop because it took too long, if it
            was.
        doomed: what it has come to, decided before it said so itself.
    """

    entry: Entry
    started: float
    waited: float = 0.0
    told: float | None = None
    doomed: Outcome | None = None

    def ran(self, now: float) -> float:
        """Return for how many seconds it has run."""
        return now - self.started - self.waited


@dataclass
class Seat:
    """A worker as the controller sees it.

    Attributes:
        number: the worker's.
        connection: to it.
        running: its trials by their numbers.
        holder: the one that the others wait for, if there is one.
        held: since when they wait.
        is_ready: whether it has begun: on a cluster a worker may wait for room.
        started: when it was asked for, by the monotonic clock.
        is_lost: whether it is known to be gone, or to be about to go.
        is_deaf: whether its end of the connection is closed: it is given nothing more, though it
            may still have to be killed.
        is_leaving: whether it exits by itself, to be replaced.
        unsent: what it is to be told once there is room for it.
    """

    number: int
    connection: Connection
    running: dict[int, Running] = field(default_factory=dict)
    holder: int | None = None
    held: float = 0.0
    is_ready: bool = False
    started: float = field(default_factory=time.monotonic)
    is_lost: bool = False
    is_deaf: bool = False
    is_leaving: bool = False
    unsent: deque[Answer | Assignment | Served | Stop] = field(default_factory=deque)

    @property
    def takes_trials(self) -> bool:
        """Whether it can be given a trial."""
        return self.is_ready and not (self.is_lost or self.is_deaf or self.is_leaving)

    @property
    def going(self) -> list[Running]:
        """Those of its trials that do not wait for another."""
        return [each for n, each in self.running.items() if self.holder in (None, n)]

    def hold(self, holder: int | None, now: float) -> None:
        """Have all trials but one wait from now on, or none any more."""
        for number, running in self.running.items():
            if self.holder not in (None, number):
                running.waited += now - max(self.held, running.started)
        self.holder, self.held = holder, now

    def send(self) -> None:
        """Send what there is room for: a worker in a long round takes nothing.

        Whoever waited for it would hear nobody meanwhile, and for ever if it waits, too, to be
        heard.
        """
        while self.unsent and select.select([], [self.connection], [], 0)[1]:
            self.connection.send(self.unsent[0])
            self.unsent.popleft()
