"""Importances of parameters in the report."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
import optuna
from sinesweep.report.importance import importances
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
for _ in range(20):
    trial = study.ask()
    study.tell(trial, trial.suggest_float("x", 0, 1) + 0 * trial.suggest_float("y", 0, 1))
found = importances(study)
assert max(found, key=found.get) == "x", found
assert "sklearn" not in sys.modules
"""


def test_importances_need_no_scikit_learn() -> None:
    """A report does not wait for an import that no picture of it needs."""
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
