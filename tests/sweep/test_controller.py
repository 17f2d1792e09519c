"""The control loop with workers that the test plays, for what no real one does when asked."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, cast

import pytest
from process import open_study

from sinesweep.sweep.controller import Controller
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.messages import Answer, Assignment, Ended, MayBePruned, Served
from sinesweep.sweep.nursery import Exit, Nursery
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.study import News, SweepStudy

DONE = Outcome.complete((1.0,))
SMALL = 4096  # bytes: a line has room for a few messages
KILLED = int(signal.SIGKILL)  # as waitpid has it

Play = Callable[[Connection], int]


class PlayedNursery:
    """Plays workers in threads.

    Args:
        plays: what each worker that is started does with its connection, until it returns its
            status.
    """

    def __init__(self, *plays: Play) -> None:
        self._plays = deque(plays)
        self._readable, self._writable = os.pipe()
        self._exits: deque[Exit] = deque()
        self._threads: list[threading.Thread] = []
        self.ends: dict[int, socket.socket] = {}

    def fileno(self) -> int:
        return self._readable

    def start(self, worker: int) -> Connection:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self.ends[worker] = theirs
        thread = threading.Thread(target=self._run, args=(self._plays.popleft(), worker, theirs))
        self._threads.append(thread)
        thread.start()
        return Connection(ours.detach())

    def kill(self, worker: int) -> None:
        self.ends[worker].shutdown(socket.SHUT_RDWR)

    def read_exit(self) -> Exit | None:
        os.read(self._readable, 1)
        return self._exits.popleft()

    def close(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self, play: Play, worker: int, end: socket.socket) -> None:
        with Connection(os.dup(end.fileno())) as connection:
            try:
                status = play(connection)
            except (EOFError, OSError):
                status = KILLED
        end.close()
        self._exits.append(Exit(worker, status))
        os.write(self._writable, b"!")


class Quiet:
    """Notes how trials ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, str, str | None]] = []

    def started(self, entry: Entry, worker: int) -> None:
        assert entry.directory is not None
        entry.directory.mkdir(parents=True)  # as a worker does

    def ended(self, entry: Entry) -> None:
        self.ends.append((entry.number, entry.outcome, entry.error))

    def heard(self, news: News) -> None: ...

    def reported(self, entry: Entry, value: float, step: int) -> None: ...

    def message(self, text: str) -> None: ...

    def tick(self) -> None: ...


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    made = Interrupts()
    yield made
    made.close()


@pytest.fixture
def sweep(
    make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, interrupts: Interrupts
) -> Callable[..., tuple[SweepStudy, Quiet]]:
    """Run a sweep over ``a`` in one worker with so many slots."""
    form = ModuleType("own")
    form.__dict__.update(refusal=lambda config: None, make=lambda: None)
    monkeypatch.setitem(sys.modules, "own", form)

    def run(slots: int, trials: int, *plays: Play, more: tuple[str, ...] = ()) -> Any:
        plan = make_plan(
            f"a=range(0,{trials})", "hydra.sweeper.workers=1", "hydra.sweeper.fused=own",
            f"hydra.sweeper.slots={slots}", *more,
        )  # fmt: skip
        study, quiet, nursery = open_study(plan), Quiet(), PlayedNursery(*plays)
        occupancy = Occupancy(plan.places)
        made = cast("Nursery", nursery)
        Controller(plan, study, made, None, quiet, interrupts, occupancy).run()
        nursery.close()
        return study, quiet

    return run


def take(connection: Connection, count: int) -> list[Assignment]:
    """Return the next assignments."""
    found: list[Assignment] = []
    while len(found) < count:
        message = connection.recv()
        found += [message] if isinstance(message, Assignment) else []
    return found


def completes(connection: Connection) -> int:
    """Complete whatever comes, one after another."""
    while True:
        for each in take(connection, 1):
            connection.send(Ended(each.number, DONE))


