"""A sweep's command, up to the check of its settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from sinesweep.errors import EXIT_INPUT, InputError
from sinesweep.sweep import command


def test_a_sweep_imports_from_the_folders_of_a_single_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep adds no folder to Python's, so that a printed single command finds each module."""

    def stop(keys: object) -> None:
        raise InputError("the settings are checked")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["app.py", "-m", "x=1,2", "--config-dir", "my/conf"])
    monkeypatch.setattr(command.settings, "parse", stop)
    before = list(sys.path)
    nothing: Any = None
    code = command.run({}, ["x=1,2"], OmegaConf.create({}), nothing, nothing)
    assert code == EXIT_INPUT
    assert capsys.readouterr().err == "sinesweep: the settings are checked\n"
    assert sys.path == before
