"""Workers on a Ray cluster: the nursery whose process is Ray's driver.

Ray stays in that process: the command's own has no thread, signal handler or import of it, and
Ctrl-C in the terminal does not reach it. For the controller an actor is a worker like any other: it
has one end of a socket pair from the start, and what the actor says over TCP is handed through.
When the command dies, however it dies, its end of the nursery's socket closes: the actors are
killed, and a cluster that was started for the sweep is shut down.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from hydra.core.singleton import Singleton
from hydra.types import TaskFunction

from sinesweep.config import unknown_key
from sinesweep.errors import InputError, SweepFailed
from sinesweep.sweep.nursery import LONGEST_MESSAGE, Nursery
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.settings import RaySettings
from sinesweep.sweep.wording import error_text, one_line

_SLOWEST_START = {True: 120, False: 30}  # seconds, by whether a cluster is to be started
_SLOWEST_ANSWER = 5.0  # seconds
_SLOWEST_END = 30  # seconds
_LOOPBACK = "127.0.0.1"
# Ray's default is a third of the memory; what actors are told is a few kB. Its least is 75 MiB.
_OBJECT_STORE = 80 * 1024**2  # bytes
# As short as it can be: Ray keeps sockets there, whose paths must not be long.
_TEMPORARY = "/tmp"  # noqa: S108 # the folder in it is this user's alone


class RayNursery(Nursery):
    """Starts and kills actors by number.

    Args:
        plan: the sweep.
        function: the user's.
        preload: modules that actors import first.
    """

    def __init__(self, plan: Plan, function: TaskFunction, preload: Sequence[str]) -> None:
        super().__init__(partial(_drive, plan, function, preload))
        self._settings = plan.settings.ray

    def open(self) -> int:
        """Wait until the cluster is there; return how many workers it has room for.

        Raises:
            InputError: it is not to be had.
            SweepFailed: the process that drives it was killed.
        """
        try:
            message = self._socket.recv(LONGEST_MESSAGE)
        except ConnectionResetError:
            message = b""
        if not message:
            _, status = os.waitpid(self._pid, 0)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGALRM:
                name = signal.Signals(os.WTERMSIG(status)).name
                raise SweepFailed(f"the process that drives the Ray cluster was killed by {name}")
            seconds = _SLOWEST_START[self._settings.address is None]
            raise InputError(f"{_subject(self._settings)} has not answered in {seconds} s")
        opened = json.loads(message)
        if "refusal" in opened:
            raise InputError(opened["refusal"])
        return opened["room"]


def check(settings: RaySettings) -> None:
    """Look at what can be known of a cluster without Ray.

    Raises:
        InputError: Ray is not installed, or nobody listens at the cluster's address.
    """
    if find_spec("ray") is None:
        raise InputError(
            "hydra.sweeper.backend: ray must be installed for ray, but is not: "
            "pip install 'sinesweep[ray]'"
        )
    host, _, port = (settings.address or "").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host, int(port)), _SLOWEST_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"{_subject(settings)} must take connections, but does not ({error}): start it with "
            f"ray start --head --port={port}, or name another"
        ) from error


def shortage(settings: RaySettings, room: int, workers: int) -> str | None:
    """Return what to say of a cluster with room for fewer workers than there are to be.

    Raises:
        InputError: it will never have room for any.
    """
    each = ", ".join(f"{name}: {amount:g}" for name, amount in settings.demand.items())
    if not room and settings.address is None:
        raise InputError(
            f"hydra.sweeper.ray: a worker must fit this machine, which has not {each}: ask for "
            "less, or name a cluster in hydra.sweeper.ray.address"
        )
    if not room:
        return (
            f"no node of the Ray cluster has what a worker takes ({each}): waiting for one to join"
        )
    if room < workers:
        return f"the Ray cluster has room for {room} of {workers} workers: the others wait for more"
    return None


def _subject(settings: RaySettings) -> str:
    if settings.address is None:
        return "hydra.sweeper.backend: a Ray cluster on this machine"
    return f"hydra.sweeper.ray.address: the Ray cluster at {settings.address}"


def _drive(
    plan: Plan, function: TaskFunction, preload: Sequence[str], control: socket.socket
) -> None:
    """Be the driver until the controller is gone."""
    settings = plan.settings.ray
    is_own = settings.address is None
    if is_own:
        os.environ.update(_own_variables())  # which Ray reads when it is imported
    from sinesweep.sweep.driver import Driver, say_to

    signal.alarm(_SLOWEST_START[is_own])  # where Ray hangs, this process ends
    say_to(os.devnull)  # what goes wrong is said once
    temporary = tempfile.mkdtemp(prefix="sinesweep-ray-", dir=_TEMPORARY) if is_own else None
    try:
        try:
            host = _join(settings, temporary)
            work = _pack(plan, function)
        except Exception as error:  # noqa: BLE001 # Ray's, of many kinds: the user reads it
            control.send(json.dumps({"refusal": _refusal(settings, error)}).encode())
            return
        signal.alarm(0)
        driver = Driver(control, plan, host, preload, work)
        control.send(json.dumps({"room": _room(settings)}).encode())
        driver.run()
        signal.alarm(_SLOWEST_END)
        driver.close()
    finally:
        _leave()
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


def _own_variables() -> dict[str, str]:
    """Return what the processes of a cluster of this machine's own find in their environment."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Its switch for a cluster that nobody is to join: it listens on loopback alone.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Other accounts of this machine can connect, too. Ray would keep a token at home.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_process_group_cleanup_enabled": "true",  # what a trial starts does not outlive it
    }


def _join(settings: RaySettings, temporary: str | None) -> str:
    """Join the cluster, or start one; return the address of this machine there."""
    import ray
    from ray.runtime_env import RuntimeEnv

    environment = dict(settings.runtime_env or {})
    known = {name for name in RuntimeEnv.known_fields if not name.startswith("_")}
    if unknown := [key for key in environment if key not in known]:  # Ray would pass over it
        raise InputError(unknown_key(f"hydra.sweeper.ray.runtime_env.{unknown[0]}", known))
    common: dict[str, Any] = {
        "runtime_env": environment or None,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if temporary:
        ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE,
            _node_ip_address=_LOOPBACK,
            _temp_dir=temporary,
            **common,
        )
    else:
        ray.init(settings.address, **common)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray has made it its own
    return ray.util.get_node_ip_address()


def _leave() -> None:
    import ray

    ray.shutdown()


def _refusal(settings: RaySettings, error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{_subject(settings)} is not to be had: {one_line(error_text(error))}"


def _pack(plan: Plan, function: TaskFunction) -> bytes:
    """Pickle what actors need, with the code of what is in no module that they could import."""
    from ray.cloudpickle import cloudpickle

    try:
        return cloudpickle.dumps((Singleton.get_state(), plan, function))
    except Exception as error:  # whatever an application's classes raise
        raise InputError(
            "hydra.sweeper.backend: ray needs a function, callbacks and resolvers that can be "
            f"pickled, but {one_line(error_text(error))}: make it a module's, or use local"
        ) from error


def _room(settings: RaySettings) -> int:
    """Return how many workers fit the cluster's nodes, if nothing else is on them."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        min(int(node.get(name, 0.0) / amount + 1e-9) for name, amount in settings.demand.items())
        for node in nodes
    )
