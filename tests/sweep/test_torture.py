"""A sweep that is killed again and again ends as one that was left alone."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import FrozenTrial, TrialState
from runner import Runner
from watching import calls_of, is_alive, processes_in, trials_of, until

TRIALS = 60
KILLS = 20
SWEEP = (
    "x=interval(0,9)",
    "y=interval(0,9)",
    "steps=10",
    "pause=0.01",
    f"hydra.sweeper.n_trials={TRIALS}",
    "hydra.sweeper.sampler.seed=1",
    "hydra.sweeper.workers=2",
    "hydra.sweeper.tracking={backend:mlflow,root:mlruns,experiment:torture}",
    "hydra.sweeper.root=mlruns/sweeps",
    "hydra.sweeper.study_name=torture",
)

SLOTS = ("hydra.sweeper.slots=3", "hydra.sweeper.fused=rounds")

pytestmark = pytest.mark.torture
alone_and_together = pytest.mark.parametrize("more", [(), SLOTS], ids=["alone", "together"])


@alone_and_together
def test_killing_the_controller_at_random_moments_loses_nothing(
    runner: Runner, more: tuple[str, ...]
) -> None:
    """Twenty times SIGKILL: every point once, one parent, nothing RUNNING, no process left."""
    moments = random.Random(0)  # of a test
    for _ in range(KILLS):
        process = runner.start_sweep(*SWEEP, *more)
        wanted = len(calls_of(runner.folder)) + moments.randrange(4)
        until(lambda: len(calls_of(runner.folder)) >= wanted or process.poll() is not None)  # noqa: B023 # at once
        time.sleep(moments.uniform(0, 0.3))  # any moment will do
        children = processes_in(process.pid)
        process.kill()
        process.communicate(timeout=60)
        until(lambda: not any(is_alive(pid) for pid in children if not _is_writer(pid)))  # noqa: B023
    finish(runner, *more)

    trials = trials_of(runner.folder / "mlruns" / "sweeps" / "torture")
    assert_whole(runner, trials)


@alone_and_together
def test_killing_workers_at_random_moments_loses_nothing(
    runner: Runner, more: tuple[str, ...]
) -> None:
    """Twenty times SIGKILL of a worker: each costs its trials, which are run again."""
    moments = random.Random(1)  # of a test
    process = runner.start_sweep(*SWEEP, "hydra.sweeper.retries=100", *more)
    killed = 0
    while killed < KILLS:
        wanted = len(calls_of(runner.folder)) + 1
        until(lambda: len(calls_of(runner.folder)) >= wanted or process.poll() is not None)  # noqa: B023
        assert process.poll() is None, process.communicate()
        time.sleep(moments.uniform(0, 0.05))
        victim = calls_of(runner.folder)[-1][3]
        with suppress(ProcessLookupError):
            subprocess.run(["kill", "-KILL", str(victim)], check=True)
            killed += 1
    _, err = process.communicate(timeout=120)

    assert process.returncode == 0, err
    trials = trials_of(runner.folder / "mlruns" / "sweeps" / "torture")
    outcomes = Counter(trial.user_attrs.get("sinesweep.outcome") for trial in trials)
    lost = outcomes["RETRIED"] + outcomes["INTERRUPTED"]  # alone, or with others
    assert lost > KILLS / 2  # some fell between two trials
    assert_whole(runner, trials)


def finish(runner: Runner, *more: str) -> None:
    """Let the sweep end."""
    done = runner.sweep(*SWEEP, *more)
    assert done.code == 0, done.err


def assert_whole(runner: Runner, trials: list[FrozenTrial]) -> None:
    """Every trial of the sweep is there once, in study, tracker and folders alike."""
    assert not [trial.number for trial in trials if trial.state == TrialState.RUNNING]
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(complete) == TRIALS
    points = [(trial.params["x"], trial.params["y"]) for trial in complete]
    assert len(set(points)) == TRIALS
    for trial in complete:
        x, y = trial.params["x"], trial.params["y"]
        assert trial.value == pytest.approx((x - 1) ** 2 + y)
    assert_tracked(f"sqlite:///{runner.folder / 'mlruns' / 'mlflow.db'}", trials)


def assert_tracked(uri: str, trials: list[FrozenTrial]) -> None:
    """The tracker has one parent, and a run for each trial that began, as the study has it."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("torture")
    assert experiment is not None
    runs: list[Run] = list(client.search_runs([experiment.experiment_id], max_results=5000))
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parents[0].info.run_id}
    numbers = [int(run.data.tags["sinesweep.trial"]) for run in nested]
    assert len(numbers) == len(set(numbers))
    status = {n: run.info.status for n, run in zip(numbers, nested, strict=True)}
    expected = {trial.number: _status(trial) for trial in trials if _began(trial)}
    assert status == expected
    directories = [run.data.tags["sinesweep.directory"] for run in nested]
    assert len(directories) == len(set(directories))


def _began(trial: FrozenTrial) -> bool:
    return trial.user_attrs.get("sinesweep.outcome") != "DROPPED"


def _status(trial: FrozenTrial) -> str:
    if trial.state == TrialState.COMPLETE:
        return "FINISHED"
    return {"INTERRUPTED": "KILLED"}.get(trial.user_attrs.get("sinesweep.outcome", ""), "FAILED")


def _is_writer(pid: int) -> bool:
    """Whether it is the process that sends records, which ends by itself when all is sent."""
    with suppress(FileNotFoundError, ProcessLookupError), Path(f"/proc/{pid}/cmdline").open() as f:
        return "sinesweep.tracking.writer" in f.read()
    return False
