"""The control loop: a trial for whichever worker is free, until the budget is spent.

One process, one thread. It alone talks to the study. It sleeps until a worker reports, ends a
trial or dies, a signal comes, or a deadline passes; a worker that becomes free has its next trial
before anything else is done.
"""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sinesweep.errors import EnvironmentFault, HookFailed, Interrupted, StudyAway, SweepFailed
from sinesweep.files import refusal_of_writes, unwritable
from sinesweep.sweep.balance import Balance
from sinesweep.sweep.entry import FAIL, INTERRUPTED, REUSED, RUN_AGAIN, RUNNING, WAITING, Entry
from sinesweep.sweep.guilt import judge
from sinesweep.sweep.hooks import hook
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.messages import (
    Alone,
    Answer,
    Assignment,
    Ended,
    Held,
    IsAmongBest,
    MayBePruned,
    Ready,
    Report,
    Served,
    Stop,
)
from sinesweep.sweep.nursery import Exit, Nursery
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.outcome import Outcome, forget_outcome, read_outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.seat import Running, Seat
from sinesweep.sweep.study import News, SweepStudy
from sinesweep.sweep.wording import counted

if TYPE_CHECKING:
    from optuna.terminator import BaseTerminator

_CONTINUE = (
    "continue it with a greater hydra.sweeper.n_trials, another hydra.sweeper.terminator or "
    "hydra.sweeper.terminator=null"
)
_TICK = 0.1  # seconds between looks at clocks and screen
_YOUTH = 10.0  # seconds in which a worker that was started should be ready, if there is room for it
_MOST_HEARD = 16  # messages of a worker in a row: one that says much must not make the loop deaf
_MOST_STILLBORN = 3  # times as many as there are workers


class Observer(Protocol):
    """Whoever is told what happens: the screen, the tracker, the tables."""

    def started(self, entry: Entry, worker: int) -> None:
        """A worker has been given a trial."""

    def ended(self, entry: Entry) -> None:
        """The study has been told of a trial's end."""

    def heard(self, news: News) -> None:
        """Another participant has begun a trial, or ended it, or was to."""

    def reported(self, entry: Entry, value: float, step: int) -> None:
        """A trial has reported a value."""

    def message(self, text: str) -> None:
        """Something that the user should know."""

    def tick(self) -> None:
        """A moment has passed."""


