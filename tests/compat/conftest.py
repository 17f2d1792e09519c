"""The wheel, in environments that have nothing but what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plain_app import App, run
from runner import ROOT

HERE = Path(__file__).parent
CONSTRAINTS = {
    "hydra13": ROOT / "constraints.txt",
    "hydra14": HERE / "constraints-hydra14.txt",
}
# `pip install sinesweep` never chooses a pre-release by itself.
REQUIREMENTS = {"hydra13": "hydra-core<1.4", "hydra14": "hydra-core==1.4.0rc3"}


def _pip(python: Path | str, *arguments: object, folder: Path) -> None:
    done = run(python, "-m", "pip", "--disable-pip-version-check", *arguments, folder=folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    constraint = ("--build-constraint", ROOT / "constraints.txt")
    _pip(sys.executable, "wheel", "--no-deps", *constraint, "-w", folder, ROOT, folder=folder)
    (built,) = folder.glob("sinesweep-*.whl")
    return built


@pytest.fixture(
    scope="session",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CONSTRAINTS],
)
def python(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return an interpreter that has the wheel and its base dependencies."""
    folder = tmp_path_factory.mktemp(request.param)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / "bin" / "python"
    constraint = ("--constraint", CONSTRAINTS[request.param])
    _pip(found, "install", *constraint, wheel, REQUIREMENTS[request.param], folder=folder)
    return found


@pytest.fixture
def app(python: Path, tmp_path: Path) -> App:
    """Return the application in an environment with the wheel."""
    return App(python, tmp_path)
