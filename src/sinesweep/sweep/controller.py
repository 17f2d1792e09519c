"""The control loop: a trial for whichever worker is free, until the budget is spent.

One process, one thread. It alone talks to the study. It sleeps until a worker reports, ends a
trial or dies, a signal comes, or a deadline passes; a worker that becomes free has its next trial
before anything else is done.
"""

from __future__ import annotations

import selectors
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Protocol

from sinesweep.errors import Interrupted, SweepFailed
from sinesweep.sweep.entry import FAIL, RUNNING, WAITING, Entry
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.messages import Assignment, Ended, Question, Report, Stop, Verdict
from sinesweep.sweep.nursery import Nursery
from sinesweep.sweep.outcome import Outcome, read_outcome
from sinesweep.sweep.settings import Settings
from sinesweep.sweep.study import SweepStudy
from sinesweep.sweep.wording import counted

if TYPE_CHECKING:
    from optuna.terminator import BaseTerminator

_TICK = 0.1  # seconds between looks at clocks and screen


class Observer(Protocol):
    """Whoever is told what happens: the screen, the tracker, the tables."""

    def started(self, entry: Entry, worker: int) -> None:
        """A worker has been given a trial."""

    def ended(self, entry: Entry) -> None:
        """The study has been told of a trial's end."""

    def reported(self, entry: Entry, value: float, step: int) -> None:
        """A trial has reported a value."""

    def message(self, text: str) -> None:
        """Something that the user should know."""

    def tick(self) -> None:
        """A moment has passed."""


@dataclass
class Seat:
    """A worker as the controller sees it.

    Attributes:
        number: the worker's.
        connection: to it.
        entry: the trial that it runs.
        started: when that began, by the monotonic clock.
        doomed: what its trial has come to, decided before the worker was killed.
    """

    number: int
    connection: Connection
    entry: Entry | None = None
    started: float = 0.0
    doomed: Outcome | None = None