class Controller:
    """Runs a sweep.

    Args:
        plan: the sweep.
        study: asked for trials, told of their ends.
        nursery: starts workers.
        terminator: Optuna's, asked after each trial, or None.
        observer: told what happens.
        interrupts: Ctrl-C and SIGTERM.
        occupancy: told how many trials run.
    """

    def __init__(
        self,
        plan: Plan,
        study: SweepStudy,
        nursery: Nursery,
        terminator: BaseTerminator | None,
        observer: Observer,
        interrupts: Interrupts,
        occupancy: Occupancy,
    ) -> None:
        self._plan = plan
        self._settings = plan.settings
        self._study = study
        self._nursery = nursery
        self._terminator = terminator
        self._observer = observer
        self._interrupts = interrupts
        self._occupancy = occupancy
        self._seats: dict[int, Seat] = {}
        self._selector = selectors.DefaultSelector()
        self._begun = time.monotonic()
        self._told_of_alone = False
        self._balance = Balance()
        self._last: Seat | None = None  # who was given a trial last
        self._suspects: set[int] = set()  # one of them may have killed the worker that they shared
        self._stillborn = 0  # workers in a row that ended before they were ready
        self._closing: str | None = None  # why no more trials begin
        self._fault: str | None = None  # why the sweep has failed
        self._refusal: str | None = None  # why no file can be written

    def run(self) -> None:
        """Run trials until there are no more.

        Raises:
            SweepFailed: the failure policy ended the sweep.
            EnvironmentFault: files cannot be written; running trials are interrupted.
            Interrupted: Ctrl-C or SIGTERM did; every trial is closed, unless the database was away.
        """
        self._selector.register(self._nursery, selectors.EVENT_READ)
        self._selector.register(self._interrupts, selectors.EVENT_READ)
        try:
            if self._interrupts.count:
                self._interrupted()
            if self._study.is_terminated:
                self._close(f"the sweep was ended by its terminator; {_CONTINUE}")
            self._loop()
            self._tell_of_exhaustion()
            for entry in self._study.end_waiting():
                self._observer.ended(entry)
        except (Exception, Interrupted):
            self._give_up()
            raise
        finally:
            self._selector.close()
            for seat in self._seats.values():
                seat.connection.close()
        if self._interrupts.cause:
            raise Interrupted(self._interrupts.cause)
        if self._fault:
            raise SweepFailed(self._fault)

    def _loop(self) -> None:
        while True:
            self._hear_of_others()
            reused = self._fill()
            goes_on = self._closing is None and (self._study.has_more or self._study.awaits_others)
            if not reused and not self._busy() and not goes_on:
                return
            for key, _ in self._selector.select(0 if reused else _TICK):
                self._handle(key.fileobj)
            self._look_at_clocks()
            if self._refusal:
                raise EnvironmentFault(self._refusal)
            self._observer.tick()

    def _handle(self, source: object) -> None:
        if source is self._nursery:
            self._workers_ended()
        elif source is self._interrupts:
            self._interrupted()
        else:
            for seat in list(self._seats.values()):
                if seat.connection is source:
                    self._listen(seat, _MOST_HEARD)
                    self._send(seat)

    def _fill(self) -> bool:
        """Give every free place a trial; start workers as long as there are trials for them.

        Returns:
            Whether it stopped at a trial that needed no worker, to look at everything else before
            the next: a sampler may propose known points for long.
        """
        while self._closing is None and self._study.has_more:
            seat = self._free_seat()
            if seat is None:
                return False
            entry = self._next()
            if entry is None:
                return False
            if entry.outcome == RUNNING:
                self._assign(seat, entry)
                continue
            if entry.outcome == REUSED and entry.origin is not None:
                self._suspects.discard(entry.origin)
            if entry.outcome != WAITING:
                self._observer.ended(entry)
            return True
        return False

    def _next(self) -> Entry | None:
        try:
            return self._study.next()
        except Interrupted:  # while the database or the turn was waited for
            return None  # the loop hears of it before it asks again

    def _free_seat(self) -> Seat | None:
        """Return the worker with the least left, if it may have another; start more workers first.

        Of two, the one that was given the last trial comes first: so the first trials go to and
        fro, and where narrow and wide take turns, nobody gets all the wide ones.
        """
        ready = [seat for seat in self._seats.values() if seat.takes_trials]
        left = {seat.number: self._left_of(seat) for seat in ready}
        places = 1 if self._suspects else self._plan.slots
        seat = min(
            (s for s in ready if len(s.running) < places),
            key=lambda s: (bool(s.running), left[s.number], s is not self._last),
            default=None,
        )
        if seat is not None and not seat.running:
            return seat
        self._start_workers()
        if seat is None or self._awaits_worker:  # one that was just started will want its share
            return None
        may = self._balance.may_have_more(left[seat.number], list(left.values()), self._study.left)
        return seat if may else None

    def _left_of(self, seat: Seat) -> float:
        now = time.monotonic()
        return self._balance.left([running.ran(now) for running in seat.running.values()])

    def _start_workers(self) -> None:
        """Start as many as there are trials for, so that they begin side by side."""
        starting = [s for s in self._seats.values() if not s.is_ready]
        free = [n for n in range(self._settings.processes) if n not in self._seats]
        left = self._study.left
        wanted = len(free) if left is None else max(1, left) - len(starting)
        for number in free[: max(wanted, 0)]:
            seat = Seat(number, self._nursery.start(number))
            self._seats[number] = seat
            self._selector.register(seat.connection, selectors.EVENT_READ)

    @property
    def _awaits_worker(self) -> bool:
        """Whether a worker should be ready soon, if there is room for it."""
        now = time.monotonic()
        return any(not s.is_ready and now - s.started < _YOUTH for s in self._seats.values())

    def _assign(self, seat: Seat, entry: Entry) -> None:
        assert entry.directory is not None
        self._observer.started(entry, seat.number)
        self._last = seat
        seat.running[entry.number] = Running(entry, time.monotonic())
        self._count()
        tag = self._study.run_tag(entry.number)
        self._send(seat, Assignment(entry.number, entry.overrides, entry.directory, tag))

    def _send(self, seat: Seat, *messages: Answer | Assignment | Served | Stop) -> None:
        seat.unsent.extend(messages)
        try:
            seat.send()
        except (BrokenPipeError, ConnectionResetError):  # it has died; its Exit follows
            seat.is_lost = True
        with suppress(KeyError):  # nobody listens to it any more
            more = selectors.EVENT_WRITE if seat.unsent else 0
            self._selector.modify(seat.connection, selectors.EVENT_READ | more)

    def _count(self) -> None:
        self._occupancy.change(
            sum(len(seat.running) for seat in self._seats.values()),
            queued=self._closing is None and self._study.has_more,
        )

    def _listen(self, seat: Seat, most: int | None = None) -> None:
        """Hear what a worker has said so far, or at most so many messages of that."""
        heard = 0
        while heard != most:
            try:
                if not seat.connection.poll():
                    return
                message = seat.connection.recv()
            except (EOFError, OSError):  # at the end of a message, or in one
                # The worker has exited. The nursery reports the cause later.
                seat.is_deaf = True
                with suppress(KeyError):
                    self._selector.unregister(seat.connection)
                return
            self._hear(seat, message)
            heard += 1

    def _hear(self, seat: Seat, message: object) -> None:
        match message:
            case Ready():
                seat.is_ready = True
                self._stillborn = 0
            case Report(number, value, step):
                self._study.report(number, value, step)
                self._observer.reported(seat.running[number].entry, value, step)
            case MayBePruned(number):
                self._send(seat, Answer(number, self._study.should_prune(number)))
            case IsAmongBest(number, value, count):
                self._send(seat, Answer(number, self._study.is_among_best(number, value, count)))
            case Alone(number, reason):
                self._tell_of_alone(number, reason)
            case Held(number, is_on):
                seat.hold(number if is_on else None, time.monotonic())
            case Ended(number, outcome, is_last):
                seat.is_leaving = is_last
                self._end(seat.running.pop(number), outcome)
                self._fill()
                self._send(seat, Served(number))
            case _:
                raise TypeError(f"a worker does not say {message!r}")

    def _tell_of_alone(self, number: int, reason: str) -> None:
        """Say it of the first trial that nobody could know of beforehand."""
        if not self._told_of_alone and reason not in self._plan.unfused:
            self._told_of_alone = True
            self._observer.message(f"trial {number}, for one, is trained alone: {reason}")

    def _end(self, running: Running, outcome: Outcome) -> Entry:
        entry = running.entry
        seconds = running.ran(time.monotonic())
        self._balance.ended(seconds)
        if running.doomed and outcome.kind == INTERRUPTED:
            outcome = running.doomed
        outcome = self._or_interrupted(entry, outcome)
        try:
            ended = self._study.end(entry.number, outcome, seconds=seconds, waited=running.waited)
        except HookFailed:  # the next command reads in the trial's folder what it came to
            self._observer.ended(self._study.leave(entry.number, outcome, seconds=seconds))
            raise
        if entry.origin in self._suspects:
            self._suspects.discard(entry.origin)
            if ended.outcome in RUN_AGAIN:
                self._suspects.add(entry.number)
        self._count()
        self._observer.ended(ended)
        self._judge_end(ended)
        return ended

    def _or_interrupted(self, entry: Entry, outcome: Outcome) -> Outcome:
        """Charge no trial with what no trial can do: a failure while no file can be written."""
        if outcome.kind != FAIL:
            return outcome
        refusal = refusal_of_writes(self._plan.folder, outcome.errno)
        if refusal is None:
            return outcome
        assert entry.directory is not None
        forget_outcome(entry.directory)
        self._refusal = self._refusal or refusal
        self._close("no file can be written")
        return Outcome.interrupted(refusal)

    def _judge_end(self, ended: Entry) -> None:
        """See whether the sweep goes on after a trial's end, here or elsewhere."""
        if ended.outcome == FAIL:
            self._apply_failure_policy(ended)
        elif self._terminator and self._should_terminate(self._terminator):
            self._study.note_termination()
            self._close(f"the terminator sees no more to gain; {_CONTINUE}")

    def _should_terminate(self, terminator: BaseTerminator) -> bool:
        with hook("terminator", type(terminator).__name__):
            return terminator.should_terminate(self._study.optuna)

    def _tell_of_exhaustion(self) -> None:
        """Say why the sweep ends before n_trials have ended, if nothing else has said so."""
        budget = self._settings.n_trials
        is_spent = budget is not None and self._study.counted >= budget
        if is_spent or self._plan.is_enumeration or self._closing is not None:
            return
        if cause := self._study.exhausted:
            self._close(cause)

    def _hear_of_others(self) -> None:
        for news in self._look():
            self._observer.heard(news)
            if news.entry.state == RUNNING:
                continue
            self._judge_end(news.entry)
            for seat in self._busy():
                if news.entry.number in seat.running:
                    cause = f"trial {news.entry.number} was taken over: this process seemed dead"
                    self._observer.message(cause)
                    self._send(seat, Stop(cause, news.entry.number))

    def _look(self) -> list[News]:
        try:
            return self._study.look()
        except Interrupted:  # as in _next()
            return []

    def _apply_failure_policy(self, entry: Entry) -> None:
        limit = self._settings.max_failure_rate * (self._plan.total or self._study.counted)
        if self._settings.on_failure == "abort":
            self._abort(f"trial {entry.number} failed, and on_failure is abort: {entry.error}")
        elif self._study.failed > limit:
            self._abort(
                f"{counted(self._study.failed, 'trial')} failed, more than max_failure_rate = "
                f"{self._settings.max_failure_rate:g} allows; the last one: {entry.error}"
            )

    # ends

    def _workers_ended(self) -> None:
        """Hear of all ends that there are: what one had is not to go to another that is gone."""
        exits = list(self._exits())
        for exit_ in exits:
            if exit_ is not None:
                self._seats[exit_.worker].is_lost = True
        for exit_ in exits:
            self._worker_ended(exit_)

    def _exits(self) -> Iterator[Exit | None]:
        """Yield what the nursery has said so far, which may be that it is gone itself."""
        exit_ = self._nursery.read_exit()
        yield exit_
        while exit_ is not None and select.select([self._nursery], [], [], 0)[0]:
            exit_ = self._nursery.read_exit()
            yield exit_

    def _worker_ended(self, exit_: Exit | None) -> None:
        if exit_ is None:
            self._selector.unregister(self._nursery)
            self._abort("the process that starts workers has died")
            for seat in list(self._seats.values()):
                self._lose(seat, None)
            return
        seat = self._seats[exit_.worker]
        self._listen(seat)  # its last words
        self._lose(seat, exit_)
        self._stillborn += not seat.is_ready
        if exit_.is_final:
            self._abort(exit_.cause)
        elif self._stillborn >= _MOST_STILLBORN * self._settings.processes:
            self._abort(f"{self._stillborn} workers ended before they began: {exit_.cause}")

    def _lose(self, seat: Seat, exit_: Exit | None) -> None:
        """End the trials of a worker that is gone.

        What they had come to and said, or left in their folders, holds.

        Args:
            seat: the worker's.
            exit_: how it ended; None: with the nursery.
        """
        del self._seats[seat.number]
        with suppress(KeyError):
            self._selector.unregister(seat.connection)
        seat.connection.close()
        holder = seat.holder
        seat.hold(None, time.monotonic())
        for number in _unbegun(seat, exit_):
            unbegun = Outcome.interrupted("its worker had died before it began")
            self._end(seat.running.pop(number), unbegun)
        verdict = judge(exit_, seat.running.keys(), holder)
        for number, running in seat.running.items():
            assert running.entry.directory is not None
            known = read_outcome(running.entry.directory) or running.doomed
            ended = self._end(running, known or verdict.outcomes[number])
            if known is None and number in verdict.suspects and ended.outcome in RUN_AGAIN:
                self._suspects.add(number)

    def _interrupted(self) -> None:
        self._interrupts.drain()
        if self._interrupts.count == 1:
            self._close(f"{self._interrupts.cause}")
            if self._busy():
                self._observer.message(
                    "stopping: running trials end at their next report; again to stop at once"
                )
            self._stop_trials(f"interrupted by {self._interrupts.cause}")
        else:
            for seat in self._busy():
                self._kill(seat, Outcome.interrupted(f"interrupted by {self._interrupts.cause}"))

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        limit = self._settings.timeout
        if limit and now - self._begun > limit:
            self._close(f"timeout = {limit:g} s is over")
        longest = self._settings.trial_timeout
        if longest is None:
            return
        for seat in self._busy():
            for running in seat.going:
                if running.ran(now) - (running.told or 0.0) > longest and not seat.is_lost:
                    self._end_overdue(seat, running, longest)

    def _end_overdue(self, seat: Seat, running: Running, longest: float) -> None:
        """Kill the worker of a trial that takes too long, unless others are with it.

        Then it is told to stop. Where it does not in as much time again, any of them may have hung
        the round: the worker is killed, and they are run again one at a time. Where they waited
        for it, it was nobody else's fault.
        """
        cause = f"took longer than trial_timeout = {longest:g} s"
        if len(seat.running) == 1:
            running.doomed = Outcome.failed(cause)
            self._kill(seat, running.doomed)
        elif running.told is None:
            running.doomed, running.told = Outcome.failed(cause), running.ran(time.monotonic())
            self._send(seat, Stop(cause, running.entry.number))
        else:
            for each in seat.running.values():
                each.doomed = None
            whose = "one of those trained together"
            if seat.holder is None:
                self._suspects.update(seat.running)
            else:
                running.doomed = Outcome.failed(cause)
                whose = f"trial {seat.holder}, which it waited for,"
            self._kill(seat, Outcome.interrupted(f"{whose} {cause}"))

    def _close(self, cause: str) -> None:
        """Begin no more trials."""
        if self._closing is None and not self._interrupts.cause:
            self._observer.message(f"no more trials begin: {cause}")
        self._closing = self._closing or cause

    def _abort(self, fault: str) -> None:
        self._fault = self._fault or fault
        self._close("the sweep has failed")
        self._stop_trials("the sweep has failed")

    def _stop_trials(self, cause: str) -> None:
        for seat in self._busy():
            self._send(seat, Stop(cause))

    def _kill(self, seat: Seat, outcome: Outcome) -> None:
        seat.is_lost = True
        for running in seat.running.values():
            running.doomed = running.doomed or outcome
        self._nursery.kill(seat.number)

    def _give_up(self) -> None:
        """Close what runs, where the loop itself has failed: a sampler can, or a full disk.

        A database that is away is told nothing: whoever goes on with the sweep will tell it, and
        by the same folders.
        """
        self._nursery.close()
        end = self._study.end
        for running in [running for seat in self._busy() for running in seat.running.values()]:
            entry, seconds = running.entry, running.ran(time.monotonic())
            assert entry.directory is not None
            left = read_outcome(entry.directory)
            cause = "the sweep had failed before the trial ended"
            outcome = self._or_interrupted(entry, left or Outcome.interrupted(cause))
            try:
                ended = end(entry.number, outcome, seconds=seconds)
            except (Exception, Interrupted) as error:
                is_away = isinstance(error, (StudyAway, HookFailed, Interrupted))
                if not is_away and unwritable(error) is None:
                    raise
                end = self._study.leave
                ended = end(entry.number, outcome, seconds=seconds)
            with suppress(OSError):  # the error that ended the sweep is reported
                self._observer.ended(ended)

    def _busy(self) -> list[Seat]:
        return [seat for seat in self._seats.values() if seat.running]


def _unbegun(seat: Seat, exit_: Exit | None) -> list[int]:
    """Return the trials of a worker that is gone which it cannot have begun.

    A worker makes a trial's folder first of all. Where it died of itself a trial counts all the
    same once it was sent: another might die at the same place, and so on.
    """
    unsent = {each.number for each in seat.unsent if isinstance(each, Assignment)}
    if exit_ is None or not exit_.is_innocent:
        return [number for number in seat.running if number in unsent]
    return [
        number
        for number, running in seat.running.items()
        if number in unsent or not _has_folder(running.entry)
    ]


def _has_folder(entry: Entry) -> bool:
    assert entry.directory is not None
    return entry.directory.exists()
