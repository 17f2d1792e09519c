"""Folders from which users' classes are imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from runner import BARE, ONE, OWN, SMALL, Runner

from sinesweep import modules
from sinesweep.tracking.record import Record


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin with Python's own folders, in a working directory of the test's."""
    monkeypatch.setattr(sys, "path", ["/python"])
    monkeypatch.setattr(modules, "_added", [])
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [["--config-dir", "my/conf"], ["-m", "x=1", "--config-dir=my/conf/"], ["-cd", "my/conf"]],
)
def test_folders_come_last(tmp_path: Path, arguments: Sequence[str]) -> None:
    """The working directory and the folder beside the configuration hide no other module."""
    modules.add_folders(arguments)
    modules.add_folders(arguments)
    assert sys.path == ["/python", str(tmp_path), str(tmp_path / "my")]


def test_a_run_names_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in another folder imports what a run was made of, if that is still there."""
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "my").mkdir()
    modules.add_folders(["--config-dir", "my/conf"])
    tags = modules.tags()
    Record(folder).append("begin", name="a", experiment="e", params={}, tags=tags, datasets=[])
    (tmp_path / "my").rmdir()
    monkeypatch.setattr(sys, "path", ["/python"])
    modules.add_folders_of_run(folder)
    modules.add_folders_of_run(tmp_path)  # no run
    assert sys.path == ["/python", str(tmp_path)]


@pytest.mark.slow
def test_a_model_beside_the_configuration_is_found_everywhere(tmp_path: Path) -> None:
    """Workers find it after a change of folder, and so do commands in another folder."""
    runner = Runner(tmp_path)
    own = ["--config-dir", str(OWN / "conf"), "model=own"]
    done = runner.train(
        "-m", *own, "model.hidden=2,3", "hydra.job.chdir=true", "hydra.sweeper.study_name=own",
        "tracking=none", *SMALL[1:], *BARE, ONE,
    )  # fmt: skip
    assert done.code == 0, done.err
    (tmp_path / "elsewhere").mkdir()
    other = Runner(tmp_path / "elsewhere")
    done = other.sinesweep("rerun", "--root", "../mlruns", "own", "0")
    assert "equal bit for bit" in done.out, done.err
    (other.folder / "in.csv").write_text(f"{','.join(f't{i}' for i in range(50))}\n{'1,' * 49}1\n")
    done = other.sinesweep("predict", "in.csv", "--root", "../mlruns", "--run", "own/1")
    assert done.out.startswith("step_1,step_2"), done.err


@pytest.mark.slow
def test_a_model_in_the_working_directory_is_found(tmp_path: Path) -> None:
    """``model._target_`` names a module of the folder that the command is typed in."""
    (tmp_path / "mine.py").write_text((OWN / "ownmodel.py").read_text())
    done = Runner(tmp_path).train(
        "--config-dir", str(OWN / "conf"), "model=own", "model._target_=mine.OwnModel",
        "tracking=none", *SMALL[1:], *BARE,
    )  # fmt: skip
    assert done.code == 0, done.err
