"""The control loop with workers that the test plays, for what no real one does when asked."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.terminator import BaseTerminator
from optuna.trial import FrozenTrial, TrialState
from process import open_study

from sinesweep.errors import EnvironmentFault, HookFailed, Interrupted, SweepFailed
from sinesweep.sweep.controller import Controller
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.messages import (
    Alone,
    Answer,
    Assignment,
    Ended,
    Held,
    MayBePruned,
    Ready,
    Report,
    Served,
    Stop,
)
from sinesweep.sweep.nursery import Exit, Nursery
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.seat import Running, Seat
from sinesweep.sweep.storage import open_storage
from sinesweep.sweep.study import News, SweepStudy

DONE = Outcome.complete((1.0,))
SMALL = 4096  # bytes: a line has room for a few messages
KILLED = "the worker process was killed by SIGKILL"
GONE = "the Ray node n died, or is not reached any more"


@dataclass(frozen=True)
class Stillborn:
    """A worker that ends before it has begun."""

    cause: str
    is_final: bool = False


PENDING = None
"""A worker that there is no room for."""

Play = Callable[[Connection], str]
Worker = Play | Stillborn | None


class PlayedNursery:
    """Plays workers in threads.

    Args:
        plays: what each worker that is started does with its connection, once it has begun, until
            it returns how it has ended.
    """

    def __init__(self, *plays: Worker) -> None:
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
        play = self._plays.popleft()
        if isinstance(play, Stillborn):
            theirs.close()
            self._end(Exit(worker, play.cause, play.is_final))
        elif play is not PENDING:
            thread = threading.Thread(target=self._run, args=(play, worker, theirs))
            self._threads.append(thread)
            thread.start()
        return Connection(ours.detach())

    def kill(self, worker: int) -> None:
        self.ends[worker].shutdown(socket.SHUT_RDWR)

    def read_exit(self) -> Exit | None:
        os.read(self._readable, 1)
        return self._exits.popleft()

    def close(self) -> None:
        for end in self.ends.values():
            with suppress(OSError):  # the worker has closed it
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self.ends.values():
            end.close()

    def _run(self, play: Play, worker: int, end: socket.socket) -> None:
        with Connection(os.dup(end.fileno())) as connection:
            try:
                connection.send(Ready())
                cause = play(connection)
            except (EOFError, OSError):
                cause = KILLED
        end.close()
        self._end(Exit(worker, cause, is_innocent=cause == GONE))

    def _end(self, exit_: Exit) -> None:
        self._exits.append(exit_)
        os.write(self._writable, b"!")


class Quiet:
    """Notes how trials ended, and what the user is told."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, str, str | None]] = []
        self.messages: list[str] = []

    def started(self, entry: Entry, worker: int) -> None: ...

    def ended(self, entry: Entry) -> None:
        self.ends.append((entry.number, entry.outcome, entry.error))

    def heard(self, news: News) -> None: ...

    def reported(self, entry: Entry, value: float, step: int) -> None: ...

    def message(self, text: str) -> None:
        self.messages.append(text)

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
    """Run a sweep over ``a`` with so many slots in one worker, or as many as ``more`` says."""
    form = ModuleType("own")
    form.__dict__.update(refusal=lambda config: None, make=lambda: None)
    monkeypatch.setitem(sys.modules, "own", form)

    def run(
        slots: int,
        trials: int,
        *plays: Worker,
        more: tuple[str, ...] = (),
        terminator: BaseTerminator | None = None,
        observer: Quiet | None = None,
    ) -> Any:
        plan = make_plan(
            f"a=range(0,{trials})", "hydra.sweeper.workers=1", "hydra.sweeper.fused=own",
            f"hydra.sweeper.slots={slots}", *more,
        )  # fmt: skip
        study, quiet, nursery = open_study(plan), observer or Quiet(), PlayedNursery(*plays)
        occupancy = Occupancy(plan.places)
        made = cast("Nursery", nursery)
        try:
            Controller(plan, study, made, terminator, quiet, interrupts, occupancy).run()
        finally:
            nursery.close()
        return study, quiet

    return run


def take(connection: Connection, count: int) -> list[Assignment]:
    """Begin the next trials; return their assignments."""
    found: list[Assignment] = []
    while len(found) < count:
        message = connection.recv()
        found += [message] if isinstance(message, Assignment) else []
    for each in found:
        each.directory.mkdir(parents=True)  # as a worker does
    return found