class Controller:
    """Runs a sweep.

    Args:
        settings: budgets and the failure policy.
        total: the trials of the sweep in all, or None.
        study: asked for trials, told of their ends.
        nursery: starts workers.
        terminator: Optuna's, asked after each trial, or None.
        observer: told what happens.
        interrupts: Ctrl-C and SIGTERM.
    """

    def __init__(
        self,
        settings: Settings,
        total: int | None,
        study: SweepStudy,
        nursery: Nursery,
        terminator: BaseTerminator | None,
        observer: Observer,
        interrupts: Interrupts,
    ) -> None:
        self._settings = settings
        self._total = total
        self._study = study
        self._nursery = nursery
        self._terminator = terminator
        self._observer = observer
        self._interrupts = interrupts
        self._seats: dict[int, Seat] = {}
        self._selector = selectors.DefaultSelector()
        self._begun = time.monotonic()
        self._failures = sum(e.outcome == FAIL for e in study.entries.values())
        self._closing: str | None = None  # why no more trials begin
        self._fault: str | None = None  # why the sweep has failed

    def run(self) -> None:
        """Run trials until there are no more.

        Raises:
            SweepFailed: the failure policy ended the sweep.
            Interrupted: Ctrl-C or SIGTERM did; every trial is closed.
        """
        self._selector.register(self._nursery, selectors.EVENT_READ)
        self._selector.register(self._interrupts, selectors.EVENT_READ)
        try:
            if self._interrupts.count:
                self._interrupted()
            self._loop()
            for entry in self._study.end_waiting():
                self._observer.ended(entry)
        except Exception:
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
            reused = self._fill()
            if not reused and not self._busy():
                return
            for key, _ in self._selector.select(0 if reused else _TICK):
                self._handle(key.fileobj)
            self._look_at_clocks()
            self._observer.tick()

    def _handle(self, source: object) -> None:
        if source is self._nursery:
            self._worker_ended()
        elif source is self._interrupts:
            self._interrupted()
        else:
            for seat in list(self._seats.values()):
                if seat.connection is source:
                    self._listen(seat)

    def _fill(self) -> bool:
        """Give every free worker a trial; start workers as long as there are trials for them.

        Returns:
            Whether it stopped at a trial that needed no worker, to look at everything else before
            the next: a sampler may propose known points for long.
        """
        while self._closing is None and self._study.has_more:
            seat = self._free_seat()
            if seat is None:
                return False
            entry = self._study.next()
            if entry.outcome == RUNNING:
                self._assign(seat, entry)
                continue
            if entry.outcome != WAITING:
                self._observer.ended(entry)
            return True
        return False

    def _free_seat(self) -> Seat | None:
        for seat in self._seats.values():
            if seat.entry is None and seat.doomed is None:
                return seat
        for number in range(self._settings.processes):
            if number not in self._seats:
                seat = Seat(number, self._nursery.start(number))
                self._seats[number] = seat
                self._selector.register(seat.connection, selectors.EVENT_READ)
                return seat
        return None

    def _assign(self, seat: Seat, entry: Entry) -> None:
        assert entry.directory is not None
        self._observer.started(entry, seat.number)
        seat.entry, seat.started = entry, time.monotonic()
        try:
            seat.connection.send(Assignment(entry.number, entry.overrides, entry.directory))
        except (BrokenPipeError, ConnectionResetError):  # it has died; its Exit follows
            seat.doomed = Outcome.interrupted("its worker had died before it began")

    def _send(self, seat: Seat, message: Stop | Verdict) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died; its Exit follows
            seat.connection.send(message)

    def _listen(self, seat: Seat) -> None:
        """Hear what a worker has said so far."""
        try:
            while seat.connection.poll():
                self._hear(seat, seat.connection.recv())
        except (EOFError, ConnectionResetError):
            # It is gone: how, the nursery will say. Nobody listens until then.
            with suppress(KeyError):
                self._selector.unregister(seat.connection)

    def _hear(self, seat: Seat, message: object) -> None:
        entry = seat.entry
        assert entry is not None, "a free worker has nothing to say"
        if isinstance(message, Report):
            self._study.report(entry.number, message.value, message.step)
            self._observer.reported(entry, message.value, message.step)
        elif isinstance(message, Question):
            self._send(seat, Verdict(self._study.should_prune(entry.number)))
        elif isinstance(message, Ended):
            seat.entry = None
            self._end(entry, message.outcome)
            self._fill()

    def _end(self, entry: Entry, outcome: Outcome) -> None:
        ended = self._study.end(entry.number, outcome)
        self._observer.ended(ended)
        if ended.outcome == FAIL:
            self._apply_failure_policy(ended)
        elif self._terminator and self._terminator.should_terminate(self._study.optuna):
            self._close("the terminator sees no more to gain")

    def _apply_failure_policy(self, entry: Entry) -> None:
        self._failures += 1
        limit = self._settings.max_failure_rate * (self._total or self._study.counted)
        if self._settings.on_failure == "abort":
            self._abort(f"trial {entry.number} failed, and on_failure is abort: {entry.error}")
        elif self._failures > limit:
            self._abort(
                f"{counted(self._failures, 'trial')} failed, more than max_failure_rate = "
                f"{self._settings.max_failure_rate:g} allows; the last one: {entry.error}"
            )

    # ends

    def _worker_ended(self) -> None:
        exit_ = self._nursery.read_exit()
        if exit_ is None:
            self._selector.unregister(self._nursery)
            self._abort("the process that starts workers has died")
            for seat in list(self._seats.values()):
                self._lose(seat, Outcome.interrupted("its worker died with the sweep's"))
            return
        seat = self._seats[exit_.worker]
        self._listen(seat)  # its last words
        self._lose(seat, seat.doomed or Outcome.failed(exit_.cause))

    def _lose(self, seat: Seat, outcome: Outcome) -> None:
        del self._seats[seat.number]
        with suppress(KeyError):
            self._selector.unregister(seat.connection)
        seat.connection.close()
        if seat.entry is not None:
            self._end(seat.entry, outcome)

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
                cause = f"interrupted by {self._interrupts.cause}"
                self._kill(seat, Outcome.interrupted(cause))

    def _look_at_clocks(self) -> None:
        now = time.monotonic()
        limit = self._settings.timeout
        if limit and now - self._begun > limit:
            self._close(f"timeout = {limit:g} s is over")
        longest = self._settings.trial_timeout
        for seat in self._busy():
            if longest and not seat.doomed and now - seat.started > longest:
                self._kill(seat, Outcome.failed(f"took longer than trial_timeout = {longest:g} s"))

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
        seat.doomed = outcome
        self._nursery.kill(seat.number)

    def _give_up(self) -> None:
        """Close what runs, where the loop itself has failed: a sampler can, or a full disk."""
        self._nursery.close()
        for seat in self._busy():
            assert seat.entry is not None
            assert seat.entry.directory is not None
            left = read_outcome(seat.entry.directory)
            cause = "the sweep had failed before the trial ended"
            outcome = left or Outcome.interrupted(cause)
            self._observer.ended(self._study.end(seat.entry.number, outcome))

    def _busy(self) -> list[Seat]:
        return [seat for seat in self._seats.values() if seat.entry is not None]
