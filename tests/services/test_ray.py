"""Sweeps whose workers are Ray actors: on a cluster of their own, and on one of several nodes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import VARIABLES, Nodes
from runner import BARE, SMALL, Runner
from watching import (
    calls_of,
    finish,
    folder_of,
    is_alive,
    processes_in,
    states_of,
    trials_of,
    until,
)

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("ray")]

RAY = "hydra.sweeper.backend=ray"


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.close()


def outcomes_of(folder: Path) -> list[tuple[str, str]]:
    """Return state and error of each trial as the table has them."""
    with (folder / "trials.csv").open() as file:
        return [(row["state"], row["error"]) for row in csv.DictReader(file)]


def own_clusters() -> list[Path]:
    """Return the folders of clusters that sweeps have started."""
    return list(Path("/tmp").glob("sinesweep-ray-*"))


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C in a sweep's terminal."""
    os.killpg(process.pid, signal.SIGINT)


def test_a_cluster_of_its_own(runner: Runner) -> None:
    """A sweep starts a cluster and leaves nothing of it; a killed worker costs its trial."""
    done = runner.sweep(
        "x=1,2,3,4", "misbehave=kill", "when=2", RAY, "hydra.sweeper.retries=1",
        "hydra.sweeper.max_failure_rate=1.0",
    )  # fmt: skip
    assert done.code == 0, done.err
    folder = folder_of(runner)
    failed = [error for state, error in outcomes_of(folder) if state == "FAIL"]
    assert failed == ["the actor on the Ray node 127.0.0.1 was killed (out of memory?)"] * 2
    assert states_of(folder).count("COMPLETE") == 3
    assert not own_clusters()
    assert not list(folder.glob(".shared*"))


def test_slots(runner: Runner) -> None:
    """An actor trains several trials together; their form is a module of the command's folder."""
    done = runner.sweep(
        "x=1,2,3,4", RAY, "hydra.sweeper.slots=2", "hydra.sweeper.fused=rounds", "steps=2"
    )
    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 4
    assert (runner.folder / "rounds.txt").exists()


def test_interrupted(runner: Runner) -> None:
    """Ctrl-C in the terminal stops the trials, and the same command goes on with them."""
    command = ["x=1,2,3", RAY, "gate=gate"]
    process = runner.start_sweep(*command)
    until(lambda: calls_of(runner.folder))
    interrupt(process)
    code, _, err = finish(process)
    assert code == 130, err
    assert "COMPLETE" not in states_of(folder_of(runner))
    (runner.folder / "gate").touch()
    done = runner.sweep(*command)
    assert done.code == 0, done.err
    assert states_of(folder_of(runner)).count("COMPLETE") == 3


def test_killed(runner: Runner) -> None:
    """A sweep that is killed leaves no process of its cluster."""
    process = runner.start_sweep("x=1,2", RAY, "gate=gate")
    until(lambda: len(calls_of(runner.folder)) == 2)
    started = processes_in(process.pid)
    assert {pid for *_, pid in calls_of(runner.folder)} <= set(started)
    process.kill()
    finish(process)
    until(lambda: not any(map(is_alive, started)))
    until(lambda: not own_clusters())


def test_nodes_die_and_join(runner: Runner, nodes: Nodes) -> None:
    """Trials of a node that dies are run again, and a node that joins is used.

    A worker that waits for room holds no trial.
    """
    second = nodes.add()
    process = runner.start_sweep(
        "x=1,2,3,4", RAY, f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.workers=3",
        "hydra.sweeper.retries=1", "gate=gate", **VARIABLES,
    )  # fmt: skip
    until(lambda: len(calls_of(runner.folder)) == 2)
    nodes.kill(second)
    folder = folder_of(runner)
    until(lambda: "FAIL" in states_of(folder))
    assert len(calls_of(runner.folder)) == 2  # one is waiting for room
    nodes.add()
    until(lambda: len(calls_of(runner.folder)) == 3)
    (runner.folder / "gate").touch()
    code, _, err = finish(process)
    assert code == 0, err
    assert "the Ray cluster has room for 2 of 3 workers" in err
    states = outcomes_of(folder)
    (failed,) = [error for state, error in states if state == "FAIL"]
    assert failed == "the Ray node 127.0.0.1 died, or is not reached any more"
    assert states_of(folder).count("COMPLETE") == 4
    assert len({pid for *_, pid in calls_of(runner.folder)}) >= 3


def test_a_node_without_the_folder_ends_the_sweep(runner: Runner, nodes: Nodes) -> None:
    """A worker that does not see the sweep's folder is no failure of trial after trial."""
    process = runner.start_sweep(
        "x=1,2,3", RAY, f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.retries=1",
        "gate=gate", "misbehave=kill", "when=1", **VARIABLES,
    )  # fmt: skip
    until(lambda: calls_of(runner.folder))
    folder = folder_of(runner)
    for marker in folder.glob(".shared*"):
        marker.unlink()
    (runner.folder / "gate").touch()
    code, _, err = finish(process)
    assert code == 1, err
    assert "the sweep's folder must be on a file system that all nodes of the cluster share" in err
    assert states_of(folder) == ["FAIL"]


def test_resources_that_no_node_has(runner: Runner, nodes: Nodes) -> None:
    """A worker waits for a node that has what it takes; Ctrl-C ends the wait."""
    process = runner.start_sweep(
        "x=1,2", RAY, f"hydra.sweeper.ray.address={nodes.address}",
        "hydra.sweeper.ray.resources={big: 1}", **VARIABLES,
    )  # fmt: skip
    until(
        lambda: (runner.folder / "multirun").exists() and (folder_of(runner) / ".shared").exists()
    )
    interrupt(process)
    code, _, err = finish(process)
    assert code == 130, err
    assert "no node of the Ray cluster has what a worker takes (CPU: 1, big: 1)" in err
    assert not calls_of(runner.folder)


def test_the_reference_task(tmp_path: Path) -> None:
    """A sweep of the reference task comes to the same trials as on local workers."""
    rows = []
    for name, backend in (("local", ()), ("ray", (RAY,))):
        (tmp_path / name).mkdir()
        runner = Runner(tmp_path / name)
        done = runner.train(
            "-m", "sweeps=depth_width", *SMALL, *BARE, "trainer.max_epochs=1",
            "hydra.sweeper.n_trials=4", "hydra.sweeper.workers=1", "hydra.sweeper.sampler.seed=0",
            *backend,
        )  # fmt: skip
        assert done.code == 0, done.err
        folder = tmp_path / name / "mlruns" / "sweeps" / "depth_width"
        rows.append([(t.params, t.values, t.state) for t in trials_of(folder)])
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4