def hang_up(connection: Connection) -> None:
    """Say no more, but take what comes, as the driver does for an actor whose node is gone."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_WR)


def completes(connection: Connection) -> str:
    """Complete whatever comes, one after another."""
    while True:
        for each in take(connection, 1):
            connection.send(Ended(each.number, DONE))


def test_last_words_are_heard(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """What a worker said before it died holds; whom it had not told of are run again."""

    def ends_one_and_dies(connection: Connection) -> str:
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

    def writes_and_dies(connection: Connection) -> str:
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

    def hangs(connection: Connection) -> str:
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

    def dies_of_two(connection: Connection) -> str:
        take(connection, 2)
        return KILLED

    def dies_of_one(connection: Connection) -> str:
        (first,) = take(connection, 1)
        alone.append(first.number)
        return KILLED

    def is_alone(connection: Connection) -> str:
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


def together(connection: Connection) -> list[int]:
    """Return the trials that a worker has before the first of them ends; complete these."""
    (one,) = take(connection, 1)
    connection.send(MayBePruned(one.number))  # it has filled the places when it hears that
    message, found = connection.recv(), [one.number]
    while not isinstance(message, Answer):
        found += [message.number] if isinstance(message, Assignment) else []
        message = connection.recv()
    for number in found:
        connection.send(Ended(number, DONE))
    return found


@pytest.mark.parametrize("retries", [0, 1])
def test_a_machine_that_is_gone_is_no_trials_fault(
    sweep: Callable[..., tuple[SweepStudy, Quiet]], retries: int
) -> None:
    """Each trial fails, as it would have without others; those run again share a worker again."""
    had: list[list[int]] = []

    def goes_away(connection: Connection) -> str:
        take(connection, 2)
        return GONE

    def goes_on(connection: Connection) -> str:
        had.append(together(connection))
        return completes(connection)

    study, quiet = sweep(2, 4, goes_away, goes_on, more=(f"hydra.sweeper.retries={retries}",))
    end = "RETRIED" if retries else "FAIL"
    assert quiet.ends[:2] == [(number, end, GONE) for number in range(2)]
    assert had == [[2, 3]]
    ends = [(e.outcome, e.origin) for n, e in study.entries.items() if n > 1]
    again = [("COMPLETE", 0), ("COMPLETE", 1)] if retries else []
    assert ends == [*again, *[("COMPLETE", None)] * 2]


def test_a_worker_that_has_hung_up_is_given_nothing(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Of a machine that is gone with two workers the idle one does not get the other's trial."""
    is_busy, is_idle = threading.Event(), threading.Event()
    given: list[Assignment] = []

    def idles(connection: Connection) -> str:
        (one,) = take(connection, 1)
        is_busy.wait()
        connection.send(Ended(one.number, DONE))
        hang_up(connection)
        is_idle.set()
        given.extend(take(connection, 1))
        return GONE

    def goes_away(connection: Connection) -> str:
        take(connection, 1)
        is_busy.set()
        is_idle.wait()
        return GONE

    more = ("hydra.sweeper.workers=2", "hydra.sweeper.retries=1")
    study, quiet = sweep(1, 2, idles, goes_away, completes, more=more)
    assert not given
    assert sorted(outcome for _, outcome, _ in quiet.ends) == ["COMPLETE", "COMPLETE", "RETRIED"]
    assert study.entries[2].outcome == "COMPLETE"


