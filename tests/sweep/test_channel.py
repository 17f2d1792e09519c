from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from sinesweep.sweep.channel import Channel
from sinesweep.sweep.messages import Answer, Assignment, Ended, MayBePruned, Report, Served, Stop
from sinesweep.sweep.outcome import Outcome

DONE = Outcome.complete((1.0,))


class Line:
    """A connection whose other end has said what it was told to say.

    ``on`` says what follows a message that is sent.
    """

    def __init__(self) -> None:
        self.said: deque[object] = deque()
        self.on: dict[object, tuple[object, ...]] = {}
        self.sent: list[object] = []

    def send(self, message: object, /) -> None:
        self.sent.append(message)
        self.said.extend(self.on.get(message, ()))

    def recv(self) -> object:
        assert self.said, "it would wait for ever"
        return self.said.popleft()

    def poll(self) -> bool:
        return bool(self.said)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def channel(line: Line) -> Channel:
    return Channel(line)


def assignment(number: int) -> Assignment:
    return Assignment(number, (), Path())


def test_assignments_that_have_come(line: Line, channel: Channel) -> None:
    """Nobody waits for trials while there are others to go on with."""
    assert list(channel.assignments(wait=False)) == []
    line.said += [assignment(1), assignment(2)]
    assert list(channel.assignments(wait=False)) == [assignment(1), assignment(2)]


def test_waiting_for_an_assignment(line: Line, channel: Channel) -> None:
    """It is waited for past everything else."""
    line.said += [Stop("late", 7), assignment(1)]
    assert list(channel.assignments(wait=True)) == [assignment(1)]


def test_an_assignment_that_comes_while_one_is_begun(line: Line, channel: Channel) -> None:
    """It is begun with the others, before the next round."""
    line.said += [assignment(1)]
    begun = []
    for each in channel.assignments(wait=True):
        begun.append(each)
        line.said += [assignment(2)] * (len(begun) == 1)
    assert begun == [assignment(1), assignment(2)]


def test_places_are_refilled_before_the_next_round(line: Line, channel: Channel) -> None:
    """Each trial that has ended is waited for to be served."""
    line.on[Ended(1, DONE)] = (assignment(3), Served(1))
    channel.end(Ended(1, DONE))
    line.on[Ended(2, DONE)] = (Served(2), assignment(4))
    channel.end(Ended(2, DONE))
    assert list(channel.assignments(wait=False)) == [assignment(3), assignment(4)]


def test_an_answer_is_for_whoever_asked(line: Line, channel: Channel) -> None:
    """What comes before it is kept."""
    line.on[MayBePruned(2)] = (assignment(5), Stop("too long", 1), Answer(2, yes=True))
    assert channel.ask(MayBePruned(2)) is True
    assert channel.stopped(1) == "too long"
    assert channel.stopped(2) is None
    assert list(channel.assignments(wait=True)) == [assignment(5)]


def test_a_stop_before_the_answer(line: Line, channel: Channel) -> None:
    """The answer is waited for all the same, and is none to a later question."""
    line.on[MayBePruned(2)] = (Stop("Ctrl-C"), Answer(2, yes=False))
    assert channel.ask(MayBePruned(2)) is False
    assert channel.stopped(2) == "Ctrl-C"


def test_a_stop_of_all(line: Line, channel: Channel) -> None:
    """It is for each trial, those that are yet to begin among them."""
    line.said += [Stop("Ctrl-C")]
    assert [channel.stopped(1), channel.stopped(2)] == ["Ctrl-C", "Ctrl-C"]


def test_a_stop_that_crosses_the_end(line: Line, channel: Channel) -> None:
    """A trial that had ended by itself is stopped no more, and no other is in its stead."""
    line.on[Ended(1, DONE)] = (Stop("too long", 1), assignment(2), Served(1))
    channel.end(Ended(1, DONE))
    assert list(channel.assignments(wait=False)) == [assignment(2)]
    assert channel.stopped(2) is None


def test_reports_wait_for_nothing(line: Line, channel: Channel) -> None:
    """A report is sent on."""
    channel.send(Report(1, 0.5, 0))
    assert line.sent == [Report(1, 0.5, 0)]


def test_what_a_controller_does_not_say(line: Line, channel: Channel) -> None:
    """A message of another protocol is an error."""
    line.said += ["hello"]
    with pytest.raises(TypeError, match=r"^a controller does not say 'hello'$"):
        channel.stopped(1)


@pytest.mark.parametrize(
    "use",
    [
        lambda channel: channel.send(Report(1, 0.5, 0)),
        lambda channel: channel.ask(MayBePruned(1)),
        lambda channel: channel.stopped(1),
        lambda channel: channel.end(Ended(1, DONE)),
    ],
    ids=["send", "ask", "stopped", "end"],
)
def test_forked_process_cannot_use_the_connection(
    line: Line,
    channel: Channel,
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[Channel], object],
) -> None:
    """A child of a trial neither sends on its parent's connection nor takes its messages."""
    line.said.append(Served(1))
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    with pytest.raises(RuntimeError, match="in a process that was forked from it"):
        use(channel)
    assert (line.sent, len(line.said)) == ([], 1)
