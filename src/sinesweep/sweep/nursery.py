"""The process that workers are forked from, and that none of them outlives.

It is forked from the command before anything heavy is imported or opened there, so it can fork
again at any time: no threads, no database connections. A worker has the command's function,
configuration store, resolvers and modules as they are, and a worker that was lost is replaced at
once. The nursery is the workers' parent, so it learns how each ended; when the command dies,
however it dies, its end of the socket closes, and the nursery kills every worker and what they
started.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from sinesweep.redaction import redact
from sinesweep.signals import STOP_SIGNALS
from sinesweep.sweep.no_input import refuse_input

LONGEST_MESSAGE = 32_768  # bytes
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# What decides how many threads a library starts, read when it is loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

Serve = Callable[[Connection], None]


@dataclass(frozen=True)
class Exit:
    """How a worker ended.

    Attributes:
        worker: its number.
        cause: words for it.
        is_final: whether another in its place would end in the same way.
        is_innocent: whether no trial of it can have been the cause: its machine is gone.
    """

    worker: int
    cause: str
    is_final: bool = False
    is_innocent: bool = False

    def encode(self) -> bytes:
        """Return it as it is sent to the controller's side."""
        return json.dumps(asdict(self)).encode()


class Nursery:
    """The controller's side: starts and kills workers by number.

    Args:
        tend: what the nursery's process does with its end until the controller's is closed.
    """

    def __init__(self, tend: Callable[[socket.socket], None]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        # In a forked process Python waits forever for the thread of such a timer.
        faulthandler.cancel_dump_traceback_later()
        self._pid = os.fork()
        if self._pid == 0:
            self._socket.close()
            _run_nursery(theirs, tend)
        theirs.close()

    def fileno(self) -> int:
        """Readable when a worker has ended."""
        return self._socket.fileno()

    def start(self, worker: int) -> Connection:
        """Start a worker; return the connection to it."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(BrokenPipeError, ConnectionResetError):  # read_exit() will say so
            message = json.dumps({"start": worker}).encode()
            socket.send_fds(self._socket, [message], [theirs.fileno()])
        return Connection(ours.detach())

    def kill(self, worker: int) -> None:
        """Kill a worker and all that it started; its Exit follows."""
        with suppress(BrokenPipeError, ConnectionResetError):  # as in start()
            self._socket.send(json.dumps({"kill": worker}).encode())

    def read_exit(self) -> Exit | None:
        """Return the next worker's end, or None where the nursery itself is gone."""
        try:
            message = self._socket.recv(LONGEST_MESSAGE)
        except ConnectionResetError:
            return None
        return Exit(**json.loads(message)) if message else None

    def close(self) -> None:
        """Kill every worker and wait until all are gone."""
        self._socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def fork_workers(
    serve: Serve, preload: Sequence[str], threads: int, control: socket.socket
) -> None:
    """Tend workers that are forked on this machine.

    Args:
        serve: what a worker does with its connection until it closes.
        preload: modules to import before the first worker is forked.
        threads: of each worker, for the libraries that read it from the environment.
        control: the nursery's end.
    """
    prepare_worker(preload, threads)
    _Workers(control, serve).run()


def prepare_worker(preload: Sequence[str], threads: int) -> None:
    """Set the number of threads, and import what workers need, in this process.

    Args:
        preload: modules to import.
        threads: as in :func:`fork_workers`.
    """
    os.environ.update(thread_variables(threads))
    import_early(["numpy.random", *preload])  # NumPy imports it when a trial is seeded


def thread_variables(threads: int) -> dict[str, str]:
    """Return what the environment of a worker says of threads; what the user has set is theirs."""
    return {name: os.environ.get(name) or str(threads) for name in THREAD_VARIABLES}


def import_early(modules: Sequence[str]) -> None:
    """Import what workers need, once."""
    for module in modules:
        with suppress(ImportError):  # the function that needs it will say so
            importlib.import_module(module)


def _run_nursery(control: socket.socket, tend: Callable[[socket.socket], None]) -> NoReturn:
    code = 1
    try:
        os.setsid()  # Ctrl-C in the terminal is for the controller alone
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        tend(control)
        code = 0
    except Exception:  # noqa: BLE001 # the controller will see that the process is gone; this says why
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def read_order(control: socket.socket) -> tuple[dict[str, int] | None, list[int]]:
    """Return what the controller's side wants, with descriptors; None where it is gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(control, LONGEST_MESSAGE, 1)
    except ConnectionResetError:  # it has left without having read everything
        return None, []
    return (json.loads(message) if message else None), descriptors


class _Workers:
    """The nursery's side."""

    def __init__(self, control: socket.socket, serve: Serve) -> None:
        self._control = control
        self._serve = serve
        self._pids: dict[int, int] = {}  # pid to worker

    def run(self) -> None:
        """Do as the controller says until it is gone."""
        _adopt_orphans()
        wake, woken = os.pipe()
        for end in (wake, woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        while True:
            readable, _, _ = select.select([self._control, wake], [], [])
            if wake in readable:
                os.read(wake, LONGEST_MESSAGE)
                self._reap()
            if self._control in readable and not self._obey():
                break
        signal.set_wakeup_fd(-1)
        for pid in list(self._pids):
            _kill_group(pid)
            os.waitpid(pid, 0)
            del self._pids[pid]
        self._kill_orphans()

    def _obey(self) -> bool:
        order, descriptors = read_order(self._control)
        if order is None:
            return False
        if "start" in order:
            self._fork(order["start"], descriptors[0])
        for pid, worker in self._pids.items():
            if worker == order.get("kill"):
                _kill_group(pid)
        return True

    def _fork(self, worker: int, descriptor: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._control.close()
            _run_worker(self._serve, descriptor)
        with suppress(ProcessLookupError, PermissionError):
            os.setpgid(pid, pid)  # the child does so, too: whoever is first
        os.close(descriptor)
        self._pids[pid] = worker

    def _reap(self) -> None:
        while self._pids:
            # Not reaped yet, so that its number is not given to another process meanwhile.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            _kill_group(ended.si_pid)  # what it started does not outlive it
            _, status = os.waitpid(ended.si_pid, 0)
            worker = self._pids.pop(ended.si_pid, None)
            self._kill_orphans()
            if worker is not None:
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._control.send(Exit(worker, _cause(status)).encode())

    def _kill_orphans(self) -> None:
        """Kill what dead workers have left in sessions or process groups of its own.

        Such a process becomes a child of this one when its worker has ended: see
        :func:`_adopt_orphans`. Its own children follow when it has ended.
        """
        while orphans := children_of(os.getpid()) - self._pids.keys():
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _run_worker(serve: Serve, descriptor: int) -> NoReturn:
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in STOP_SIGNALS:
            if number != signal.SIGINT:
                signal.signal(number, signal.SIG_DFL)
        _die_with_parent()
        _adopt_orphans()
        os.set_inheritable(descriptor, False)
        refuse_input()
        serve(Connection(descriptor))
        code = 0
    except (EOFError, ConnectionResetError, BrokenPipeError):
        code = 0  # the controller is gone, or needs no more
    except BaseException:  # noqa: BLE001 # the process ends with it, and nothing else would say why
        print(redact(traceback.format_exc()), file=sys.stderr)  # noqa: T201
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _cause(status: int) -> str:
    """Return words for a status as :func:`os.waitpid` has it."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"the worker process was killed by {name}{hint}"
    return f"the worker process ended with exit code {os.waitstatus_to_exitcode(status)}"


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):  # it may have joined another group
        os.kill(pid, signal.SIGKILL)


def _die_with_parent() -> None:
    """Have Linux kill this process when the nursery dies, even of SIGKILL."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Have Linux make this process the parent of descendants whose parent ends.

    With that on, no descendant leaves the tree below the nursery, whatever session it is in.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def children_of(parent: int) -> set[int]:
    """Return the children of a process, on Linux."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = path.read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == parent:
                found.add(int(path.parent.name))
    return found
