"""Stop signals as a process receives them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from sinesweep.errors import Interrupted
from sinesweep.interruption import interruptible
from sinesweep.signals import STOP_SIGNALS, handle_stop_signals
from sinesweep.sweep.interrupts import counted_interrupts


@pytest.fixture(autouse=True)
def default_hangup() -> Iterator[None]:
    """Give SIGHUP its default action, whatever started the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_interrupts_a_run(number: signal.Signals) -> None:
    """SIGHUP and its siblings end a run as SIGTERM does."""
    with pytest.raises(Interrupted, match=number.name), interruptible() as interruption:
        signal.raise_signal(number)

    assert interruption.cause == number.name


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_is_counted_by_a_sweep(number: signal.Signals) -> None:
    """SIGHUP and its siblings stop a sweep as SIGTERM does."""
    with counted_interrupts() as interrupts:
        signal.raise_signal(number)

    assert (interrupts.count, interrupts.cause) == (1, number.name)


def test_ignored_sighup_stays_ignored() -> None:
    """A command that nohup started continues after its terminal is closed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible(), counted_interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)

    assert interrupts.count == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_second_sighup_does_not_stop_a_sweep_at_once() -> None:
    """A closing terminal can send SIGHUP twice; only another signal asks again."""
    with counted_interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.count == 1
        signal.raise_signal(signal.SIGTERM)

    assert interrupts.count == 2


def test_second_sighup_does_not_break_off_the_end_of_a_run() -> None:
    """The code that closes a run after the first SIGHUP is not interrupted by the second."""
    with interruptible():
        with pytest.raises(Interrupted, match="SIGHUP"):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)


def test_previous_handlers_are_restored() -> None:
    """A handler of the application is active again after the run."""

    def handler(number: int, _: FrameType | None) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with handle_stop_signals(lambda *_: None):
            pass
        assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, before)
