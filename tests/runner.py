"""Run the project's commands as a user does, in a folder of the test's own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN = ROOT / "tests" / "own"
PLAIN = str(ROOT / "tests" / "sweep" / "plain" / "app.py")
# Small and quick: what is tested is everything around the training.
SMALL = ("model.width=4", "data.num_series=64", "trainer.max_epochs=3")
BARE = ("artifacts.figures=false", "artifacts.model=false")
ONE, TWO = ("hydra.sweeper.workers=1", "hydra.sweeper.workers=2")
LIMIT = 180  # seconds: no command hangs a test


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


class Runner:
    """Runs commands in one folder with an environment that holds nothing of the user's.

    Args:
        folder: the working directory; ``mlruns`` appears in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def train(self, *overrides: str, **variables: str) -> Done:
        """Run ``python src/train.py``."""
        return self._run([str(ROOT / "src" / "train.py"), *overrides], variables)

    def own(self, *overrides: str, **variables: str) -> Done:
        """Run ``python src/train.py`` with the tests' own model."""
        variables = {"PYTHONPATH": str(OWN), **variables}
        arguments = ["--config-dir", str(OWN / "conf"), "model=own", *overrides]
        return self.train(*arguments, **variables)

    def sweep(self, *overrides: str, **variables: str) -> Done:
        """Sweep the tests' plain application."""
        return self._run([PLAIN, "-m", *overrides], variables)

    def start_sweep(self, *overrides: str, **variables: str) -> subprocess.Popen[str]:
        """Start a sweep of the tests' plain application; the test ends it."""
        return subprocess.Popen(
            [sys.executable, PLAIN, "-m", *overrides],
            cwd=self.folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def sinesweep(self, *arguments: str, **variables: str) -> Done:
        """Run the ``sinesweep`` command."""
        return self._run(
            ["-c", "import sys; from sinesweep.commands import main; sys.exit(main())", *arguments],
            variables,
        )

    def evaluate(self, code: str, **variables: str) -> Done:
        """Run Python code."""
        return self._run(["-c", code], variables)

    def _run(self, arguments: list[str], variables: dict[str, str]) -> Done:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run_folder(self) -> Path:
        """Return the folder of the only run."""
        (folder,) = (self.folder / "mlruns" / "runs").iterdir()
        return folder


def environment(**variables: str) -> dict[str, str]:
    """Return an environment without MLflow's, Hydra's or torch's variables."""
    # The last two choose the kernels of NumPy's linear algebra, and so the last bits of results.
    names = ("PATH", "HOME", "TMPDIR", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # As in an activated environment: `mlflow models serve` looks for its server on the path.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return {**kept, **variables}
