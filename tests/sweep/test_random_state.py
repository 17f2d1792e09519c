"""Random numbers of trials whose function sets no seed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runner import Runner

from sinesweep.sweep.random_state import seed_generators, trial_seed

APPLICATION = """
import random

import hydra
import numpy as np


@hydra.main(config_path=None, version_base="1.3")
def main(cfg):
    print("drawn", random.random(), np.random.rand())
    random.seed(1)
    np.random.seed(1)
    return cfg.x


if __name__ == "__main__":
    main()
"""


def _draws() -> tuple[float, float]:
    return random.random(), np.random.rand()  # noqa: NPY002 # trials use it


def test_same_trial_has_the_same_numbers() -> None:
    """What was drawn before a trial does not matter."""
    seed_generators(trial_seed("mine", 3, 0))
    first = _draws()
    seed_generators(trial_seed("mine", 3, 0))
    assert _draws() == first


def test_every_evaluation_has_numbers_of_its_own() -> None:
    """Sweeps, trials, and evaluations of a trial under several seeds draw different numbers."""
    found: set[tuple[float, float]] = set()
    for path in (("a", 0, 0), ("b", 0, 0), ("a", 1, 0), ("a", 0, 1), ("a", 1, 1), ("a", 11, 0)):
        seed_generators(trial_seed(*path))
        found.add(_draws())
    assert len({python for python, _ in found}) == 6
    assert len({numpy for _, numpy in found}) == 6


def _printed(code: str) -> str:
    code = f"import sys; from sinesweep.sweep.random_state import seed_generators; {code}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "before", ["pass", "sys.modules['torch'] = None", "sys.modules['torch'] = type(sys)('torch')"]
)
def test_torch_is_not_imported(before: str) -> None:
    """Where the application does not use torch, or has a stand-in for it, nothing is seeded."""
    code = f"{before}; seed_generators(1); print(hasattr(sys.modules.get('torch'), 'rand'))"
    assert _printed(code) == "False"


@pytest.mark.slow
def test_torch_is_seeded() -> None:
    """The generator of torch starts from the trial's seed, too."""
    assert _printed("import torch; seed_generators(7); print(torch.initial_seed())") == "7"


def _drawn(folder: Path, *overrides: str) -> list[str]:
    """Sweep the application; return what its trials have drawn, in the order of their numbers."""
    folder.mkdir()
    (folder / "app.py").write_text(APPLICATION)
    arguments = ["app.py", "-m", "hydra/sweeper=sinesweep", "hydra.sweeper.study_name=noise"]
    arguments += ["hydra.sweeper.report=false", *overrides]
    done = Runner(folder).evaluate(
        f"import runpy, sys; sys.argv = {arguments}; runpy.run_path('app.py', run_name='__main__')"
    )
    assert done.code == 0, done.err
    logs = sorted((folder / "multirun" / "noise" / "trials").glob("*/trial.log"))
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return [line for line in lines if line.startswith("drawn")]


@pytest.mark.slow
def test_unseeded_trials_differ_and_can_be_repeated(tmp_path: Path) -> None:
    """The noise of a trial depends neither on its worker nor on the trials before it."""
    sweep = ("+x=range(0,4)", "+seed=0", "hydra.sweeper.repeats=2")
    alone = _drawn(tmp_path / "alone", *sweep, "hydra.sweeper.workers=1")
    shared = _drawn(tmp_path / "shared", *sweep, "hydra.sweeper.workers=3")
    assert alone == shared
    numbers = [number for line in alone for number in line.split()[1:]]
    assert len(numbers) == len(set(numbers)) == 16
