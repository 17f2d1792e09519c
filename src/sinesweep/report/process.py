"""The process that writes a report while a sweep runs: the control loop never waits for it.

It reads the sweep's folder as anybody could, so that what the report needs, and the time that it
takes, stay out of the sweep's own process.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from sinesweep.report.files import REPORT_FILE
from sinesweep.sweep.entry import RUNNING

LOG_FILE = "report.log"
STORAGE_VARIABLE = "SINESWEEP_REPORT_STORAGE"
TRACKER_VARIABLE = "SINESWEEP_REPORT_TRACKER"
MISSING = "there is no report, since plotly is not installed: pip install 'sinesweep[report]'"

_INTERVAL = 30.0  # seconds between reports of a running sweep, at least
_PAUSES = 20  # times what one took, at least: a twentieth of a core
_PATIENCE = 120.0  # seconds for the last report; one of 5000 trials takes some 20


class ReportProcess:
    """Writes ``report.html``, one process at a time.

    Args:
        folder: the sweep's.
        tracker: the address of its tracker, or None.
        storage: where the study is kept, or None for the journal in the folder.
    """

    def __init__(self, folder: Path, *, tracker: str | None, storage: str | None) -> None:
        self._folder = folder
        addresses = {TRACKER_VARIABLE: tracker, STORAGE_VARIABLE: storage}
        # By the environment: an address can hold a password, and arguments are public.
        self._environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            **{name: address for name, address in addresses.items() if address},
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic()  # there is nothing to show at once
        self._next = self._begun + _INTERVAL

    def refresh(self) -> None:
        """Begin another report, if it is time for one; return at once."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._close()
            self._next = max(self._begun + _INTERVAL, now + _PAUSES * (now - self._begun))
        if now >= self._next:
            self._begun = now
            self._process = self._start(RUNNING, [])

    def finish(self, state: str) -> str | None:
        """Write the last report, and its pictures, and wait for them.

        Args:
            state: how the sweep ended.

        Returns:
            Why there is none, or None.
        """
        self.stop()
        self._process = self._start(state, ["--pictures"])
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = None
        self._close()
        if status == 0:
            return None
        what = "took too long" if status is None else f"failed, as {self._folder / LOG_FILE} says"
        return (
            f"{self._folder / REPORT_FILE} is not up to date: writing it {what}; try again with "
            f"python -m sinesweep.report {self._folder}"
        )

    def stop(self) -> None:
        """Stop a report that is being written."""
        if self._process is not None:
            self._process.kill()
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._process = None

    def _start(self, state: str, more: list[str]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal is the sweep's. It ends when its standard
        # input does, so that it does not outlive a sweep that is killed.
        command = [sys.executable, "-m", "sinesweep.report"]
        with (self._folder / LOG_FILE).open("wb") as log:
            return subprocess.Popen(
                [*command, str(self._folder), "--watched", "--state", state, *more],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )


def is_possible() -> bool:
    """Whether what a report needs is installed."""
    return importlib.util.find_spec("plotly") is not None
