"""The report of a sweep whose process was killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from made import Made, Page, make_sweep
from optuna.trial import TrialState

from sinesweep.commands import main
from sinesweep.report import build
from sinesweep.sweep.entry import RUNNING
from sinesweep.sweep.plan import SWEEP_LOCK


def test_killed_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an audit the report says neither that the sweep runs nor that a trial does."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    trials = [Made({"x": 1}, [0.1]), Made({"x": 2}, state=TrialState.RUNNING)]
    folder = make_sweep(tmp_path / "sweeps" / "mine", trials)
    (folder / SWEEP_LOCK).touch()
    before = Page(build.write(build.read(folder, state=RUNNING)))
    assert "still running: 1 of 2 trials done (1 complete, 1 running)" in before.texts["top"]

    assert main(["audit", "--root", str(tmp_path)]) == 0
    after = Page(folder / "report.html").texts["top"]
    assert "interrupted: 1 of 2 trials done (1 complete" in after
    assert "running" not in after
