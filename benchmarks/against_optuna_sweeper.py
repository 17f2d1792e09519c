"""A sweep of the reference task against hydra-optuna-sweeper with the joblib launcher.

python benchmarks/against_optuna_sweeper.py [repeats] [tracking] [overrides...]

Whole processes at two workers, in turn, on the same 32 points, each trained with the same seed and
number of epochs, figures and models off. ``tracking`` is mlflow (the default; SQLite) or none. The
other sweeper runs in an environment of its own, made once in the folder of VENV or in a temporary
one, with the same task and the same versions of everything but Hydra. It cannot prune, so the last
line compares a sweep with ASHA with it; that may end with a better best value, not with a worse.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from measuring import print_header, print_ratio
from processes import make_environment, seconds_of

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
SEED = 0
WORKERS = 2
RIVAL = (
    "hydra-core==1.4.0rc3",
    "hydra-optuna-sweeper==1.4.0rc3",
    "hydra-joblib-launcher==1.4.0rc3",
)
TASK = (
    "matplotlib", "mlflow", "optuna", "pydantic", "pytorch-lightning", "rich", "torch",
    "torchmetrics", "tqdm",
)  # fmt: skip
# Each point once: 2 * 4 * 4 trials.
POINTS = {
    "model.layers": "choice(1,2)",
    "model.width": "choice(8,16,32,64)",
    "optimizer.lr": "choice(1e-3,3e-3,1e-2,3e-2)",
}
TRIALS = 32
FIXED = ("artifacts.figures=false", "artifacts.model=false", f"seed={SEED}")
ASHA = (
    "hydra/sweeper/sampler=grid", "hydra/sweeper/pruner=asha",
    "hydra.sweeper.pruner.min_resource=2", "hydra.sweeper.pruner.reduction_factor=4",
    f"hydra.sweeper.n_trials={TRIALS}",
)  # fmt: skip


def rival_environment(folder: Path) -> Path:
    """Return the interpreter of the other sweeper's environment."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    others = ("hydra-core", "omegaconf", "antlr4")  # another Hydra needs others of these
    constraints = "\n".join(line for line in lines if not line.startswith(others))
    return make_environment(folder, [*RIVAL, *TASK], constraints)


def make_rival(folder: Path) -> None:
    """Write the task's configuration for the other sweeper, and show it only the task's package."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    path = folder / "conf" / "train.yaml"
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    config["defaults"] = [
        *(entry for entry in config["defaults"] if "override hydra/sweeper" not in entry),
        {"override hydra/sweeper": "optuna"},
        {"override hydra/sweeper/sampler": "grid"},
        {"override hydra/launcher": "joblib"},
    ]
    hydra = config["hydra"]
    hydra["sweeper"] = {"direction": "minimize", "n_trials": TRIALS, "n_jobs": WORKERS}
    hydra["launcher"] = {"n_jobs": WORKERS}
    del hydra["run"], hydra["callbacks"]  # what they do is for single runs
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "source").mkdir()
    # Without its plugin: the two register samplers of the same names.
    (folder / "source" / "sinesweep").symlink_to(ROOT / "src" / "sinesweep")


def timed(
    program: Sequence[object], overrides: Sequence[str], folder: Path, **variables: str
) -> tuple[float, float]:
    """Run a sweep in a new folder; return seconds and the best value.

    Raises:
        ProgramError: it ended with another code than 0.
    """
    command = [*program, "-m", *overrides, f"hydra.sweep.dir={folder / 'sweep'}"]
    seconds = seconds_of([command], folder, **variables)
    best = yaml.safe_load((folder / "sweep" / "optimization_results.yaml").read_text())
    return seconds, float(best["best_value"])


def main() -> None:
    """Print two ratios."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    typed = [f"tracking={sys.argv[2] if len(sys.argv) > 2 else 'mlflow'}", *sys.argv[3:]]
    print_header(f"{TRIALS} trials, {WORKERS} workers, {' '.join(typed)}", repeats, SEED)
    more = [*typed, *(f"{key}={values}" for key, values in POINTS.items()), *FIXED]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        python = rival_environment(Path(os.environ.get("VENV", work / "environment")))
        make_rival(work)
        ours = [sys.executable, ROOT / "src" / "train.py"]
        workers = [*more, f"hydra.sweeper.workers={WORKERS}"]
        theirs = [python, HERE / "rival.py", work / "conf"]
        runs: list[tuple[tuple[float, float], ...]] = []
        for index in range(repeats):
            folder = work / str(index)
            apart = {"PYTHONPATH": str(work / "source"), "PYTHONWARNINGS": "ignore"}
            runs.append(
                (
                    timed(theirs, more, folder / "theirs", **apart),
                    timed(ours, workers, folder / "ours"),
                    timed(ours, [*workers, *ASHA], folder / "asha"),
                )
            )
    seconds = [[run[which][0] for run in runs] for which in range(3)]
    print_ratio("hydra-optuna-sweeper / sinesweep", seconds[0], seconds[1], "s")
    print_ratio("hydra-optuna-sweeper / sinesweep with ASHA", seconds[0], seconds[2], "s")
    for name, which in (("hydra-optuna-sweeper", 0), ("sinesweep", 1), ("with ASHA", 2)):
        print(f"best value, {name}: {', '.join(f'{run[which][1]:.6f}' for run in runs)}")


if __name__ == "__main__":
    main()