def test_workers_that_end_together_are_not_given_each_others_trials(
    sweep: Callable[..., tuple[SweepStudy, Quiet]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All ends that the nursery has told of are heard before anybody is given a trial."""
    is_busy, is_idle, has_gone = threading.Event(), threading.Event(), threading.Event()
    ends = threading.Semaphore(0)
    read_exit, end = PlayedNursery.read_exit, PlayedNursery._end

    def idles(connection: Connection) -> str:
        (one,) = take(connection, 1)
        is_busy.wait()
        connection.send(Ended(one.number, DONE))
        while not isinstance(connection.recv(), Served):
            pass
        is_idle.set()
        has_gone.wait()
        return GONE

    def goes_away(connection: Connection) -> str:
        take(connection, 1)
        is_busy.set()
        is_idle.wait()
        return GONE

    def ends_after(nursery: PlayedNursery, exit_: Exit) -> None:
        end(nursery, exit_)
        ends.release()

    def reads_late(nursery: PlayedNursery) -> Exit | None:
        if not has_gone.is_set():  # the first is there, and the other follows
            has_gone.set()
            for _ in range(2):
                ends.acquire()
        return read_exit(nursery)

    monkeypatch.setattr(PlayedNursery, "_end", ends_after)
    monkeypatch.setattr(PlayedNursery, "read_exit", reads_late)
    more = ("hydra.sweeper.workers=2", "hydra.sweeper.retries=1")
    _, quiet = sweep(1, 2, idles, goes_away, completes, more=more)
    assert sorted(outcome for _, outcome, _ in quiet.ends) == ["COMPLETE", "COMPLETE", "RETRIED"]


def test_a_trial_that_had_not_begun_on_a_machine_that_is_gone_is_run_again(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """It was sent, and nobody took it: that is no attempt. One that had begun has failed."""

    def takes_one_of_two(connection: Connection) -> str:
        take(connection, 1)
        connection.poll(None)
        return GONE

    more = ("hydra.sweeper.max_failure_rate=1.0",)
    study, quiet = sweep(2, 2, takes_one_of_two, completes, more=more)
    assert quiet.ends == [
        (1, "INTERRUPTED", "its worker had died before it began"), (0, "FAIL", GONE),
        (2, "COMPLETE", None),
    ]  # fmt: skip
    assert study.entries[2].origin == 1


def test_who_holds_a_worker_is_to_blame_for_its_end(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """It was trained for itself, and fails; those that only waited share a worker again."""
    had: list[list[int]] = []

    def dies_of_one(connection: Connection) -> str:
        _, second, _ = take(connection, 3)
        connection.send(Held(second.number, True))
        return KILLED

    def goes_on(connection: Connection) -> str:
        had.append(together(connection))
        return completes(connection)

    _, quiet = sweep(3, 3, dies_of_one, goes_on)
    waited = f"it waited for trial 1 when {KILLED}"
    assert quiet.ends[:3] == [
        (0, "INTERRUPTED", waited), (1, "FAIL", KILLED), (2, "INTERRUPTED", waited),
    ]  # fmt: skip
    assert had == [[3, 4]]


def test_who_held_a_worker_is_run_again_by_itself(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """With retries: until it has ended each worker has one trial."""
    had: list[list[int]] = []

    def dies_of_one(connection: Connection) -> str:
        first, _ = take(connection, 2)
        connection.send(Held(first.number, True))
        return KILLED

    def goes_on(connection: Connection) -> str:
        had.extend(together(connection) for _ in range(2))
        return completes(connection)

    study, _ = sweep(2, 3, dies_of_one, goes_on, more=("hydra.sweeper.retries=1",))
    assert [study.entries[number].outcome for number in range(2)] == ["RETRIED", "INTERRUPTED"]
    assert had == [[2], [3, 4]]


def test_nobody_waits_for_the_other_to_listen(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A worker may say more than fits the line before it listens to what it was given meanwhile."""
    count = 40

    def ends_all_at_once(connection: Connection) -> str:
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


def test_clocks_stand_still_for_those_that_wait(make_entry: Callable[..., Entry]) -> None:
    """While one trial has the worker to itself, its clock alone runs."""
    ours, theirs = socket.socketpair()
    with Connection(ours.detach()) as connection, theirs:
        seat = Seat(0, connection)
        seat.running = {n: Running(make_entry(n), started=10.0 * n) for n in range(2)}
        seat.hold(1, now=15.0)
        assert seat.going == [seat.running[1]]
        seat.running[2] = Running(make_entry(2), started=20.0)
        seat.hold(2, now=30.0)  # that one is over, and the next begins
        seat.hold(None, now=35.0)
        assert seat.going == list(seat.running.values())
    assert [seat.running[n].waited for n in range(3)] == [20.0, 5.0, 10.0]
    assert [seat.running[n].ran(40.0) for n in range(3)] == [20.0, 25.0, 10.0]


def test_a_trial_that_holds_the_others_for_too_long(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """It is told to stop, and fails with its worker; those that waited for it are run again."""
    stopped: list[int | None] = []

    def hangs(connection: Connection) -> int:
        first, *_ = take(connection, 3)
        connection.send(Alone(first.number, "too wide"))
        connection.send(Held(first.number, True))
        while True:
            message = connection.recv()
            stopped.extend([message.trial] if isinstance(message, Stop) else [])

    study, quiet = sweep(3, 3, hangs, completes, more=("hydra.sweeper.trial_timeout=1",))
    assert stopped == [0]
    assert quiet.ends[0] == (0, "FAIL", "took longer than trial_timeout = 1 s")
    waited = "trial 0, which it waited for, took longer than trial_timeout = 1 s"
    assert quiet.ends[1:3] == [(n, "INTERRUPTED", waited) for n in (1, 2)]
    assert [study.entries[n].outcome for n in (3, 4)] == ["COMPLETE"] * 2
    assert study.entries[1].waited > 1
    assert quiet.messages == ["trial 0, for one, is trained alone: too wide"]


def test_the_user_is_told_once_of_trials_alone(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Each trial's own log says it, too."""

    def is_alone(connection: Connection) -> int:
        while True:
            (one,) = take(connection, 1)
            connection.send(Alone(one.number, f"width {one.number}"))
            connection.send(Ended(one.number, DONE))

    _, quiet = sweep(2, 3, is_alone)
    assert quiet.messages == ["trial 0, for one, is trained alone: width 0"]


def test_trials_go_to_and_fro_between_workers(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Where every other trial is wide, each worker gets as many of them."""
    all_given = threading.Barrier(2)
    given: list[list[int]] = []

    def waits_for_the_other(connection: Connection) -> int:
        found = take(connection, 4)
        given.append([each.number for each in found])
        all_given.wait()
        for each in found:
            connection.send(Ended(each.number, DONE))
        return completes(connection)

    sweep(4, 8, *[waits_for_the_other] * 2, more=("hydra.sweeper.workers=2",))
    assert sorted(given) == [[0, 3, 4, 7], [1, 2, 5, 6]]


def test_a_worker_that_waits_for_room_has_no_trial(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """On a cluster that is too small for all workers, those that it has room for do the work."""
    study, _ = sweep(1, 4, PENDING, completes, PENDING, more=("hydra.sweeper.workers=3",))
    assert [study.entries[number].outcome for number in range(4)] == ["COMPLETE"] * 4


def test_a_worker_that_is_first_leaves_the_others_their_share(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Trials that all fit one worker's slots wait for one that was started with it."""
    had: list[int] = []
    is_here = threading.Event()

    def takes(connection: Connection) -> str:
        count = len(take(connection, 2))
        is_here.wait()
        had.append(count + connection.poll(0))
        raise EOFError

    def is_late(connection: Connection) -> str:
        had.append(len(take(connection, 2)))
        is_here.set()
        raise EOFError

    sweep(4, 4, takes, is_late, completes, completes, more=("hydra.sweeper.workers=2",))
    assert had[:2] == [2, 2]


def test_workers_that_never_begin_end_the_sweep(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """Where no worker gets as far as its first trial, no trial fails for it."""
    with pytest.raises(SweepFailed, match=r"^3 workers ended before they began: no luck$"):
        sweep(1, 4, *[Stillborn("no luck")] * 3)


def test_what_would_end_every_worker_ends_the_sweep(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A worker that says so is not started again."""
    with pytest.raises(SweepFailed, match=r"^no such folder$"):
        sweep(1, 4, Stillborn("no such folder", is_final=True))


def test_one_that_says_much_makes_nobody_deaf(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
    interrupts: Interrupts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a worker reports faster than the study takes it, a signal is heard all the same."""
    most = 200
    said = 0
    sent = threading.Semaphore(0)  # messages but for the first

    def says_much(connection: Connection) -> str:
        nonlocal said
        (one,) = take(connection, 1)
        interrupts.handle(signal.SIGINT, None)
        while said < most and not connection.poll():
            connection.send(Report(one.number, 0.0, said))
            if said:
                sent.release()
            said += 1
        connection.send(Ended(one.number, Outcome.interrupted("stopped")))
        sent.release()
        return completes(connection)

    # Whenever one report has been taken, the next is there.
    monkeypatch.setattr(SweepStudy, "report", lambda *_: sent.acquire(timeout=60))
    with pytest.raises(Interrupted, match="SIGINT"):
        sweep(1, 1, says_much)
    assert said < most


def _fails(connection: Connection) -> str:
    """Fail whatever comes."""
    while True:
        for each in take(connection, 1):
            Outcome.failed("RuntimeError: cannot write").write(each.directory)
            connection.send(Ended(each.number, Outcome.failed("RuntimeError: cannot write")))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a disk without room."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * 2**20))


@pytest.mark.usefixtures("full_disk")
def test_full_disk_charges_no_trial(
    sweep: Callable[..., tuple[SweepStudy, Quiet]], tmp_path: Path
) -> None:
    """A trial that fails while the disk is full is interrupted with the sweep, in one message."""
    message = r"^.*multirun/s: the disk must have 50 MiB free, but has 3: make room$"
    with pytest.raises(EnvironmentFault, match=message):
        sweep(1, 3, _fails, more=("hydra.sweeper.study_name=s",))
    (found,) = trials_of(tmp_path)
    assert found.user_attrs["sinesweep.outcome"] == "INTERRUPTED"
    assert not list(tmp_path.glob("multirun/s/trials/*/outcome.json"))


def test_trial_that_fails_with_room_on_the_disk_is_charged(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A trial that fills a device of its own has failed, and the others go on."""

    def play(connection: Connection) -> str:
        (first,) = take(connection, 1)
        full = Outcome.failed("OSError: No space left on device", errno.ENOSPC)
        connection.send(Ended(first.number, full))
        return completes(connection)

    _, quiet = sweep(1, 3, play)
    assert [outcome for _, outcome, _ in quiet.ends] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_quota_charges_no_trial(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """A quota may refuse a large file and take a small one: the trial's error is believed."""

    def play(connection: Connection) -> str:
        (first,) = take(connection, 1)
        connection.send(Ended(first.number, Outcome.failed("OSError", errno.EDQUOT)))
        return completes(connection)

    with pytest.raises(EnvironmentFault, match="the disk quota is used up"):
        sweep(1, 3, play)


@pytest.mark.parametrize("refused", ["report", "end", "next"])
def test_refused_write_to_the_study_interrupts_the_sweep(
    refused: str,
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A journal that cannot be written ends the loop at once, whatever it was writing."""

    def play(connection: Connection) -> str:
        for each in take(connection, 1):
            connection.send(Report(each.number, 1.0, 0))
            connection.send(Ended(each.number, DONE))
        return completes(connection)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "study.journal")

    method, calls = getattr(SweepStudy, refused), [0]

    def once_well(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        return refuse() if calls[0] > (refused == "next") else method(*arguments, **more)

    monkeypatch.setattr(SweepStudy, refused, once_well)
    with pytest.raises(OSError, match=r"No space left on device: 'study\.journal'"):
        sweep(1, 3, play, more=("hydra.sweeper.study_name=s",))
    assert all(trial.state != TrialState.FAIL or is_again(trial) for trial in trials_of(tmp_path))


def is_again(trial: FrozenTrial) -> bool:
    """Whether a trial is to be run again."""
    return trial.user_attrs["sinesweep.outcome"] == "INTERRUPTED"


def trials_of(folder: Path) -> list[FrozenTrial]:
    """Return the trials as the next command reads them."""
    return optuna.load_study(
        study_name="s", storage=open_storage(None, folder / "multirun" / "s")
    ).trials


class Terminator(BaseTerminator):
    """Ends a sweep with its second trial."""

    def should_terminate(self, study: Any) -> bool:
        return len(study.trials) >= 2


_TERMINATED = ("hydra.sweeper.terminator={_target_:mine.T}", "hydra.sweeper.study_name=s")


def test_terminated_sweep_stays_ended(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """The same command runs no further trial, and says how to continue the sweep."""
    study, quiet = sweep(1, 5, completes, more=_TERMINATED, terminator=Terminator())
    assert study.counted == 2
    assert "the terminator sees no more to gain; continue it with a greater" in quiet.messages[-1]
    for more in ((), ("hydra.sweeper.n_trials=4",)):
        study, quiet = sweep(1, 5, more=(*_TERMINATED, *more), terminator=Terminator())
        assert study.counted == 2
        (said,) = quiet.messages
        assert said.startswith("no more trials begin: the sweep was ended by its terminator; con")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("hydra.sweeper.n_trials=3", "hydra.sweeper.n_trials=4"),
        ("hydra.sweeper.n_trials=3", "hydra.sweeper.n_trials=null"),
        ("hydra.sweeper.n_trials=3", "+hydra.sweeper.terminator.more=1"),
    ],
)
def test_terminated_sweep_is_continued_on_request(
    sweep: Callable[..., tuple[SweepStudy, Quiet]], first: str, then: str
) -> None:
    """A greater n_trials or another terminator continues a sweep that its terminator ended."""
    sweep(1, 5, completes, more=(*_TERMINATED, first), terminator=Terminator())
    study, _ = sweep(1, 5, completes, more=(*_TERMINATED, first, then), terminator=Terminator())
    assert study.counted == 3


class Undecided(BaseTerminator):
    """A terminator that cannot decide."""

    def should_terminate(self, study: optuna.Study) -> bool:
        raise LookupError("undecided")


def test_terminator_that_fails_is_named(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """One line says which one failed and where."""
    expected = r"^hydra.sweeper.terminator: Undecided must not fail, but raised LookupError: undec"
    with pytest.raises(HookFailed, match=expected):
        sweep(1, 5, completes, more=_TERMINATED, terminator=Undecided())


class Unteachable(optuna.samplers.RandomSampler):
    """A sampler that cannot learn of trials that complete."""

    def after_trial(self, study: Any, trial: Any, state: TrialState, values: Any) -> None:
        if state == TrialState.COMPLETE:
            raise LookupError("nothing learned")


def test_result_that_a_sampler_cannot_be_told_is_shown_and_told_later(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """The trials that ended beside it have ended, too, and none is evaluated again."""

    def ends_one_of_two(connection: Connection) -> str:
        first, second = take(connection, 2)
        for each in (first, second):
            DONE.write(each.directory)
        connection.send(Ended(first.number, DONE))
        connection.recv()
        return KILLED

    observer = Quiet()
    more = ("hydra.sweeper.study_name=s", "hydra.sweeper.n_trials=2")
    own = f"hydra.sweeper.sampler={{_target_: {__name__}.Unteachable}}"
    with pytest.raises(HookFailed, match=r"^hydra.sweeper.sampler: Unteachable must not fail, but"):
        sweep(2, 5, ends_one_of_two, more=(*more, own), observer=observer)
    assert observer.ends == [(0, "COMPLETE", None), (1, "COMPLETE", None)]

    study, quiet = sweep(2, 5, more=(*more, "hydra/sweeper/sampler=random"))
    assert [entry.outcome for entry in study.entries.values()] == ["COMPLETE"] * 2
    assert quiet.ends == []


def test_sweep_whose_sampler_stops_says_so(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A sampler that has no more to propose ends the sweep with a line, each time."""
    sampler = "hydra.sweeper.sampler={_target_:optuna.samplers.BruteForceSampler}"
    more = (sampler, "hydra.sweeper.n_trials=9", "hydra.sweeper.deduplicate=false")
    for plays in ((completes,), ()):
        study, quiet = sweep(1, 2, *plays, more=more)
        assert study.counted == 2
        assert "no more trials begin: its sampler proposes no more points" in quiet.messages[-1]


def test_sweep_of_all_points_says_so(sweep: Callable[..., tuple[SweepStudy, Quiet]]) -> None:
    """A sweep that ends before n_trials, since each point was evaluated, ends with a line."""
    _, quiet = sweep(1, 3, completes, more=("hydra.sweeper.n_trials=9",))
    assert quiet.messages == ["no more trials begin: each of its 3 points was evaluated"]
    _, quiet = sweep(1, 3, completes, more=("hydra.sweeper.study_name=grid",))
    assert quiet.messages == []


def test_worker_that_leaves_is_replaced(
    sweep: Callable[..., tuple[SweepStudy, Quiet]],
) -> None:
    """A worker that exits after a trial gets no other, and no trial is charged for its end."""

    def leaves(connection: Connection) -> str:
        (one,) = take(connection, 1)
        connection.send(Ended(one.number, DONE, is_last=True))
        assert connection.recv() == Served(one.number)
        assert not connection.poll()
        return "the worker process ended with exit code 0"

    _, quiet = sweep(1, 3, leaves, completes)
    assert quiet.ends == [(number, "COMPLETE", None) for number in range(3)]