def test_last_words_are_heard(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """What a worker said before it died holds; whom it had not told of are run again."""

    def ends_one_and_dies(connection: Connection) -> int:
        first, *_ = take(connection, 3)
        connection.send(Ended(first.number, DONE))
        return KILLED

    study, quiet = sweep(3, 5, ends_one_and_dies, completes)
    assert quiet.ends[0] == (0, "COMPLETE", None)
    assert [study.entries[number].outcome for number in (1, 2)] == ["INTERRUPTED"] * 2
    points = [e.params["a"] for e in study.entries.values() if e.outcome == "COMPLETE"]
    assert sorted(points) == [0, 1, 2, 3, 4]


def test_what_a_worker_left_behind_counts(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A trial that had ended, and could not say so any more, has ended, and kills nobody."""

    def writes_and_dies(connection: Connection) -> int:
        first, second = take(connection, 2)
        DONE.write(first.directory)
        Outcome.failed("its own fault").write(second.directory)
        return KILLED

    _, quiet = sweep(2, 2, writes_and_dies)
    assert quiet.ends == [(0, "COMPLETE", None), (1, "FAIL", "its own fault")]


def test_what_was_left_behind_counts_for_a_worker_that_was_killed(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Of those whose round hangs, the ones that had ended have ended; others are run again."""

    def hangs(connection: Connection) -> int:
        first, *_ = take(connection, 3)
        DONE.write(first.directory)
        while True:
            connection.recv()

    _, quiet = sweep(3, 3, hangs, completes, more=("hydra.sweeper.trial_timeout=1",))
    told = "one of those trained together took longer than trial_timeout = 1 s"
    assert quiet.ends == [
        (0, "COMPLETE", None), (1, "INTERRUPTED", told), (2, "INTERRUPTED", told),
        (3, "COMPLETE", None), (4, "COMPLETE", None),
    ]  # fmt: skip


def test_those_to_be_run_again_one_at_a_time_stay_so(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A suspect that is retried has its worker for itself again, and so have all until then."""
    alone: list[int] = []

    def dies_of_two(connection: Connection) -> int:
        take(connection, 2)
        return KILLED

    def dies_of_one(connection: Connection) -> int:
        (first,) = take(connection, 1)
        alone.append(first.number)
        return KILLED

    def is_alone(connection: Connection) -> int:
        while len(alone) < 3:
            (one,) = take(connection, 1)
            connection.send(MayBePruned(one.number))  # it has filled the places when it hears that
            message, others = connection.recv(), []
            while not isinstance(message, Answer):
                others += [message.number] if isinstance(message, Assignment) else []
                message = connection.recv()
            alone.append(-1 if others else one.number)
            for number in (one.number, *others):
                connection.send(Ended(number, DONE))
        return completes(connection)

    study, _ = sweep(2, 4, dies_of_two, dies_of_one, is_alone, more=("hydra.sweeper.retries=1",))
    assert alone == [2, 3, 4]
    assert [study.entries[number].origin for number in (2, 3, 4)] == [0, 1, 2]
    assert [study.entries[n].outcome for n in range(5)] == [
        "INTERRUPTED", "INTERRUPTED", "RETRIED", "COMPLETE", "COMPLETE",
    ]  # fmt: skip
    assert sum(e.outcome == "COMPLETE" for e in study.entries.values()) == 4


def test_nobody_waits_for_the_other_to_listen(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A worker may say more than fits the line before it listens to what it was given meanwhile."""
    count = 40

    def ends_all_at_once(connection: Connection) -> int:
        for each in take(connection, count):
            connection.send(Ended(each.number, DONE))
        served = 0
        while served < count:
            message = connection.recv()
            served += isinstance(message, Served)
            if isinstance(message, Assignment):
                connection.send(Ended(message.number, DONE))
        return completes(connection)

    study, _ = sweep(count, 2 * count, ends_all_at_once)
    assert sum(entry.outcome == "COMPLETE" for entry in study.entries.values()) == 2 * count
