"""The report of a sweep that is being run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made import Page
from runner import Runner
from watching import sweep_folder

from sinesweep.report import process
from sinesweep.report.files import REPORT_FILE
from sinesweep.report.process import ReportProcess


def test_sweep_leaves_a_report(tmp_path: Path) -> None:
    """A sweep of any application ends with its report."""
    runner = Runner(tmp_path)
    done = runner.sweep(
        "x=0,1,2", "steps=2", "hydra.sweeper.report=true", "hydra.sweeper.workers=2"
    )
    assert done.code == 0, done.err
    folder = sweep_folder(tmp_path / "multirun")
    page = Page(folder / REPORT_FILE)
    assert "finished: 3 of 3 trials done" in page.texts["top"]
    assert "python" in page.texts["commands"]
    assert page.names("curves")[0] == "complete"
    assert (folder / "report" / "best.png").exists()
    assert "report.html is not up to date" not in done.out


def test_refreshed_when_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is begun when it is time for one, and another only when that is done."""
    monkeypatch.setattr(process, "_INTERVAL", 0.0)
    made = ReportProcess(tmp_path, tracker=None, storage=None)
    made.refresh()
    first = made._process
    assert first is not None
    made.refresh()
    assert made._process is first
    first.wait(60)
    made.refresh()
    assert made._process is None, "its time is not before it has rested"


def test_failure_is_named(tmp_path: Path) -> None:
    """A report that cannot be written costs a line, which says where its cause is."""
    fault = ReportProcess(tmp_path, tracker=None, storage=None).finish("COMPLETE")
    assert fault is not None
    assert f"failed, as {tmp_path / 'report.log'} says" in fault
    assert "must be the folder of a sweep" in (tmp_path / "report.log").read_text()


def test_does_not_outlive_the_sweep(tmp_path: Path) -> None:
    """When the sweep's process dies, and with it the pipe, the report's process ends."""
    made = ReportProcess(tmp_path, tracker=None, storage=None)
    # A definition that never ends being read keeps it at work.
    os.mkfifo(tmp_path / "sweep.yaml")
    started = made._start("RUNNING", [])
    assert started.stdin is not None
    started.stdin.close()
    assert started.wait(60) == 1
