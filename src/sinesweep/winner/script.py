"""Runs a sweep's own script again: from where it was started, with a trial's overrides."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from sinesweep.errors import InputError
from sinesweep.redaction import HIDDEN, redact_overrides, refuse_placeholders
from sinesweep.signals import handle_stop_signals
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import COMPLETE, REUSED, RUNNING, Entry
from sinesweep.sweep.nursery import THREAD_VARIABLES
from sinesweep.sweep.rerun import SINGLE, config_flags
from sinesweep.sweep.space import point_key, value_text

_STDERR = 2


def find_trial(archive: Archive, number: int) -> Entry:
    """Return a trial that has ended; for one that took over values, the trial that found them.

    Raises:
        InputError: there is no such trial, or it is still running.
    """
    known = {entry.number: entry for entry in archive.entries}
    if number not in known:
        listed = f"from {min(known)} to {max(known)}" if known else "and there are none yet"
        raise InputError(
            f"trial {number}: must be one of the sweep {archive.name}, {listed}: list them with "
            f"sinesweep show {shlex.quote(str(archive.folder))}"
        )
    entry = known[number]
    if entry.outcome == REUSED:
        done = (each for each in archive.entries if each.outcome == COMPLETE)
        return next(each for each in done if point_key(each.params) == point_key(entry.params))
    if entry.outcome == RUNNING:
        raise InputError(f"trial {number}: must have ended, but is running: wait for it")
    return entry


def overrides_of(
    archive: Archive, words: Sequence[str], given: Sequence[str], command: str
) -> list[str]:
    """Return a trial's overrides with those that were given now in place of its own.

    Args:
        archive: the sweep.
        words: the trial's overrides.
        given: overrides; secrets, which a sweep's files do not hold, must be among them.
        command: what was typed, up to the overrides.

    Raises:
        InputError: one given is no override, or a secret is missing.
    """
    return [*still_needed(archive, words, given, command), *given]


def still_needed(
    archive: Archive, words: Sequence[str], given: Sequence[str], command: str
) -> list[str]:
    """Return those of a sweep's overrides that none of the given ones replaces.

    Raises:
        InputError: as :func:`overrides_of`.
    """
    wrong = [word for word in given if "=" not in word and not word.startswith("~")]
    if wrong:
        raise InputError(f"{wrong[0]!r}: must be an override, key=value, but is none")
    refuse_placeholders(given)
    replaced = {key_of(override) for override in given}
    kept = [override for override in words if key_of(override) not in replaced]
    missing = [override for override in kept if HIDDEN in override]
    if missing:
        words = shlex.join(redact_overrides([*given, *missing]))
        raise InputError(
            f"{' and '.join(map(key_of, missing))}: must be given again, since the files of the "
            f"sweep {archive.name} hold no secrets, but is not: "
            f"{command} -- {words}   (with what stands for {HIDDEN})"
        )
    return kept


def root_override(archive: Archive, *, multirun: bool) -> list[str]:
    """Return what has a sweep's script record in the folder that the sweep is in now, if it moved.

    Args:
        archive: the sweep.
        multirun: whether the script runs a sweep; only then does the sweeper record.
    """
    tracking, root = archive.tracking, archive.root
    if tracking is None or root is None or root == Path(tracking.root):
        return []
    if not multirun and tracking.root_key.startswith("hydra."):
        return []
    return [f"{tracking.root_key}={value_text(str(root))}"]


def key_of(override: str) -> str:
    """Return what an override is about."""
    return override.partition("=")[0].lstrip("+~")


def run(
    archive: Archive,
    overrides: Sequence[str],
    *,
    multirun: bool = False,
    threads: str | None = None,
    aside: bool = False,
) -> int:
    """Run the script; what it prints is shown.

    Args:
        archive: the sweep that it began.
        overrides: its arguments.
        multirun: run a sweep.
        threads: of the libraries that do linear algebra; None for the environment's.
        aside: show what it prints among the errors: the command has an output of its own.

    Returns:
        Its exit code.

    Raises:
        InputError: the script, or the folder that it was started in, is gone.
        KeyboardInterrupt: Ctrl-C, once the script has ended of it.
    """
    command = archive.command
    script, *rest = command.arguments
    is_there = command.is_module or (archive.directory / script).is_file()
    if not archive.directory.is_dir() or not is_there:
        raise InputError(
            f"sweep {archive.name}: must have its script, but {archive.directory / script} is "
            "gone: bring it back, or begin the sweep again from where it is now"
        )
    how = "--multirun" if multirun else SINGLE
    options = command.interpreter[1:]
    words = [sys.executable, *options, script, *config_flags(rest), *overrides, how]
    sys.stdout.flush()
    process = subprocess.Popen(  # the user's own script
        words,
        cwd=archive.directory,
        env=_environment(threads),
        stdout=_STDERR if aside else None,
    )
    return _wait(process)


def _environment(threads: str | None) -> Mapping[str, str]:
    return {**os.environ, **(dict.fromkeys(THREAD_VARIABLES, threads) if threads else {})}


def _wait(process: subprocess.Popen[bytes]) -> int:
    stops: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        stops.append(number)
        if number not in (signal.SIGINT, signal.SIGQUIT):  # a terminal sends these to both
            process.send_signal(number)

    with handle_stop_signals(pass_on):
        code = process.wait()
    if stops:
        raise KeyboardInterrupt
    return code
