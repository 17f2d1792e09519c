"""State of a process that a trial can change, restored when the trial has ended.

A worker runs one trial after another, and each of them must find the process as the first one did.
Imported modules, open files, daemon threads and processes that a trial started stay until the
worker exits. A worker whose state cannot be restored is replaced. Random generators are seeded
before each trial instead: see :mod:`sinesweep.sweep.random_state`.
"""

from __future__ import annotations

import concurrent.futures.thread
import decimal
import faulthandler
import gc
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from omegaconf.basecontainer import BaseContainer

from sinesweep.sweep import library_state

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
_LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
_HOOKS = (
    (sys, "stdin"), (sys, "stdout"), (sys, "stderr"),
    (sys, "excepthook"), (sys, "unraisablehook"), (sys, "displayhook"), (sys, "breakpointhook"),
    (threading, "excepthook"),
)  # fmt: skip
_LISTS = (
    (sys, "argv"), (sys, "path"), (sys, "meta_path"), (sys, "path_hooks"),
)  # fmt: skip
CONNECTION = "the connection to the sweep"
_GRACE = 0.1  # seconds that a thread may take to end


class _Part(NamedTuple):
    """A part of the process's state.

    Attributes:
        name: for messages.
        read: returns the state.
        write: restores it, given what was read before the trial and what was read after it.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any, Any], object]


@contextmanager
def restored_process_state(descriptors: Sequence[int], lost: list[str]) -> Iterator[None]:
    """Restore the state of this process after the code inside.

    Args:
        descriptors: files that the code inside must leave open.
        lost: takes the names of what could not be restored.
    """
    files = [(each, os.fstat(each)) for each in descriptors]
    threads = set(threading.enumerate())
    parts = [(part, part.read()) for part in _PARTS]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        _stop_timers()
        for part, before in parts:
            try:
                now = part.read()
                if now != before:
                    part.write(before, now)
            except Exception:  # noqa: BLE001 # whatever the reason, the worker is to be replaced
                lost.append(part.name)
        if any(not _is_same_file(each, before) for each, before in files):
            lost.append(CONNECTION)
        lost += [f"thread {each.name}" for each in _left_over(threads)]


def _stop_timers() -> None:
    for timer in _TIMERS:
        signal.setitimer(timer, 0)
    faulthandler.cancel_dump_traceback_later()


def _is_same_file(descriptor: int, before: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), before)
    except OSError:
        return False


def _left_over(before: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that run on, daemons and idle threads of executors left out."""
    new = [each for each in threading.enumerate() if each not in before and not each.daemon]
    if not new:
        return []
    frames = sys._current_frames()
    busy = [each for each in new if not _is_idle(frames.get(each.ident or 0))]
    for each in busy:
        each.join(_GRACE)
    return [each for each in busy if each.is_alive()]


def _is_idle(frame: FrameType | None) -> bool:
    """Whether a thread is one of an executor and waits for work."""
    if frame is None:  # it has just ended
        return True
    code = frame.f_code
    return code.co_name == "_worker" and code.co_filename == concurrent.futures.thread.__file__


def _write_attributes(before: Mapping[tuple[Any, str], Any], now: Mapping[Any, Any]) -> None:
    for (owner, name), value in before.items():
        if now[owner, name] is not value:
            setattr(owner, name, value)


def _read_hooks() -> dict[tuple[Any, str], Any]:
    return {(owner, name): getattr(owner, name) for owner, name in _HOOKS}


def _read_lists() -> list[tuple[Any, str, list[Any], list[Any]]]:
    return [(o, name, getattr(o, name), list(getattr(o, name))) for o, name in _LISTS]


def _write_lists(before: list[tuple[Any, str, list[Any], list[Any]]], _: Any) -> None:
    for owner, name, kept, content in before:
        kept[:] = content
        setattr(owner, name, kept)


def _read_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 # a Path would cost more than all else of this
    except OSError:  # it was deleted
        return None


def _write_directory(before: str | None, _: str | None) -> None:
    if before is not None:
        os.chdir(before)


def _write_environment(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for name in now.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: text for name, text in before.items() if now.get(name) != text})


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _read_limits() -> dict[int, tuple[int, int]]:
    return {each: resource.getrlimit(each) for each in _LIMITS}


def _write_limits(before: Mapping[int, tuple[int, int]], now: Mapping[int, Any]) -> None:
    for each, limits in before.items():
        if now[each] != limits:
            resource.setrlimit(each, limits)


