"""The writer process, as the run or the sweep that starts it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

from sinesweep.errors import InputError
from sinesweep.tracking.location import CLIENT_SETTINGS, Location
from sinesweep.tracking.writer import ARTIFACTS_VARIABLE, FLUSH, OF_A_SWEEP, URI_VARIABLE

LOG_FILE = "tracking.log"
_RESTARTS = 2  # of a writer that is killed before the run has begun


class WriterProcess:
    """Sends what is recorded in a folder while it is being recorded.

    Args:
        directory: the run's folder, or the sweep's.
        location: the tracker.
        of_a_sweep: whether there are trials in the folder, whose records are to be sent, too.
    """

    def __init__(self, directory: Path, location: Location, *, of_a_sweep: bool = False) -> None:
        self._location = location
        self._start = partial(_start, directory, location, [OF_A_SWEEP] if of_a_sweep else [])
        self._process = self._start()

    def wait_for_run(self) -> str:
        """Return the tracker's id of the run, once it has one.

        Raises:
            InputError: the tracker refused it.
        """
        line = self._first_line()
        for _ in range(_RESTARTS):
            if line or self._process.wait() >= 0:
                break
            self._close_pipes()  # it was killed
            self._process = self._start()
            line = self._first_line()
        message: dict[str, str] = json.loads(line) if line else {"error": "the writer process died"}
        if "error" in message:
            keys, shown = self._location.keys, self._location.shown
            raise InputError(
                f"{keys.uri}: the tracker must take the run, but {shown} did not "
                f"({message['error'].splitlines()[0]}): correct the cause{keys.or_without}"
            )
        return message["run_id"]

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _close_pipes(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def flush(self) -> bool:
        """Have it send at once; return whether the tracker has everything recorded so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            os.write(self._process.stdin.fileno(), FLUSH.encode())  # nothing is left to be written
        except BrokenPipeError:  # it died
            return False
        line = self._process.stdout.readline()
        return bool(line) and json.loads(line)["sent"]

    def close(self) -> bool:
        """Let it finish; return whether the tracker has everything."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        status = self._process.wait()
        self._process.stdout.close()
        return status == 0


def _start(directory: Path, location: Location, more: list[str]) -> subprocess.Popen[str]:
    environment = {
        **CLIENT_SETTINGS,
        **os.environ,
        URI_VARIABLE: location.uri,
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_RUN_ID", None)
    if location.artifacts is not None:
        environment[ARTIFACTS_VARIABLE] = str(location.artifacts)
    with (directory / LOG_FILE).open("a") as log:
        return _spawn([str(directory), *more], environment, log)


def _spawn(
    arguments: list[str], environment: Mapping[str, str], log: IO[str]
) -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C in the terminal must not stop it before the end is told.
    return subprocess.Popen(
        [sys.executable, "-m", "sinesweep.tracking.writer", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
        start_new_session=True,
    )
