"""Whole sweeps of the reference task with slots, and what MLflow says of them."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from runner import ROOT, SMALL, Runner, environment
from watching import trials_of, until

from sinesweep.sweep.entry import DROPPED
from sinesweep.sweep.outcome import FILE_NAME
from sinesweep.tracking import record
from sinesweep.tracking.sweep_delivery import PARENT_TAG

SWEEP = (
    "-m",
    "model.layers=1,2",
    "optimizer.lr=0.01,1e-12",
    *SMALL,
    "trainer.max_epochs=4",
    "artifacts.model=true",
    "hydra.sweeper.workers=1",
    "hydra.sweeper.report=false",
    # By the value alone, whoever else has ended: those that learn are below 0.505 by then.
    "hydra.sweeper.pruner={_target_: optuna.pruners.ThresholdPruner, upper: 0.505, "
    "n_warmup_steps: 2}",
    "tracking.experiment=slots",
)
SLOTS = "hydra.sweeper.slots=2"
PER_EPOCH = ("train/mae", "val/mae", "reference/val_mae")

pytestmark = pytest.mark.slow


def client_of(folder: Path) -> MlflowClient:
    """Return the client of an mlruns folder's tracker."""
    return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")


def trials_in_tracker(folder: Path, name: str) -> dict[int, Run]:
    """Return the nested runs of a sweep by their trials' numbers, of which no two are alike."""
    client = client_of(folder)
    experiment = client.get_experiment_by_name("slots")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    (parent,) = (r for r in found if PARENT_TAG not in r.data.tags and r.info.run_name == name)
    nested = [r for r in found if r.data.tags.get(PARENT_TAG) == parent.info.run_id]
    by_number = {int(run.data.tags["sinesweep.trial"]): run for run in nested}
    assert len(by_number) == len(nested)
    return by_number


def states(folder: Path, name: str) -> list[tuple[str, str, str]]:
    """Return each trial's state in the study, and its status and state in the tracker."""
    # One that was proposed and never begun has no run.
    study = [
        trial
        for trial in trials_of(folder / "mlruns" / "sweeps" / name)
        if trial.user_attrs.get("sinesweep.outcome") != DROPPED
    ]
    runs = trials_in_tracker(folder, name)
    assert sorted(runs) == [trial.number for trial in study]
    return [
        (t.state.name, runs[t.number].info.status, runs[t.number].data.tags[record.STATE_TAG])
        for t in study
    ]


def artifacts_of(client: MlflowClient, run: Run, path: str | None = None) -> list[str]:
    """Return the paths of a run's files."""
    found: list[str] = []
    for each in client.list_artifacts(run.info.run_id, path):
        found += artifacts_of(client, run, each.path) if each.is_dir else [each.path]
    return sorted(found)


def history(client: MlflowClient, run: Run, name: str) -> dict[int, float]:
    """Return a metric's value at each step, of which there is one."""
    points = client.get_metric_history(run.info.run_id, name)
    values = {point.step: point.value for point in points}
    assert len(values) == len(points)
    return values


def params_of(run: Run) -> dict[str, str]:
    """Return what a run was made of, but for the sweep's name and folders."""
    return {
        k: v for k, v in run.data.params.items() if not k.startswith("tracking") and k != "together"
    }


def tag_names(run: Run) -> set[str]:
    """Return the tags that say what a run is."""
    return set(run.data.tags)


def test_a_trial_is_tracked_as_one_that_was_trained_alone(runner: Runner) -> None:
    """Run by run: states, params, metrics with their steps, files and tags; and it can be rerun."""
    secret = {"MLFLOW_TRACKING_PASSWORD": "hunter2"}
    for name, more in {"alone": (), "together": (SLOTS,)}.items():
        done = runner.train(*SWEEP, f"hydra.sweeper.study_name={name}", *more, **secret)
        assert done.code == 0, done.err

    expected = states(runner.folder, "alone")
    complete, pruned = ("COMPLETE", "FINISHED", "COMPLETE"), ("PRUNED", "KILLED", "PRUNED")
    assert expected == [complete, pruned, complete, pruned]
    assert states(runner.folder, "together") == expected
    client = client_of(runner.folder)
    alone = trials_in_tracker(runner.folder, "alone")
    together = trials_in_tracker(runner.folder, "together")
    for number, run in together.items():
        _assert_alike(client, run, alone[number])
    folder = runner.folder / "mlruns" / "sweeps" / "together"
    logs = [path.read_text() for path in folder.rglob("*.log")]
    assert (folder / "together.log").exists()
    assert not any("hunter2" in log for log in logs)

    best = min(number for number, run in together.items() if run.info.status == "FINISHED")
    done = runner.sinesweep("rerun", "together", str(best))
    assert f"trial {best} of together, again" in done.out, done.err
    assert "equal bit for bit" in done.out
    assert done.code == 0


def _assert_alike(client: MlflowClient, run: Run, alone: Run) -> None:
    assert params_of(run) == params_of(alone)
    assert tag_names(run) == tag_names(alone)
    assert set(run.data.metrics) == set(alone.data.metrics)
    for name in run.data.metrics:
        values, expected = history(client, run, name), history(client, alone, name)
        assert list(values) == list(expected), name
        if not _is_of_time(name):
            # A batched product sums in another order, and 32 bits keep some seven digits.
            assert values == pytest.approx(expected, rel=1e-3, abs=1e-5), name
    assert artifacts_of(client, run) == artifacts_of(client, alone)
    if run.info.status == "FINISHED":
        assert any(path.startswith("figures/") for path in artifacts_of(client, run))
        assert client.get_run(run.info.run_id).outputs.model_outputs
    for name in PER_EPOCH:
        assert next(iter(history(client, run, name))) == 0


def _is_of_time(name: str) -> bool:
    return "second" in name or "time" in name or name.startswith("system/")


def test_a_killed_sweep_is_continued(runner: Runner) -> None:
    """After SIGKILL the same command runs again what ran; study and tracker agree on each trial.

    Whoever had reported an epoch after the first has left the best of them.
    """
    command = [
        *SWEEP, SLOTS, "hydra.sweeper.study_name=killed", "artifacts.model=false",
        "checkpoint_interval=0",
    ]  # fmt: skip
    process = _start(runner.folder, *command)
    trials = runner.folder / "mlruns" / "sweeps" / "killed" / "trials"
    until(lambda: list(trials.glob(f"*/{FILE_NAME}")) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    begun = [folder for folder in trials.iterdir() if record.metric_history(folder)]
    further = [f for f in begun if len(record.metric_history(f).get("val/mae", ())) > 1]
    assert further
    assert all((folder / "checkpoints" / "best.ckpt").exists() for folder in further)
    done = runner.train(*command)
    assert done.code == 0, done.err

    told = states(runner.folder, "killed")
    assert {each[1:] for each in told} <= {
        ("FINISHED", "COMPLETE"), ("KILLED", "PRUNED"), ("KILLED", "INTERRUPTED"),
    }  # fmt: skip
    with (trials.parent / "trials.csv").open(newline="") as file:
        ended = [row for row in csv.DictReader(file) if row["state"] in ("COMPLETE", "PRUNED")]
    points = [(row["params.model.layers"], row["params.optimizer.lr"]) for row in ended]
    assert len(points) == len(set(points)) == 4


def _start(folder: Path, *command: str) -> subprocess.Popen[Any]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "src" / "train.py"), *command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
