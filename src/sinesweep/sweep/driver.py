"""The process that drives a Ray cluster for a sweep: it starts and kills actors, and connects them.

One thread decides; others wait, and say what has come. What an actor says over TCP is handed
through to the controller as it is, and what the controller says to it.
"""

from __future__ import annotations

import itertools
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import ray
import ray.exceptions as errors

from sinesweep.redaction import redact_error
from sinesweep.sweep.actor import Errand, Hello, RayWorker, Unfit, prepare
from sinesweep.sweep.nursery import LONGEST_MESSAGE, Exit, read_order, thread_variables
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.wording import error_text, one_line

_LONGEST_CLOSE = 15.0  # seconds
_LAST_WORDS = 2.0  # seconds that what a dead actor has said may take
_LONGEST_SILENCE = 30.0  # seconds in which Ray should have said what became of an actor
_PATIENCE = 1.0  # seconds between looks at those, and between tries to accept a connection
_SLOWEST_PROOF = 60  # seconds that one who connects may take to say the next thing
_BACKLOG = 1024  # actors that connect at once
_CHUNK = 65_536  # bytes
_LOG = "ray.log"  # in the sweep's folder: what Ray says of it


@dataclass(eq=False)
class _Post:
    """An actor that was asked for.

    Attributes:
        number: the worker's.
        line: the driver's end of the controller's connection.
        actor: Ray's handle.
        hello: what it said of itself, once it is there.
        remote: the connection to it.
        voice: hands through what it says.
        silent: since when it says nothing any more, by the monotonic clock.
    """

    number: int
    line: socket.socket
    actor: Any
    hello: Hello | None = None
    remote: socket.socket | None = None
    voice: threading.Thread | None = None
    silent: float | None = None


