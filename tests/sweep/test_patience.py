"""Calls to a database that is away."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError, PendingRollbackError, ProgrammingError

from sinesweep.errors import Interrupted, StudyAway
from sinesweep.sweep import patience
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.patience import Patience


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    """Return signals that a test plays."""
    made = Interrupts()
    yield made
    made.close()


def away() -> None:
    """Be a call to a database that is away."""
    raise OperationalError("SELECT 1", {}, ConnectionRefusedError("refused at hunter2:me@host"))


def test_a_database_that_comes_back() -> None:
    """A call is made again until it is answered, and then the patience is whole again."""
    wait = Patience()
    answers = iter([away, away, lambda: 3, away, lambda: 4])
    assert [wait(lambda: next(answers)()) for _ in range(2)] == [3, 4]
    assert wait._since is None


def test_a_database_that_stays_away() -> None:
    """The sweep fails with one line that says where and for how long."""
    wait = Patience("postgresql://***@db/x", seconds=0.2)
    words = r"but postgresql://\*\*\*@db/x has not for 0.2 s \(.*refused at .*\): see that"
    with pytest.raises(StudyAway, match=words) as caught:
        wait(away)
    assert "\n" not in str(caught.value)


def test_a_wrong_question() -> None:
    """It is no outage: it is raised at once."""

    def wrong() -> None:
        raise ProgrammingError("SELEC 1", {}, SyntaxError("at or near"))

    with pytest.raises(ProgrammingError, match="at or near"):
        Patience()(wrong)


@pytest.mark.parametrize(("times", "blip"), [(1, 0.0), (2, 3600.0)])
def test_a_signal_while_it_is_away(
    interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch, times: int, blip: float
) -> None:
    """It ends the waiting, after a moment, or at once where it comes again."""
    monkeypatch.setattr(patience, "_BLIP", blip)
    calls = iter(range(5))

    def asked_to_stop() -> None:
        if next(calls) == 2:
            for _ in range(times):
                interrupts.handle(signal.SIGINT, None)
        away()

    with pytest.raises(Interrupted, match="SIGINT"):
        Patience("", interrupts)(asked_to_stop)


def test_a_blip_after_a_signal(interrupts: Interrupts) -> None:
    """A sweep that winds down does not lose what it has to tell to a moment's outage."""
    interrupts.handle(signal.SIGINT, None)
    answers = iter([away, away, lambda: 3])
    assert Patience("", interrupts)(lambda: next(answers)()) == 3


@pytest.mark.parametrize(("first", "again"), [(OperationalError, True), (ProgrammingError, False)])
def test_a_second_question_in_the_transaction_that_broke(
    first: type[OperationalError | ProgrammingError], again: bool
) -> None:
    """Optuna asks again, more simply, where its first question fails: an outage if that was one."""
    calls: list[None] = []

    def get_trials() -> str:
        calls.append(None)
        if len(calls) > 1:
            return "trials"
        try:
            try:
                raise first("SELECT 1", {}, Exception("the server closed the connection"))
            except first:
                raise PendingRollbackError("Can't reconnect until it is rolled back") from None
        except PendingRollbackError as error:
            raise StorageInternalError("during the commit") from error

    if again:
        assert Patience(seconds=60.0)(get_trials) == "trials"
    else:
        with pytest.raises(StorageInternalError):
            Patience(seconds=60.0)(get_trials)
    assert len(calls) == 1 + again
