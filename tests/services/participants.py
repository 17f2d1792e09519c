"""Processes that run one sweep together, and what the database has of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from runner import PLAIN, environment
from servers import Postgres
from watching import LIMIT, calls_of, processes_in

from sinesweep.sweep.storage import close_storage

NAME = "joined"
LEASE = 3.0  # seconds: what a test waits for where a participant dies
# For where nobody dies: on a busy machine a participant may stall for most of the short one.
NOBODY_DIES = "hydra.sweeper.lease=30"


class Participant:
    """A process of the plain application that runs the sweep, in a folder of its own or a shared.

    Args:
        folder: its working directory.
        arguments: of the command, besides ``-m``.
        script: to be run instead of the application itself.
        variables: of its environment.
    """

    def __init__(
        self, folder: Path, arguments: list[str], script: str = PLAIN, **variables: str
    ) -> None:
        self.folder = folder
        self._command = [sys.executable, script, "-m", *arguments]
        self._variables = variables
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=environment(**self._variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, words: str) -> str:
        """Read what it prints up to a line with these words; return that."""
        assert self.process.stdout is not None
        read = ""
        for line in self.process.stdout:
            read += line
            if words in line:
                return read
        raise AssertionError(read)

    def restart(self, *more: str) -> None:
        """Start the same command again, or with more arguments."""
        self._command += more
        self.process = self._start()

    def kill(self) -> None:
        """End the process as a failing machine does."""
        self.process.kill()
        self.process.communicate(timeout=LIMIT)

    @property
    def family(self) -> list[int]:
        """The process and all that it has started."""
        return [self.process.pid, *processes_in(self.process.pid)]

    def end(self) -> None:
        """Leave nothing behind that a test has not ended."""
        if self.process.poll() is None:
            for pid in self.family:
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=LIMIT)

    @property
    def calls(self) -> list[tuple[float, float, int, int]]:
        """Every call of the function from its folder."""
        return calls_of(self.folder)

    def finish(self) -> str:
        """Wait until it ends well; return what it printed."""
        out, _ = self.process.communicate(timeout=2 * LIMIT)
        assert self.process.returncode == 0, out
        return out


def sweep(storage: str, *more: str) -> list[str]:
    """Return the arguments of a sweep in a database."""
    return [
        f"hydra.sweeper.storage={storage}",
        f"hydra.sweeper.study_name={NAME}",
        f"hydra.sweeper.lease={LEASE}",
        "hydra.sweeper.workers=1",
        *more,
    ]


def trials_of(storage: str) -> list[FrozenTrial]:
    """Return every trial of the study."""
    opened = optuna.storages.get_storage(storage)
    try:
        return optuna.load_study(study_name=NAME, storage=opened).get_trials()
    finally:
        close_storage(opened)


def participants_of(trials: list[FrozenTrial]) -> set[Any]:
    """Return who ran these trials."""
    return {trial.user_attrs["sinesweep"]["participant"] for trial in trials}


def present(postgres: Postgres, storage: str) -> int:
    """Return how many participants have not left."""
    name = storage.rpartition("/")[2]
    ((count,),) = postgres.execute("SELECT count(*) FROM sinesweep_participant", name)
    assert isinstance(count, int)
    return count