class Driver:
    """The driver's loop: one thread decides; others wait, and say what has come.

    Args:
        control: the driver's end of the controller's socket.
        plan: the sweep.
        host: this machine's address on the cluster.
        preload: modules that actors import first.
        work: what they do, pickled.
    """

    def __init__(
        self, control: socket.socket, plan: Plan, host: str, preload: Sequence[str], work: bytes
    ) -> None:
        settings = plan.settings.ray
        variables = thread_variables(max(1, int(settings.num_cpus)))
        given = (settings.runtime_env or {}).get("env_vars", ())
        self._control = control
        self._folder = plan.folder.absolute()
        self._listener = socket.create_server((host, 0), backlog=_BACKLOG)
        self._errand = Errand(
            host=host,
            port=self._listener.getsockname()[1],
            key=secrets.token_bytes(32),
            directory=Path.cwd(),
            marker=self._folder / f".shared-{secrets.token_hex(8)}",  # another sweep's is no proof
            arguments=sys.argv,
            modules=[str(Path(each).absolute()) for each in sys.path],
            variables={name: text for name, text in variables.items() if name not in given},
            preload=preload,
            work=work,
        )
        self._maker: Any = ray.remote(RayWorker).options(
            num_cpus=settings.num_cpus,
            num_gpus=settings.num_gpus,
            resources=dict(settings.resources or {}),
            max_restarts=0,
            max_task_retries=0,
        )
        self._tickets = itertools.count()
        self._posts: dict[int, _Post] = {}  # by ticket
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        threading.Thread(target=self._accept, daemon=True).start()

    def run(self) -> None:
        """Do as the controller says until it is gone."""
        while True:
            patience = _PATIENCE if any(post.silent for post in self._posts.values()) else None
            readable, _, _ = select.select([self._control, self._woken], [], [], patience)
            self._take_events()
            self._end_silent()
            if self._control in readable and not self._obey():
                return

    def close(self) -> None:
        """Kill every actor and wait until all are gone."""
        for post in self._posts.values():
            ray.kill(post.actor)
        give_up = time.monotonic() + _LONGEST_CLOSE
        while self._posts and time.monotonic() < give_up:
            select.select([self._woken], [], [], _PATIENCE)
            self._take_events()
        self._errand.marker.unlink(missing_ok=True)
        log = self._folder / _LOG
        if log.exists() and not log.stat().st_size:
            log.unlink()

    # what the controller wants

    def _obey(self) -> bool:
        order, descriptors = read_order(self._control)
        if order is None:
            return False
        if "start" in order:
            self._start(order["start"], socket.socket(fileno=descriptors[0]))
        for post in self._posts.values():
            if post.number == order.get("kill"):
                ray.kill(post.actor)
        return True

    def _start(self, number: int, line: socket.socket) -> None:
        ticket = next(self._tickets)
        if ticket == 0:
            self._settle_in()
        actor = self._maker.remote()
        self._posts[ticket] = _Post(number, line, actor)
        future = actor.serve.remote(self._errand, ticket).future()
        future.add_done_callback(lambda done: self._tell(self._ended, ticket, done.exception()))

    def _settle_in(self) -> None:
        """Take the sweep's folder, which is there by now, for the marker and Ray's own words."""
        self._errand.marker.touch()
        say_to(self._folder / _LOG)

    # what comes from elsewhere

    def _tell(self, event: Callable[..., None], *arguments: Any) -> None:
        """Have the loop's thread do something."""
        self._events.put(partial(event, *arguments))
        os.write(self._wake, b"!")

    def _take_events(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, LONGEST_MESSAGE)
        while not self._events.empty():
            self._events.get()()

    def _accept(self) -> None:
        while True:
            try:
                made, _ = self._listener.accept()
            except OSError:
                # One that has left already, or no descriptor is free just now: were this to end,
                # no actor could connect for the rest of the sweep.
                time.sleep(_PATIENCE)
                continue
            threading.Thread(target=self._meet, args=(made,), daemon=True).start()

    def _meet(self, made: socket.socket) -> None:
        """Have whoever connects prove in time that it is one of ours."""
        try:
            prepare(made)
            _limit_reads(made, _SLOWEST_PROOF)
            with Connection(os.dup(made.fileno())) as connection:
                deliver_challenge(connection, self._errand.key)
                answer_challenge(connection, self._errand.key)
                hello = connection.recv()
            _limit_reads(made, 0)
        except (AuthenticationError, EOFError, OSError):
            made.close()  # a stranger's, or of one that has left: that is all
            return
        self._tell(self._connect, hello, made)

    def _connect(self, hello: Hello, remote: socket.socket) -> None:
        post = self._posts.get(hello.ticket)
        if post is None:  # it was given up meanwhile
            remote.close()
            return
        post.hello, post.remote = hello, remote
        post.voice = threading.Thread(target=self._relay_voice, args=(post, remote), daemon=True)
        post.voice.start()
        threading.Thread(target=self._relay_orders, args=(post, remote), daemon=True).start()

    def _relay_orders(self, post: _Post, remote: socket.socket) -> None:
        # Where it is the actor that takes no more, Ray will say why: to kill it would hide that.
        if _hand_through(post.line, remote):
            self._tell(self._dismiss, post)

    def _dismiss(self, post: _Post) -> None:
        """End an actor that the controller has no more use for, before Ray takes it for a crash."""
        if post in self._posts.values():
            ray.kill(post.actor)

    def _relay_voice(self, post: _Post, remote: socket.socket) -> None:
        _hand_through(remote, post.line)
        with suppress(OSError):
            post.line.shutdown(socket.SHUT_WR)
        post.silent = time.monotonic()
        self._tell(self._end_silent)

    def _end_silent(self) -> None:
        """Kill actors that are there for Ray, and have no connection any more."""
        for post in self._posts.values():
            if post.silent and time.monotonic() - post.silent > _LONGEST_SILENCE:
                ray.kill(post.actor)

    def _ended(self, ticket: int, error: BaseException | None) -> None:
        """Have an actor that is gone heard out, without waiting here: a node may have had many."""
        post = self._posts.get(ticket)
        if post is not None:
            hear = partial(self._hear_out, post, ticket, error)
            threading.Thread(target=hear, daemon=True).start()

    def _hear_out(self, post: _Post, ticket: int, error: BaseException | None) -> None:
        if post.voice is not None:
            post.voice.join(_LAST_WORDS)
        self._tell(self._bury_with_its_node, ticket, error)

    def _bury_with_its_node(self, ticket: int, error: BaseException | None) -> None:
        """Bury an actor, and where its node is dead all others of that, before they are given more.

        Ray says so of each by itself, and meanwhile the trials of one would go to another.
        """
        post = self._posts.get(ticket)
        if post is None:  # it was buried with another
            return
        exit_ = self._exit(post, error)
        gone = {ticket: post}
        if exit_.is_innocent and post.hello is not None and _is_dead(post.hello):
            node = post.hello.node
            gone |= {t: p for t, p in self._posts.items() if p.hello and p.hello.node == node}
        self._bury(gone, exit_)

    def _bury(self, gone: Mapping[int, _Post], exit_: Exit) -> None:
        for ticket, post in gone.items():
            del self._posts[ticket]
            for end in filter(None, (post.remote, post.line)):  # where a thread may wait yet
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for post in gone.values():  # whom the controller can reach no more
            ray.kill(post.actor)  # where it is only that Ray cannot reach it
            with suppress(BrokenPipeError, ConnectionResetError):
                self._control.send(replace(exit_, worker=post.number).encode())

    def _exit(self, post: _Post, error: BaseException | None) -> Exit:
        """Return how an actor ended, in words."""
        where = f"the Ray node {post.hello.address}" if post.hello else "a Ray node"
        said = one_line(error_text(error)) if isinstance(error, Exception) else ""
        if isinstance(error, errors.RayTaskError):
            said = str(error.cause) if isinstance(error.cause, Unfit) else said
            return Exit(post.number, one_line(said), is_final=post.hello is None)
        rule = None
        if isinstance(error, errors.RuntimeEnvSetupError):
            rule = "hydra.sweeper.ray.runtime_env: must be such that nodes can set it up"
        elif isinstance(error, errors.ActorDiedError) and error.actor_init_failed:
            rule = "sinesweep must be installed on every node"
        if rule:
            print(redact_error("".join(traceback.format_exception(error))), flush=True)  # noqa: T201
            text = f"{rule}, but no actor could begin, as {self._folder / _LOG} says: {said}"
            return Exit(post.number, text, is_final=True)
        # Ray says the latter of a node that does not answer, and knows only later that it is dead.
        if _is_dead(post.hello) or isinstance(error, errors.ActorUnavailableError):
            cause = f"{where} died, or is not reached any more"
            return Exit(post.number, cause, is_innocent=True)
        return Exit(post.number, f"the actor on {where} was killed (out of memory?)")


def _is_dead(hello: Hello | None) -> bool:
    """Whether an actor's node is dead, as far as Ray knows."""
    return hello is not None and hello.node in {n["NodeID"] for n in ray.nodes() if not n["Alive"]}


def say_to(path: str | Path) -> None:
    """Have what Ray prints in this process go to the end of a file."""
    with Path(path).open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())


def _limit_reads(made: socket.socket, seconds: int) -> None:
    """Have reads fail that take longer; 0: none.

    The system's own limit: a Connection knows nothing of the one that Python's sockets have.
    """
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _hand_through(source: socket.socket, sink: socket.socket) -> bool:
    """Send on what comes, as it comes; return whether there is no more, or else nobody takes it."""
    while data := _next_of(source):
        try:
            sink.sendall(data)
        except OSError:
            return False
    return True


def _next_of(source: socket.socket) -> bytes:
    try:
        return source.recv(_CHUNK)
    except OSError:  # it has left without having read everything
        return b""
