"""Configurations written for hydra-optuna-sweeper, with nothing but the sweeper's name changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plain_app import App

pytestmark = pytest.mark.compat

_STUDY = """
import json, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = {storage}
study = optuna.load_study(study_name={name!r}, storage=storage)
print(json.dumps([[t.state.name, t.params, t.values] for t in study.trials]))
"""
_JOURNAL = (
    "optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("
    "'multirun/two/study.journal'))"
)


@pytest.fixture
def renamed(app: App) -> App:
    """Return the application with the sweeper's name changed in its old configurations."""
    for path in (app.source / "conf").glob("existing*.yaml"):
        text = path.read_text()
        assert text.count("sweeper: optuna") == 1
        path.write_text(text.replace("sweeper: optuna", "sweeper: sinesweep"))
    return app


def trials(app: App, name: str, storage: str) -> list[tuple[str, dict[str, float], list[float]]]:
    """Return state, parameters and values of a study's trials."""
    done = app.evaluate(_STUDY.format(name=name, storage=storage))
    return json.loads(done.stdout)


def test_single_objective_config(renamed: App):
    """Sampler, seed, study, storage, budget, jobs, params custom search space are honoured."""
    done = renamed.run("-m", "--config-name", "existing")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    found = trials(renamed, "heights", "'sqlite:///heights.db'")
    assert len(found) == 12
    assert {state for state, _, _ in found} == {"COMPLETE"}
    for _, params, (height,) in found:
        middle = {"bowl": 2.0, "plain": 0.0}[str(params["shape"])]
        assert height == pytest.approx((params["x"] - middle) ** 2 + params["y"], rel=1e-12)
        assert 0 <= params["y"] <= params["x"]
        assert params["steps"] in (1, 2, 3)
        assert 1e-4 <= params["rate"] <= 1e-1


def test_failures_beyond_the_rate_end_the_sweep(renamed: App):
    """max_failure_rate is a share of n_trials, as it was; the exit code says so."""
    done = renamed.run(
        "-m", "--config-name", "existing", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1",
        "hydra.sweeper.params.x='choice(1.0)'", "fails_at=1.0",
    )  # fmt: skip
    assert done.returncode == 1
    found = trials(renamed, "heights", "'sqlite:///heights.db'")
    assert [state for state, _, _ in found] == ["FAIL"] * 4  # 4 of 6 are more than half


def test_multi_objective_config(renamed: App):
    """A list of directions, nsgaii and its arguments are honoured."""
    done = renamed.run("-m", "--config-name", "existing_two")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    found = trials(renamed, "two", _JOURNAL)
    assert len(found) == 8
    for _, params, (height, x) in found:
        assert x == params["x"]
        assert height == (x - 2) ** 2 + params["y"]
    (kept,) = Path(renamed.folder / "multirun").glob("two/sweep.yaml")
    assert "- minimize\n  - maximize" in kept.read_text()
