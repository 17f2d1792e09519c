"""Whole sweeps of the reference task, and what MLflow then says of them."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from runner import BARE, ROOT, SMALL, Runner, environment
from watching import states_of, sweep_folder, until

from sinesweep.files import take_lock
from sinesweep.tracking import record
from sinesweep.tracking.delivery import LOCK_FILE
from sinesweep.tracking.sweep_delivery import PARENT_TAG

SWEEP = (
    "-m",
    "model.layers=1,2",
    *SMALL,
    *BARE,
    "hydra.sweeper.workers=2",
    "hydra.sweeper.report=false",
)
FIGURES = {"forecasts.png", "error_map.png", "learning_curves.png"}
ENDLESS = ("trainer.max_epochs=100000",)  # the test ends it

pytestmark = pytest.mark.slow


def client_of(folder: Path) -> MlflowClient:
    """Return the client of an mlruns folder's tracker."""
    return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")


def runs_of(folder: Path) -> tuple[Run, dict[str, Run]]:
    """Return the only parent run, and the nested ones by their names, of which no two are alike."""
    client = client_of(folder)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments)
    (parent,) = (run for run in found if PARENT_TAG not in run.data.tags)
    nested = {run.info.run_name or "": run for run in found if PARENT_TAG in run.data.tags}
    assert len(nested) == len(found) - 1
    assert {run.data.tags[PARENT_TAG] for run in nested.values()} == {parent.info.run_id}
    return parent, dict(sorted(nested.items()))


def told(run: Run) -> tuple[str, str]:
    """Return a run's status, and its state in this project's words."""
    return run.info.status, run.data.tags[record.STATE_TAG]


def history(folder: Path, run: Run, name: str) -> dict[int, float]:
    """Return a metric's value at each step, of which there is one."""
    points = client_of(folder).get_metric_history(run.info.run_id, name)
    values = {point.step: point.value for point in points}
    assert len(values) == len(points)
    return values


@pytest.fixture
def training(runner: Runner) -> Iterator[subprocess.Popen[str]]:
    """A sweep that does not end by itself, both of whose trials have told an epoch."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "src" / "train.py"), *SWEEP, *ENDLESS],
        cwd=runner.folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def have_begun() -> bool:
        assert process.poll() is None, process.communicate()
        trials = (runner.folder / "mlruns").glob("sweeps/*/trials/*")
        return sum("val/mae" in record.metric_history(trial) for trial in trials) == 2

    try:
        until(have_begun)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def test_a_sweep_is_a_parent_with_a_run_for_each_trial(runner: Runner) -> None:
    """Each trial's run has its params, its metrics at each epoch and its files."""
    done = runner.train(*SWEEP)
    assert done.code == 0, done.err

    parent, nested = runs_of(runner.folder)
    assert told(parent) == ("FINISHED", "COMPLETE")
    assert parent.data.metrics["trials/complete"] == 2
    assert parent.data.params["space.model.layers"] == "1,2"
    assert list(nested) == ["trial-00000", "trial-00001"]
    assert [told(run) for run in nested.values()] == [("FINISHED", "COMPLETE")] * 2
    assert [run.data.params["model.layers"] for run in nested.values()] == ["1", "2"]
    for run in nested.values():
        assert run.data.tags["sinesweep.sweep"] == parent.info.run_name
        for name in ("train/mae", "val/mae", "reference/val_mae"):
            assert list(history(runner.folder, run, name)) == [0, 1, 2]
        assert "test/mae" in run.data.metrics
    table = client_of(runner.folder).download_artifacts(parent.info.run_id, "trials.csv")
    with Path(table).open(newline="") as file:
        run_ids = [row["run_id"] for row in csv.DictReader(file)]
    assert run_ids == [run.info.run_id for run in nested.values()]
    values = [history(runner.folder, run, "val/mae").values() for run in nested.values()]
    assert parent.data.metrics["best_value"] == min(min(each) for each in values)


