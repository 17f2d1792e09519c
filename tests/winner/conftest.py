"""Two sweeps that the tests of what is done with winners share: a plain one, a trained one."""

from __future__ import annotations

from pathlib import Path

import pytest
from runner import SMALL, Runner

from sinesweep.sweep import archive
from sinesweep.sweep.archive import Archive


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own tracker and threads out of the tests."""
    for name in ("MLFLOW_TRACKING_URI", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A sweep of a plain function, each point under two seeds, with a password."""
    runner = Runner(tmp_path_factory.mktemp("plain"))
    done = runner.sweep(
        "x=0.1,1,3", "y=0.3", "+db.password=hunter2", "hydra.sweeper.repeats=2",
        "hydra.sweeper.workers=1", "hydra.sweeper.study_name=bowl",
    )  # fmt: skip
    assert done.code == 0, done.err
    return archive.read(runner.folder / "multirun" / "bowl")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A tracked sweep of two trainings, of which only figures were left out."""
    runner = Runner(tmp_path_factory.mktemp("trained"))
    done = runner.train(
        "-m", "model.layers=1,2", *SMALL, "artifacts.figures=false", "artifacts.model=false",
        "hydra.sweeper.workers=2", "hydra.sweeper.study_name=depth",
    )  # fmt: skip
    assert done.code == 0, done.err
    return archive.read(runner.folder / "mlruns" / "sweeps" / "depth")


@pytest.fixture(scope="session")
def root(trained: Archive) -> Path:
    """The folder that the trained sweep is recorded in."""
    return trained.folder.parent.parent
