"""A plain Hydra function, swept where there is no torch, Lightning or MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plain_app import App

pytestmark = pytest.mark.compat


def sweep_folder(app: App) -> Path:
    """Return the folder of the only sweep."""
    (folder,) = (app.folder / "multirun").iterdir()
    return folder


def outcomes(folder: Path) -> list[dict[str, object]]:
    """Return what became of each trial, by number."""
    count = len(list((folder / "trials").iterdir()))
    files = [folder / "trials" / str(number) / "outcome.json" for number in range(count)]
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.parametrize("module", ["torch", "pytorch_lightning", "mlflow"])
def test_environment_has_none_of_the_heavy_packages(app: App, module: str):
    """What follows is run without them."""
    assert "ModuleNotFoundError" in app.evaluate(f"import {module}").stderr


def test_plugin_is_found_once(app: App):
    """The namespace package and, from Hydra 1.4, the entry point lead to one class."""
    done = app.evaluate(
        "from hydra.core.plugins import Plugins\n"
        "from hydra.plugins.sweeper import Sweeper\n"
        "print(sorted(c.__name__ for c in Plugins.instance().discover(Sweeper)))"
    )
    # The third says what to change in a file that was written for hydra-optuna-sweeper.
    name = "hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
    assert done.stdout.strip() == str(sorted(["BasicSweeper", "SinesweepSweeper", name]))
    assert done.stderr == ""


def test_every_combination_is_evaluated(app: App):
    """A sweep of lists and a config group returns the function's values in order, and no warning.

    The application is run from a folder that is not its own.
    """
    done = app.run("-m", "x=1,2,3", "shape=bowl,plain")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    values = [outcome["values"] for outcome in outcomes(sweep_folder(app))]
    assert values == [[1.0], [1.0], [0.0], [4.0], [1.0], [9.0]]


def test_failed_trial_costs_only_itself(app: App):
    """A function that raises is a failed trial; the others are evaluated."""
    done = app.run("-m", "x=1,2,3", "fails_at=2")
    found = outcomes(sweep_folder(app))
    assert done.returncode == 0, done.stderr
    assert [outcome["kind"] for outcome in found] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert found[1]["error"] == "RuntimeError: no height here"


def test_continued_sweep_is_the_uninterrupted_one(app: App):
    """Three trials and then three more are the six that one command makes; none is run again."""
    sampled = ["-m", "x=interval(0,4)", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.workers=1"]
    whole = [*sampled, "hydra.sweeper.n_trials=6", "hydra.sweeper.root=whole"]
    assert app.run(*sampled, "hydra.sweeper.n_trials=3").returncode == 0
    first = sweep_folder(app) / "trials" / "0" / "outcome.json"
    written = first.stat().st_mtime_ns
    assert app.run(*sampled, "hydra.sweeper.n_trials=6").returncode == 0
    assert app.run(*whole).returncode == 0
    assert first.stat().st_mtime_ns == written
    (uninterrupted,) = (app.folder / "whole").iterdir()
    assert len(outcomes(uninterrupted)) == 6
    assert outcomes(sweep_folder(app)) == outcomes(uninterrupted)


def test_function_that_reports_is_pruned(app: App):
    """A reporting trial that is worse than those before it is given up."""
    done = app.run(
        "-m", "x=2,2.1,2.2,2.3,2.4,9", "reports=3",
        "hydra/sweeper/pruner=median", "hydra.sweeper.workers=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [o["kind"] for o in outcomes(sweep_folder(app))][-1] == "PRUNED"


def test_wrong_sampler_argument_is_refused(app: App):
    """A misspelt argument of a sampler costs one line and no trial."""
    done = app.run("-m", "x=1,2", "hydra.sweeper.n_trials=2", "+hydra.sweeper.sampler.sede=1")
    assert done.returncode == 2
    assert "hydra.sweeper.sampler: optuna.samplers.TPESampler" in done.stderr
    assert "sede" in done.stderr
    assert not (app.folder / "multirun").exists()
