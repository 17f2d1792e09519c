"""The process that drives a Ray cluster, without one: who connects, and what it makes of ends."""

from __future__ import annotations

import errno
import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from nodes import VARIABLES

from sinesweep.sweep.actor import Hello, _connect
from sinesweep.sweep.plan import Plan

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("ray")]

LIMIT = 60  # seconds
HERE, ELSEWHERE = "5eed", "cafe"  # nodes

MakeDriver = Callable[[], tuple[Any, socket.socket]]


class Scarce:
    """A listener that finds no free descriptor at first."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._has_failed = False

    def getsockname(self) -> Any:
        return self._listener.getsockname()

    def accept(self) -> Any:
        if not self._has_failed:
            self._has_failed = True
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the module, with what tests have that start nodes: Ray reads it only then."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    from sinesweep.sweep import driver

    return driver


@pytest.fixture
def make_driver(make_plan: Callable[..., Plan], driver: Any) -> Iterator[MakeDriver]:
    """Return a driver, and the controller's end of its socket."""
    with ExitStack() as stack:

        def make() -> tuple[Any, socket.socket]:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in (ours, theirs):
                end.settimeout(LIMIT)
                stack.enter_context(end)
            plan = make_plan("a=1,2", "hydra.sweeper.backend=ray")
            return driver.Driver(theirs, plan, "127.0.0.1", (), b""), ours

        yield make


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, driver: Any) -> list[str]:
    """Note which actors are killed."""
    actors: list[str] = []
    monkeypatch.setattr(driver.ray, "kill", actors.append)
    return actors


def take_next(made: Any) -> None:
    """Wait until a driver is told something, and have it do that."""
    assert select.select([made._woken], [], [], LIMIT)[0]
    made._take_events()


def connect(made: Any) -> socket.socket:
    return socket.create_connection((made._errand.host, made._errand.port), LIMIT)


def test_a_stranger_that_says_nothing_is_not_waited_for(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, driver: Any
) -> None:
    """It has a moment to prove who it is; then its connection is closed."""
    monkeypatch.setattr(driver, "_SLOWEST_PROOF", 1)
    made, _ = make_driver()
    with connect(made) as stranger:
        while stranger.recv(1024):
            pass


def test_an_actor_may_be_silent(make_driver: MakeDriver, driver: Any) -> None:
    """Once it has proved who it is, there is no limit to how long it says nothing."""
    made, _ = make_driver()
    line, controller = socket.socketpair()
    made._posts[7] = post = driver._Post(0, line, "actor")
    with line, controller, _connect(made._errand, "here") as actor:
        actor.send(Hello(7, "127.0.0.1", HERE))
        take_next(made)
        limit = post.remote.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
        assert not any(limit)
        assert post.remote.gettimeout() is None


def test_connections_are_taken_after_one_could_not_be(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, driver: Any
) -> None:
    """A descriptor may be free later."""
    create = socket.create_server
    monkeypatch.setattr(driver, "_PATIENCE", 0)
    monkeypatch.setattr(driver.socket, "create_server", lambda *a, **k: Scarce(create(*a, **k)))
    made, _ = make_driver()
    with connect(made) as actor:
        assert actor.recv(1024)  # the challenge


def test_the_workers_of_a_dead_node_end_together(
    make_driver: MakeDriver, monkeypatch: pytest.MonkeyPatch, killed: list[str], driver: Any
) -> None:
    """Ray says so of one; none of the others is left to be given its trials."""
    nodes = [{"NodeID": HERE, "Alive": False}, {"NodeID": ELSEWHERE, "Alive": True}]
    monkeypatch.setattr(driver.ray, "nodes", lambda: nodes)
    made, control = make_driver()
    with ExitStack() as stack:
        for ticket, node in enumerate((HERE, ELSEWHERE, HERE)):
            line, controller = socket.socketpair()
            stack.enter_context(line)
            stack.enter_context(controller)
            hello = Hello(ticket, "n", node)
            made._posts[ticket] = driver._Post(ticket + 10, line, f"actor {ticket}", hello)
        died = driver.errors.ActorDiedError()
        made._ended(2, died)
        take_next(made)
        exits = [json.loads(control.recv(4096)) for _ in range(2)]
        assert [(each["worker"], each["is_innocent"]) for each in exits] == [(12, True), (10, True)]
        assert exits[0]["cause"] == exits[1]["cause"]
        assert list(made._posts) == [1]
        made._ended(0, died)  # which is known
        assert list(made._posts) == [1]
    assert killed == ["actor 2", "actor 0"]


@pytest.mark.parametrize("is_read", [True, False])
def test_an_actor_that_the_controller_has_left_is_killed(
    make_driver: MakeDriver, killed: list[str], is_read: bool, driver: Any
) -> None:
    """Also where the controller has not read all that it said."""
    made, _ = make_driver()
    line, controller = socket.socketpair()
    remote, actor = socket.socketpair()
    made._posts[0] = post = driver._Post(0, line, "actor", Hello(0, "n", HERE))
    with line, remote, actor:
        if not is_read:
            line.send(b"!")
        controller.close()
        made._relay_orders(post, remote)
        take_next(made)
    assert killed == ["actor"]


def test_an_actor_that_takes_no_more_is_not_killed(
    make_driver: MakeDriver, killed: list[str], driver: Any
) -> None:
    """What became of it Ray is yet to say: an actor that was killed would seem to be to blame."""
    made, _ = make_driver()
    line, controller = socket.socketpair()
    remote, actor = socket.socketpair()
    made._posts[0] = post = driver._Post(0, line, "actor", Hello(0, "n", HERE))
    with line, controller, remote:
        actor.close()
        controller.send(b"!")
        made._relay_orders(post, remote)
    made._take_events()
    assert not killed
