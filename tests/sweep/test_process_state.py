"""State of a process that a trial changes: restored, or named as lost."""

from __future__ import annotations

import decimal
import gc
import json
import locale
import logging
import logging.handlers
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from sinesweep.sweep.process_state import CONNECTION, restored_process_state


def lost_by(change: Callable[[], object], *descriptors: int) -> list[str]:
    """Make a change as a trial would; return what could not be restored."""
    lost: list[str] = []
    with restored_process_state(descriptors, lost):
        change()
    return lost


def _logging() -> None:
    logging.root.addHandler(logging.handlers.BufferingHandler(1))
    logging.root.setLevel(logging.CRITICAL)
    logging.disable(logging.CRITICAL)


def _environment() -> None:
    os.environ["SINESWEEP_NEW"] = "1"
    os.environ["PATH"] = "/nowhere"
    del os.environ["HOME"]


def _modules() -> None:
    sys.modules["json"] = types.ModuleType("json")
    del sys.modules["decimal"]


def _lower_core_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "working directory": (os.getcwd, lambda: os.chdir("/")),
    "environment": (lambda: dict(os.environ), _environment),
    "umask": (lambda: (mask := os.umask(0), os.umask(mask))[0], lambda: os.umask(0o777)),
    "soft limit": (lambda: resource.getrlimit(resource.RLIMIT_CORE), _lower_core_limit),
    "signal handler": (
        lambda: signal.getsignal(signal.SIGUSR1),
        lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    ),
    "signal mask": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
    ),
    "timer": (
        lambda: signal.getitimer(signal.ITIMER_REAL),
        lambda: signal.setitimer(signal.ITIMER_REAL, 1000),
    ),
    "alarm": (lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, lambda: signal.alarm(1000)),
    "streams": (lambda: sys.stdout, lambda: setattr(sys, "stdout", None)),
    "arguments": (lambda: list(sys.argv), lambda: sys.argv.append("more")),
    "search path": (lambda: list(sys.path), lambda: setattr(sys, "path", ["/nowhere"])),
    "modules": (lambda: (sys.modules["json"], sys.modules["decimal"]), _modules),
    "hooks": (lambda: sys.excepthook, lambda: setattr(sys, "excepthook", print)),
    "loggers": (
        lambda: (logging.root.level, logging.root.handlers[:], logging.root.manager.disable),
        _logging,
    ),
    "warnings": (lambda: warnings.filters[:], lambda: warnings.simplefilter("ignore")),
    "numpy errors": (np.geterr, lambda: np.seterr(all="raise")),
    "recursion limit": (sys.getrecursionlimit, lambda: sys.setrecursionlimit(5000)),
    "garbage collection": (gc.isenabled, gc.disable),
    "socket timeout": (socket.getdefaulttimeout, lambda: socket.setdefaulttimeout(1.0)),
    "decimal": (lambda: decimal.getcontext().prec, lambda: decimal.setcontext(decimal.Context(3))),
    "locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda: locale.setlocale(locale.LC_ALL, "C"),
    ),
    "start method": (
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda: multiprocessing.set_start_method("spawn", force=True),
    ),
    "resolvers": (
        lambda: OmegaConf.has_resolver("mine"),
        lambda: OmegaConf.register_new_resolver("mine", str),
    ),
    "cores": (
        lambda: os.sched_getaffinity(0),
        lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("read", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_state_is_restored(read: Callable[[], Any], change: Callable[[], Any]) -> None:
    """The next trial finds the process as this one did."""
    before = read()
    assert lost_by(change) == []
    assert read() == before


def test_state_is_restored_after_an_exception() -> None:
    """A trial that fails changes nothing for the next one."""

    def fail() -> None:
        os.environ["SINESWEEP_NEW"] = "1"
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        lost_by(fail)
    assert "SINESWEEP_NEW" not in os.environ


def test_blocked_signal_of_a_trial_does_not_reach_the_next() -> None:
    """A signal that is pending when the trial ends is dropped."""

    def leave_pending() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # its default ends the process

    assert lost_by(leave_pending) == []
    assert signal.sigpending() == set()


def test_deleted_working_directory_is_left(tmp_path: Path) -> None:
    """A trial that deletes the directory it has changed to leaves a working process."""
    before = os.getcwd()  # noqa: PTH109

    def delete() -> None:
        os.chdir(tmp_path)
        tmp_path.rmdir()

    assert lost_by(delete) == []
    assert os.getcwd() == before  # noqa: PTH109


def test_closed_connection_is_named(tmp_path: Path) -> None:
    """A descriptor that was closed is lost, even if another file has its number."""
    ours, theirs = os.pipe()

    def replace() -> None:
        os.close(ours)
        assert os.open(tmp_path, os.O_RDONLY) == ours

    assert lost_by(replace, ours) == [CONNECTION]
    os.close(ours)
    os.close(theirs)


def test_thread_that_runs_on_is_named() -> None:
    """A worker with a busy thread is no place for the next trial; it is replaced."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="busy")
    assert lost_by(thread.start) == ["thread busy"]
    over.set()
    thread.join()


def test_idle_pool_and_daemon_threads_may_stay() -> None:
    """Threads that wait for work, or are daemons by choice, do not cost a worker."""
    over = threading.Event()
    pool = ThreadPoolExecutor(1)
    daemon = threading.Thread(target=over.wait, daemon=True)

    def start() -> None:
        pool.submit(int).result()
        daemon.start()

    assert lost_by(start) == []
    over.set()
    pool.shutdown()


_ALONE = """
import json, os, sys
from sinesweep.sweep.process_state import restored_process_state
lost = []
{before}
with restored_process_state((), lost):
{change}
print(json.dumps([lost, {after}]))
"""


def alone(before: str, change: str, after: str) -> Any:
    """Make a change in a process of its own; return what was lost, and what is there after it."""
    lines = "\n".join(f"    {line}" for line in change.splitlines())
    code = _ALONE.format(before=before, change=lines, after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_lowered_hard_limit_is_named() -> None:
    """A limit that an ordinary user cannot raise again replaces the worker."""
    lower = (
        "import resource\nif os.getuid() == 0: os.setegid(65534), os.seteuid(65534)\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))"
    )
    before = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 4096))"
    lost, _ = alone(before, lower, "0")
    assert "resource limits" in lost


def test_lowered_priority_is_restored_or_named() -> None:
    """A trial's nice level does not slow the next trial down in the same process."""
    lost, nice = alone("", "os.nice(5)", "os.nice(0)")
    assert lost == ["the priority"] or nice == os.nice(0)


def test_new_session_is_named() -> None:
    """A worker that has left its process group could not be killed with it."""
    lost, _ = alone("", "if os.fork() == 0: os._exit(0)\nos.wait()\nos.setsid()", "0")
    assert lost == ["the user, group or session"]


def test_libraries_are_not_imported() -> None:
    """The state of NumPy and torch costs nothing where they are not used."""
    _, modules = alone("", "pass", "[m for m in ('numpy', 'torch') if m in sys.modules]")
    assert modules == []


def test_numpy_that_the_trial_imported_has_its_usual_settings() -> None:
    """Settings that were made with the first import do not reach the next trial."""
    change = "import numpy; numpy.seterr(all='raise')"
    _, found = alone("", change, "[numpy.geterr()[each] for each in ('divide', 'under')]")
    assert found == ["warn", "ignore"]


_TORCH = (
    "[str(torch.get_default_dtype()), torch.get_num_threads(), "
    "torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(), "
    "torch.get_float32_matmul_precision()]"
)
_TORCH_CHANGES = """
import torch
torch.set_default_dtype(torch.float64)
torch.set_num_threads(torch.get_num_threads() + 1)
torch.set_grad_enabled(False)
torch.use_deterministic_algorithms(True)
torch.set_float32_matmul_precision("medium")
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "import torch"])
def test_torch_is_as_the_trial_found_it(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of torch are restored, or those of a fresh import if the trial imported it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    lost, found = alone(before, _TORCH_CHANGES, _TORCH)
    assert lost == []
    assert found == ["torch.float32", 1, True, False, "highest"]