def _read_identity() -> tuple[Any, ...]:
    users = os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups()
    return *users, os.getpgrp(), os.getsid(0)


def _refuse(before: Any, now: Any) -> None:
    raise ValueError(f"{before} became {now}")


def _read_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _write_handlers(before: Mapping[int, Any], now: Mapping[int, Any]) -> None:
    for number, handler in before.items():
        if now[number] != handler:
            signal.signal(number, handler)


def _read_wakeup() -> int:
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    return descriptor


def _read_mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def _write_mask(before: set[int], _: set[int]) -> None:
    for number in signal.sigpending() - before:  # they were for the trial
        signal.sigwait({number})
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read_modules() -> dict[str, Any]:
    return dict(sys.modules)


def _write_modules(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Bring back what was removed or replaced. New modules stay: they cost time to import."""
    for name, module in before.items():
        if now.get(name) is not module:
            sys.modules[name] = module


def _read_loggers() -> list[Any]:
    manager = logging.root.manager
    named = [each for each in manager.loggerDict.values() if isinstance(each, logging.Logger)]
    return [
        manager.disable,
        {
            each: (each.level, each.propagate, each.disabled, (*each.handlers,), (*each.filters,))
            for each in (logging.root, *named)
        },
    ]


def _write_loggers(before: list[Any], now: list[Any]) -> None:
    logging.disable(before[0])
    for logger, state in before[1].items():
        if now[1].get(logger) != state:
            level, logger.propagate, logger.disabled, handlers, filters = state
            logger.setLevel(level)
            logger.handlers[:], logger.filters[:] = handlers, filters


def _write_start_method(before: str | None, _: Any) -> None:
    multiprocessing.set_start_method(before, force=True)  # pyright: ignore[reportArgumentType] # typeshed lacks None


def _write_resolvers(before: Mapping[str, Any], _: Any) -> None:
    BaseContainer._resolvers.clear()
    BaseContainer._resolvers.update(before)


def _read_decimal() -> tuple[str, decimal.Context]:
    context = decimal.getcontext()
    return repr(context), context.copy()


def _setter(function: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    return lambda before, _: function(before)


_PARTS = (
    # First: what a trial has blocked or ignored must not reach what follows.
    _Part("signal handlers", _read_handlers, _write_handlers),
    _Part("blocked signals", _read_mask, _write_mask),
    _Part("the signals' descriptor", _read_wakeup, _setter(signal.set_wakeup_fd)),
    _Part("standard streams and hooks", _read_hooks, _write_attributes),
    _Part("search paths and arguments", _read_lists, _write_lists),
    _Part("modules", _read_modules, _write_modules),
    _Part("the user, group or session", _read_identity, _refuse),
    _Part("the working directory", _read_directory, _write_directory),
    _Part("the environment", lambda: dict(os.environ), _write_environment),
    _Part("umask", _read_umask, _setter(os.umask)),
    _Part("resource limits", _read_limits, _write_limits),
    _Part(
        "the priority",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda before, _: os.setpriority(os.PRIO_PROCESS, 0, before),
    ),
    _Part(
        "locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before, _: locale.setlocale(locale.LC_ALL, before),
    ),
    _Part("loggers", _read_loggers, _write_loggers),
    _Part("the settings of NumPy", library_state.read_numpy, library_state.write_numpy),
    _Part("the settings of torch", library_state.read_torch, library_state.write_torch),
    _Part("the recursion limit", sys.getrecursionlimit, _setter(sys.setrecursionlimit)),
    _Part("garbage collection", gc.isenabled, lambda on, _: gc.enable() if on else gc.disable()),
    _Part("the sockets' timeout", socket.getdefaulttimeout, _setter(socket.setdefaulttimeout)),
    _Part(
        "decimal numbers",
        _read_decimal,
        lambda before, now: decimal.setcontext(before[1]) if before[0] != now[0] else None,
    ),
    _Part(
        "the start of processes",
        lambda: multiprocessing.get_start_method(allow_none=True),
        _write_start_method,
    ),
    _Part("resolvers", lambda: dict(BaseContainer._resolvers), _write_resolvers),
)
if hasattr(os, "sched_setaffinity"):
    _PARTS += (
        _Part(
            "the choice of cores",
            lambda: os.sched_getaffinity(0),
            lambda before, _: os.sched_setaffinity(0, before),
        ),
    )
