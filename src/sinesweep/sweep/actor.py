"""A worker on a Ray cluster: what an actor does, on whichever node it has come to.

It connects back to the sweep's own process, and from there on is a worker like any other. What
would end every worker alike ends the sweep: a node that lacks the sweep's folder, say.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path

from hydra.core.singleton import Singleton

from sinesweep.sweep.nursery import import_early
from sinesweep.sweep.wording import error_text, one_line
from sinesweep.sweep.worker import Worker

_PATIENCE = 30.0  # seconds to be answered by the sweep's process


class Unfit(Exception):  # noqa: N818 # a verdict on the cluster
    """No worker can work here as it was asked to."""


@dataclass(frozen=True)
class Hello:
    """The first message of an actor: which it is, and where.

    Attributes:
        ticket: what it was started with.
        address: its node's.
        node: Ray's id of that.
    """

    ticket: int
    address: str
    node: str


@dataclass(frozen=True)
class Errand:
    """What actors of a sweep are to do.

    Attributes:
        host, port: where the sweep's process listens.
        key: by which the two know each other.
        directory: where the command was given.
        marker: a file in the sweep's folder, which no other has.
        arguments: the command's.
        modules: where it looks for modules.
        variables: of the environment, to be set before anything heavy is imported.
        preload: modules to import first.
        work: pickled: Hydra's singletons, the plan and the function.
    """

    host: str
    port: int
    key: bytes
    directory: Path
    marker: Path
    arguments: Sequence[str]
    modules: Sequence[str]
    variables: Mapping[str, str]
    preload: Sequence[str]
    work: bytes


class RayWorker:
    """The actor."""

    def serve(self, errand: Errand, ticket: int) -> None:
        """Run trials until the sweep's process closes the connection.

        Raises:
            Unfit: no worker could on this node.
        """
        import ray

        node = ray.get_runtime_context().get_node_id()
        hello = Hello(ticket, ray.util.get_node_ip_address(), node)
        where = f"the Ray node {hello.address}"
        look_around(errand, where)
        os.environ.update(errand.variables)
        sys.argv = list(errand.arguments)
        sys.path += [each for each in errand.modules if each not in sys.path]
        # Ray's own are copies, which a trial's log would have to know of.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        # As in a local worker: a trial may set others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        import_early(errand.preload)
        worker = _unpack(errand.work, where)
        connection = _connect(errand, where)
        connection.send(hello)
        worker.serve(connection)


def look_around(errand: Errand, where: str) -> None:
    """Make sure that this node sees the files that the sweep's process sees."""
    rule = "must be on a file system that all nodes of the cluster share, under the same path"
    try:
        os.chdir(errand.directory)
    except OSError as error:
        raise Unfit(
            f"the directory of the command {rule}, but {where} cannot enter {errand.directory} "
            f"({error.strerror})"
        ) from error
    if not errand.marker.exists():
        raise Unfit(
            f"the sweep's folder {rule}, but {where} has another {errand.marker.parent}, or none: "
            "set hydra.sweeper.root to a shared one"
        )


def _unpack(work: bytes, where: str) -> Worker:
    try:
        singletons, plan, function = pickle.loads(work)  # the sweep's own
    except Exception as error:  # importing a user's module may fail in any way
        raise Unfit(
            f"the code of the command must be found on every node, but {where} cannot load it: "
            f"{one_line(error_text(error))}; install it there, or see hydra.sweeper.ray.runtime_env"
        ) from error
    Singleton.set_state(singletons)
    return Worker(plan, function)


def _connect(errand: Errand, where: str) -> Connection:
    try:
        made = socket.create_connection((errand.host, errand.port), _PATIENCE)
    except OSError as error:
        raise Unfit(
            "the node where the command runs must take connections from the others, but "
            f"{where} does not reach {errand.host}:{errand.port} ({error.strerror or error})"
        ) from error
    made.settimeout(None)
    prepare(made)
    connection = Connection(made.detach())
    answer_challenge(connection, errand.key)
    deliver_challenge(connection, errand.key)
    return connection


def prepare(made: socket.socket) -> None:
    """Have a connection carry short messages at once, and notice that the other end is gone."""
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