def test_a_pruned_trial_keeps_its_metrics(runner: Runner) -> None:
    """A trial that learns nothing is given up at once, beside one that learns."""
    done = runner.train(
        "-m", "optimizer.lr=0.01,1e-12", *SMALL, *BARE, "hydra.sweeper.workers=1",
        "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1",
    )  # fmt: skip
    assert done.code == 0, done.err

    parent, nested = runs_of(runner.folder)
    assert told(nested["trial-00000"]) == ("FINISHED", "COMPLETE")
    pruned = nested["trial-00001"]
    assert told(pruned) == ("KILLED", "PRUNED")
    assert list(history(runner.folder, pruned, "val/mae")) == [0]
    assert record.ERROR_TAG not in pruned.data.tags
    assert parent.data.metrics["trials/pruned"] == 1
    assert states_of(sweep_folder(runner.folder / "mlruns" / "sweeps")) == ["COMPLETE", "PRUNED"]


def test_figures_and_model_for_the_best_alone(runner: Runner) -> None:
    """The other trial keeps its checkpoint, says why, and gets them when they are asked for."""
    done = runner.train(
        "-m", "optimizer.lr=0.01,1e-12", *SMALL, "artifacts.trials=1", "hydra.sweeper.workers=1",
        "hydra.sweeper.study_name=picky", "hydra.sweeper.report=false",
    )  # fmt: skip
    assert done.code == 0, done.err

    _, nested = runs_of(runner.folder)
    best, other = nested["trial-00000"], nested["trial-00001"]
    assert artifacts(runner.folder, best) == {"metrics.csv", "best.ckpt", *FIGURES}
    assert artifacts(runner.folder, other) == {"metrics.csv", "best.ckpt"}
    assert "sinesweep.artifacts" not in best.data.tags
    assert other.data.tags["sinesweep.artifacts"] == "not among the best 1"
    assert [bool(run.outputs and run.outputs.model_outputs) for run in (best, other)] == [
        True,
        False,
    ]

    for command in (("promote", "--run", "picky/1"), ("rerun", "picky", "1")):
        done = runner.sinesweep(*command)
        assert done.code == 0, done.err
    again = runner.run_folder()
    assert {path.name for path in (again / "figures").iterdir()} == FIGURES


def artifacts(folder: Path, run: Run) -> set[str]:
    """Return the names of a trial's files in the tracker, but for its configuration's."""
    client = client_of(folder)
    listed = [
        client.list_artifacts(run.info.run_id, path) for path in (None, "figures", "checkpoints")
    ]
    names = {Path(item.path).name for items in listed for item in items if not item.is_dir}
    return names - {"config.yaml"}


def test_an_interrupted_sweep_is_closed(runner: Runner, training: subprocess.Popen[str]) -> None:
    """Ctrl-C ends the trials at their next epoch; nothing has failed."""
    training.send_signal(signal.SIGINT)
    out, _ = training.communicate(timeout=60)

    assert training.returncode == 130, out
    assert_closed(runner.folder)


def test_a_killed_sweep_is_closed_by_an_audit(
    runner: Runner, training: subprocess.Popen[str]
) -> None:
    """After SIGKILL of the command nothing is left RUNNING, neither in study nor in tracker."""
    training.kill()
    training.communicate(timeout=60)
    folder = sweep_folder(runner.folder / "mlruns" / "sweeps")
    until(lambda: _is_free(folder / LOCK_FILE))
    done = runner.sinesweep("audit")

    assert done.code == 0, done.err
    assert_closed(runner.folder)
    assert runner.sinesweep("audit").out == "every run is as the tracker says\n"


def assert_closed(folder: Path) -> None:
    """Sweep and trials were interrupted, in study and tracker, and kept their metrics."""
    parent, nested = runs_of(folder)
    assert told(parent) == ("KILLED", "INTERRUPTED")
    assert [told(run) for run in nested.values()] == [("KILLED", "INTERRUPTED")] * 2
    assert all("val/mae" in run.data.metrics for run in nested.values())
    assert states_of(sweep_folder(folder / "mlruns" / "sweeps")) == ["FAIL", "FAIL"]


def _is_free(lock: Path) -> bool:
    taken = take_lock(lock)
    if taken is not None:
        taken.close()
    return taken is not None
