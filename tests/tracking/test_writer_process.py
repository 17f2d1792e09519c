"""A run's or a sweep's view of its writer process, with processes that the test plays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sinesweep.errors import InputError
from sinesweep.tracking import writer_process
from sinesweep.tracking.location import Location
from sinesweep.tracking.writer_process import WriterProcess

_DIES = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
_SAYS = 'print(\'{"run_id": "abc"}\')'


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WriterPlay:
    return WriterPlay(monkeypatch, tmp_path)


class WriterPlay:
    """Makes writers that run code of the test's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder

    def __call__(self, *codes: str) -> WriterProcess:
        left = list(codes)

        def spawn(*_: object) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", left.pop(0)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

        self._monkeypatch.setattr(writer_process, "_spawn", spawn)
        return WriterProcess(self._folder, Location(f"sqlite:///{self._folder}/mlflow.db", None))


def test_killed_writer_is_started_again(play: WriterPlay) -> None:
    """A writer that is killed before the run has begun is no fault of the configuration."""
    writer = play(_DIES, _SAYS)
    assert writer.wait_for_run() == "abc"
    assert writer.close()


def test_writer_that_ends_by_itself_is_not_started_again(play: WriterPlay) -> None:
    """A second one would end in the same way."""
    writer = play("raise SystemExit(1)")
    with pytest.raises(InputError, match="the writer process died"):
        writer.wait_for_run()
    assert not writer.close()
