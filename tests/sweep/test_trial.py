from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import sinesweep
from sinesweep.errors import Interrupted
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.messages import Alone, Answer, Held, IsAmongBest, MayBePruned, Report, Stop
from sinesweep.sweep.trial import ManagedTrial, current_trial, set_current


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """Return the trial's and the controller's end of a connection."""
    own, controller = Pipe()
    with own, controller:
        yield own, controller


@pytest.fixture
def noted() -> list[tuple[float, int]]:
    return []


@pytest.fixture
def trial(
    ends: tuple[Connection, Connection], noted: list[tuple[float, int]], tmp_path: Path
) -> ManagedTrial:
    channel = Channel(ends[0])
    return ManagedTrial(3, ("a=1",), tmp_path, {}, channel, lambda *report: noted.append(report))


@pytest.fixture
def controller(ends: tuple[Connection, Connection]) -> Connection:
    return ends[1]


def test_detached_handle() -> None:
    """Outside of a sweep the handle takes reports and prunes nothing."""
    detached = sinesweep.current_trial()
    detached.report(math.nan, step=-1)
    assert detached.should_prune() is False
    assert detached.report_and_ask(math.nan, step=0) is False
    assert detached.is_among_best(math.inf, count=1) is True
    assert detached.is_managed is False
    assert (detached.number, detached.directory, detached.overrides) == (None, None, ())


def test_constraint_is_set(trial: ManagedTrial) -> None:
    """Any finite number is a constraint's value, and the first one counts."""
    trial.set_constraint("size", 2)
    with pytest.warns(UserWarning, match=r"^constraint 'size' is 2.0 already: 3.0 is ignored$"):
        trial.set_constraint("size", 3.0)
    assert trial.constraints == {"size": 2.0}


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("size", math.nan, ValueError, r"^constraint 'size': must be finite, but is nan$"),
        ("size", math.inf, ValueError, r"^constraint 'size': must be finite, but is inf$"),
        ("size", "2", TypeError, r"^constraint 'size': must be a number, but is '2'$"),
        ("size", None, TypeError, r"^constraint 'size': must be a number, but is None$"),
        ("size", [1.0], TypeError, r"^constraint 'size': must be a number, but is \[1.0\]$"),
        ("", 1.0, ValueError, r"^constraint: its name must not be empty$"),
        (3, 1.0, TypeError, r"^constraint: its name must be a text, but is 3$"),
    ],
)
def test_wrong_constraint_is_refused(
    trial: ManagedTrial, key: Any, value: Any, error: type[Exception], message: str
) -> None:
    """The handle says what is wrong with a constraint, in a sweep and outside of one."""
    for handle in (trial, sinesweep.current_trial()):
        with pytest.raises(error, match=message):
            handle.set_constraint(key, value)
    assert trial.constraints == {}


def test_current_trial(trial: ManagedTrial) -> None:
    """The current trial is the one that was set, until it is taken away."""
    set_current(trial)
    assert current_trial() is trial
    set_current(None)
    assert current_trial().is_managed is False


def test_report(
    trial: ManagedTrial, controller: Connection, noted: list[tuple[float, int]]
) -> None:
    """A report reaches the controller, and whoever notes it beside."""
    trial.report(1, step=2)
    assert controller.recv() == Report(3, 1.0, 2)
    assert noted == [(1.0, 2)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_value_that_is_not_finite(
    trial: ManagedTrial, controller: Connection, noted: list[tuple[float, int]], value: float
) -> None:
    """A value that is not finite is passed over."""
    trial.report(value, step=0)
    assert not controller.poll()
    assert noted == []


def test_negative_step(trial: ManagedTrial, controller: Connection) -> None:
    """A negative step is refused."""
    with pytest.raises(ValueError, match=r"^step >= 0 must hold, but step is -1$"):
        trial.report(1.0, step=-1)
    assert not controller.poll()


def test_value_that_is_no_number(trial: ManagedTrial) -> None:
    """A value that is no number is refused."""
    with pytest.raises(ValueError, match="could not convert string to float: 'low'"):
        trial.report("low", step=0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("verdict", [True, False])
def test_verdict(trial: ManagedTrial, controller: Connection, verdict: bool) -> None:
    """The controller is asked whether to prune, and its answer is what the trial is told."""
    questions = []

    def answer() -> None:
        questions.append(controller.recv())
        controller.send(Answer(3, verdict))

    thread = threading.Thread(target=answer)
    thread.start()
    assert trial.should_prune() is verdict
    thread.join()
    assert questions == [MayBePruned(3)]


@pytest.mark.parametrize("verdict", [True, False])
def test_report_with_a_verdict(trial: ManagedTrial, controller: Connection, verdict: bool) -> None:
    """What is reported is there before the controller is asked what it thinks of it."""
    controller.send(Answer(3, verdict))
    assert trial.report_and_ask(0.5, step=2) is verdict
    assert [controller.recv() for _ in range(2)] == [Report(3, 0.5, 2), MayBePruned(3)]


def test_verdict_without_a_value(trial: ManagedTrial, controller: Connection) -> None:
    """Where there is no value yet nobody is asked, but a stop is heard."""
    assert trial.report_and_ask(None, step=0) is False
    assert not controller.poll()

    controller.send(Stop("Ctrl-C"))
    with pytest.raises(Interrupted, match=r"^Ctrl-C$"):
        trial.report_and_ask(None, step=1)


@pytest.mark.parametrize("verdict", [True, False])
def test_being_among_the_best(trial: ManagedTrial, controller: Connection, verdict: bool) -> None:
    """The controller, which knows all the others, says whether a value is among the best."""
    controller.send(Answer(3, verdict))
    assert trial.is_among_best(0.5, count=2) is verdict
    assert controller.recv() == IsAmongBest(3, 0.5, 2)


def test_stop_at_a_report(trial: ManagedTrial, controller: Connection) -> None:
    """A trial that is to be stopped leaves at its next report, with the cause."""
    controller.send(Stop("Ctrl-C"))
    with pytest.raises(Interrupted, match=r"^Ctrl-C$"):
        trial.report(1.0, step=0)
    assert trial.stopped == "Ctrl-C"


def test_stop_instead_of_a_verdict(trial: ManagedTrial, controller: Connection) -> None:
    """A trial that is to be stopped leaves when it asks whether to prune."""
    controller.send(Stop("Ctrl-C"))
    with pytest.raises(Interrupted, match=r"^Ctrl-C$"):
        trial.should_prune()


def test_stop_that_was_swallowed(trial: ManagedTrial, controller: Connection) -> None:
    """A function that swallows the interruption meets it again."""
    controller.send(Stop("Ctrl-C"))
    for _ in range(2):
        with pytest.raises(Interrupted, match=r"^Ctrl-C$"):
            trial.report(1.0, step=0)


def test_trial_that_does_not_listen(
    trial: ManagedTrial, controller: Connection, noted: list[tuple[float, int]]
) -> None:
    """A trial whose reports are not for the pruner neither sends them nor asks."""
    trial.listens = False
    trial.report(1.0, step=0)
    assert trial.should_prune() is False
    assert not controller.poll()
    assert noted == []


def test_a_trial_that_is_trained_alone(
    trial: ManagedTrial, controller: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so in its log and to the controller, and for how long the others wait for it."""
    trial.alone("it is too wide")
    with pytest.raises(ValueError, match="broken"), trial.holding():
        raise ValueError("broken")
    assert [controller.recv() for _ in range(3)] == [
        Alone(3, "it is too wide"), Held(3, True), Held(3, False),
    ]  # fmt: skip
    assert capsys.readouterr().out == "trained alone: it is too wide\n"
