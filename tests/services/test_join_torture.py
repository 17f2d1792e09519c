"""Processes that run one sweep together are killed again and again: it ends as one left alone."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState
from participants import NAME, NOBODY_DIES, Participant, sweep, trials_of
from runner import BARE, ROOT, Runner
from servers import Postgres, TrackingServer
from sweep.test_torture import assert_tracked
from told import all_runs, assert_told
from watching import outcome_of, until

from sinesweep.tracking import record

pytestmark = pytest.mark.services

TRAIN = str(ROOT / "src" / "train.py")
TRIALS = 40
KILLS = 15
COMMAND = (
    "x=interval(0,9)", "y=interval(0,9)", "steps=10", "pause=0.02",
    f"hydra.sweeper.n_trials={TRIALS}", "hydra.sweeper.sampler.seed=1", "hydra.sweeper.workers=2",
    "hydra.sweeper.root=mlruns/sweeps",
)  # fmt: skip


def test_killing_participants_at_random_moments_loses_nothing(
    tmp_path: Path, database: str, postgres: Postgres
) -> None:
    """Fifteen times SIGKILL: each trial once, one parent, nothing RUNNING, no run doubled."""
    tracker = f"{database}_tracker"
    postgres.create(tracker.rpartition("/")[2])
    to = f"{{backend:mlflow,uri:'{tracker}',root:mlruns,experiment:torture}}"
    # two share a file system, and one has its own
    machines = [tmp_path / name for name in ("shared", "shared", "alone")]
    three = []
    for folder in machines:
        folder.mkdir(exist_ok=True)
        three.append(Participant(folder, sweep(database, f"hydra.sweeper.tracking={to}", *COMMAND)))
    moments = random.Random(0)  # of a test
    for _ in range(KILLS):
        wanted = len(began(machines)) + moments.randrange(4)
        until(lambda: len(began(machines)) >= wanted or not any(map(runs, three)))  # noqa: B023
        time.sleep(moments.uniform(0, 0.3))  # any moment will do
        victim = moments.choice(three)
        victim.kill()
        victim.restart()
    for each in three:
        each.finish()

    trials = trials_of(database)
    outcomes = Counter(map(outcome_of, trials))
    assert outcomes["COMPLETE"] == TRIALS
    assert set(outcomes) <= {"COMPLETE", "INTERRUPTED", "DROPPED"}
    assert outcomes["INTERRUPTED"] > 0
    points = {(t.params["x"], t.params["y"]) for t in trials if outcome_of(t) == "COMPLETE"}
    assert len(points) == TRIALS
    assert_tracked(tracker, trials)


def test_one_of_three_is_killed_before_a_tracking_server(
    tmp_path: Path,
    database: str,
    postgres: Postgres,
    tracking_server: Callable[[str], TrackingServer],
) -> None:
    """The others run what it had; after an audit each trial is one run, and none is RUNNING."""
    store = f"{database}_tracker"
    postgres.create(store.rpartition("/")[2])
    server = tracking_server(store)
    to = f"{{backend:mlflow,uri:'{server.url}',root:mlruns,experiment:torture}}"
    total = 12
    three = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        more = (f"hydra.sweeper.tracking={to}", *COMMAND, f"hydra.sweeper.n_trials={total}")
        three.append(Participant(tmp_path / name, sweep(database, *more)))
    try:
        victim = three[0]
        until(lambda: victim.calls)
        victim.kill()
        for each in three[1:]:
            each.finish()
    finally:
        for each in three:
            each.end()
    trials = trials_of(database)
    outcomes = Counter(map(outcome_of, trials))
    assert outcomes["COMPLETE"] == total
    assert set(outcomes) <= {"COMPLETE", "INTERRUPTED", "DROPPED"}
    for each in three:
        runner = Runner(each.folder)
        done = runner.sinesweep("audit", "--uri", server.url)
        assert done.code in (0, 1), done.err  # 1: the study's password is not in its folder
        done = runner.sinesweep("sync", "--uri", server.url)
        assert done.code == 0, done.err
    assert_tracked(server.url, trials)


def test_the_reference_sweep_on_two_machines(
    tmp_path: Path,
    database: str,
    postgres: Postgres,
    tracking_server: Callable[[str], TrackingServer],
) -> None:
    """One of two is killed in mid-sweep and typed again: all is as one process alone leaves it."""
    grid = (
        "sweeps=depth_width", "model.layers=1,2", "model.width=4,8", "data.num_series=64",
        "trainer.max_epochs=2", "hydra.sweeper.report=false", *BARE,
    )  # fmt: skip
    alone = ("hydra.sweeper.workers=1", f"hydra.sweeper.study_name={NAME}", "tracking=none")
    local = Participant(tmp_path, [*alone, *grid], TRAIN)
    store = f"{database}_tracker"
    postgres.create(store.rpartition("/")[2])
    server = tracking_server(store)
    told = (f"tracking.uri={server.url}", "tracking.experiment=torture")
    command = sweep(database.replace(":hunter2@", "@"), NOBODY_DIES, *grid, *told)
    two = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = Participant(tmp_path / name, command, TRAIN, PGPASSWORD="hunter2")
        two.append(made)
    folders = [each.folder / "mlruns" / "sweeps" / NAME for each in two]
    victim = two[0]
    try:
        until(lambda: any(folders[0].glob(f"trials/*/{record.FILE_NAME}")))
        assert runs(victim)
        victim.kill()
        assert TrialState.RUNNING in (trial.state for trial in trials_of(database))
        victim.restart()
        for each in (*two, local):
            each.finish()
    finally:
        for each in (*two, local):
            each.end()
    for each in two:
        done = Runner(each.folder).sinesweep("audit", "--uri", server.url, PGPASSWORD="hunter2")
        assert done.code == 0, done.out + done.err

    trials = trials_of(database)
    complete = [trial for trial in trials if outcome_of(trial) == "COMPLETE"]
    assert Counter((t.params["model.layers"], t.params["model.width"]) for t in complete) == (
        {(layers, width): 1 for layers in (1, 2) for width in (4, 8)}
    )
    assert {outcome_of(trial) for trial in trials} <= {"COMPLETE", "INTERRUPTED", "DROPPED"}
    assert_tracked(server.url, trials)
    client = MlflowClient(server.url)
    directories = [path for folder in folders for path in folder.glob("trials/*")]
    assert len(all_runs(client)) == 1 + len(directories)
    for path in directories:
        assert_told(client, path)

    best = [best_of(each.folder / "mlruns" / "sweeps" / NAME) for each in (*two, local)]
    assert best[0] == best[1] == best[2]


def began(machines: list[Path]) -> list[str]:
    """Return a line for each call of the function, wherever."""
    files = {folder / "calls.txt" for folder in machines}
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


def best_of(folder: Path) -> tuple[list[str], float]:
    """Return the best trial's overrides but for the tracker's, and its value."""
    best = yaml.safe_load((folder / "best.yaml").read_text())
    return [each for each in best["overrides"] if not each.startswith("tracking")], best["value"]


def runs(participant: Participant) -> bool:
    """Whether it has not ended."""
    return participant.process.poll() is None
