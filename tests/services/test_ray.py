"""Sweeps whose workers are Ray actors: on a cluster of their own, and on one of several nodes."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from nodes import VARIABLES, Nodes
from runner import BARE, SMALL, Runner
from servers import wait_for
from watching import calls_of, folder_of, is_alive, processes_in, states_of, trials_of

if TYPE_CHECKING:
    from ray._private.node import Node

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("ray")]

RAY = "hydra.sweeper.backend=ray"


LIMIT = 180  # seconds: on a busy machine a cluster takes half a minute to start

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(runner: Runner) -> Iterator[Start]:
    """Start sweeps of the plain application on Ray."""
    started: list[subprocess.Popen[str]] = []

    def start(*overrides: str, **variables: str) -> subprocess.Popen[str]:
        started.append(runner.start_sweep(RAY, *overrides, **variables))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    wait_for(condition, LIMIT)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a sweep to end; return its exit code and what it said."""
    _, err = process.communicate(timeout=LIMIT)
    return process.returncode, err


def outcomes_of(folder: Path) -> list[tuple[str, str]]:
    """Return state and error of each trial as the table has them."""
    with (folder / "trials.csv").open() as file:
        return [(row["state"], row["error"]) for row in csv.DictReader(file)]


def processes_at(folder: Path) -> list[str]:
    """Return the processes that work in a folder, as those of a sweep's own cluster do."""
    return [str(cwd) for cwd in Path("/proc").glob("[0-9]*/cwd") if _leads_to(cwd, folder)]


def _leads_to(link: Path, folder: Path) -> bool:
    try:
        return link.readlink() == folder
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


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
    assert not processes_at(runner.folder)
    assert not list(folder.glob(".shared*"))


def test_slots(runner: Runner) -> None:
    """An actor trains several trials together; their form is a module of the command's folder."""
    done = runner.sweep(
        "x=1,2,3,4", RAY, "hydra.sweeper.slots=2", "hydra.sweeper.fused=rounds", "steps=2"
    )
    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 4
    assert (runner.folder / "rounds.txt").exists()


def test_interrupted(runner: Runner, start: Start) -> None:
    """Ctrl-C in the terminal stops the trials, and the same command goes on with them."""
    command = ["x=1,2,3", "gate=gate"]
    process = start(*command)
    until(lambda: calls_of(runner.folder))
    interrupt(process)
    code, err = finish(process)
    assert code == 130, err
    assert "COMPLETE" not in states_of(folder_of(runner))
    (runner.folder / "gate").touch()
    done = runner.sweep(RAY, *command)
    assert done.code == 0, done.err
    assert states_of(folder_of(runner)).count("COMPLETE") == 3


def test_killed(runner: Runner, start: Start) -> None:
    """A sweep that is killed leaves no process of its cluster."""
    process = start("x=1,2", "gate=gate")
    until(lambda: len(calls_of(runner.folder)) == 2)
    started = processes_in(process.pid)
    assert {pid for *_, pid in calls_of(runner.folder)} <= set(started)
    commands = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in started)
    kept = {Path(found) for found in re.findall(r"/tmp/sinesweep-ray-\w+", commands)}
    assert any(folder.exists() for folder in kept)
    process.kill()
    finish(process)
    until(lambda: not any(map(is_alive, started)))
    until(lambda: not any(folder.exists() for folder in kept))


def test_nodes_die_and_join(runner: Runner, start: Start, nodes: Nodes) -> None:
    """Trials of a node that dies are run again, and a node that joins is used.

    A worker that waits for room holds no trial.
    """
    second = nodes.add()
    process = start(
        "x=1,2,3,4", f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.workers=3",
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
    code, err = finish(process)
    assert code == 0, err
    assert "the Ray cluster has room for 2 of 3 workers" in err
    states = outcomes_of(folder)
    (failed,) = [error for state, error in states if state == "FAIL"]
    assert failed == "the Ray node 127.0.0.1 died, or is not reached any more"
    assert states_of(folder).count("COMPLETE") == 4
    assert len({pid for *_, pid in calls_of(runner.folder)}) >= 3


@pytest.mark.parametrize("end", [Nodes.kill, Nodes.stop])
def test_a_node_dies_with_an_idle_worker(
    runner: Runner, start: Start, nodes: Nodes, end: Callable[[Nodes, Node], None]
) -> None:
    """It is not given the trial of the other, which would fail once more."""
    wide = nodes.add(num_cpus=2, wide=2)
    process = start(
        "x=1,2", f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.workers=2",
        "hydra.sweeper.ray.resources={wide: 1}", "hydra.sweeper.retries=1", "gate=gate${x}",
        **VARIABLES,
    )  # fmt: skip
    until(lambda: len({pid for *_, pid in calls_of(runner.folder)}) == 2)
    (runner.folder / "gate1").touch()
    folder = folder_of(runner)
    until(lambda: "COMPLETE" in states_of(folder))
    end(nodes, wide)
    until(lambda: "FAIL" in states_of(folder))
    nodes.add(num_cpus=2, wide=2)
    (runner.folder / "gate2").touch()
    code, err = finish(process)
    assert code == 0, err
    failed = [error for state, error in outcomes_of(folder) if state == "FAIL"]
    assert failed == ["the Ray node 127.0.0.1 died, or is not reached any more"]
    assert states_of(folder).count("COMPLETE") == 2


def test_a_node_with_trials_trained_together_dies(
    runner: Runner, start: Start, nodes: Nodes
) -> None:
    """They fail for it, are run again as retries says, and share a worker again."""
    second = nodes.add()
    process = start(
        "x=range(1,7)", f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.workers=2",
        "hydra.sweeper.slots=2", "hydra.sweeper.fused=rounds", "steps=2", "gate=gate",
        "hydra.sweeper.retries=1", **VARIABLES,
    )  # fmt: skip
    until(lambda: len(calls_of(runner.folder)) == 4)
    nodes.kill(second)
    folder = folder_of(runner)
    until(lambda: states_of(folder).count("FAIL") == 2)
    nodes.add()
    until(lambda: len(calls_of(runner.folder)) == 6)  # the gate is closed yet
    (runner.folder / "gate").touch()
    code, err = finish(process)
    assert code == 0, err
    failed = [error for state, error in outcomes_of(folder) if state == "FAIL"]
    assert failed == ["the Ray node 127.0.0.1 died, or is not reached any more"] * 2
    assert states_of(folder).count("COMPLETE") == 6


def test_a_node_that_hangs(runner: Runner, start: Start, nodes: Nodes) -> None:
    """As where a cable is cut nobody says so: Ray finds out, and no trial is to blame."""
    second = nodes.add()
    process = start(
        "x=1,2,3,4", f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.workers=2",
        "hydra.sweeper.retries=1", "gate=gate", **VARIABLES,
    )  # fmt: skip
    until(lambda: len(calls_of(runner.folder)) == 2)
    nodes.stop(second)
    folder = folder_of(runner)
    until(lambda: "FAIL" in states_of(folder))
    (runner.folder / "gate").touch()
    code, err = finish(process)
    assert code == 0, err
    failed = [error for state, error in outcomes_of(folder) if state == "FAIL"]
    assert failed == ["the Ray node 127.0.0.1 died, or is not reached any more"]
    assert states_of(folder).count("COMPLETE") == 4


def test_a_node_without_the_folder(runner: Runner, start: Start, nodes: Nodes) -> None:
    """A worker that does not see the sweep's folder is no failure of trial after trial."""
    process = start(
        "x=1,2,3", f"hydra.sweeper.ray.address={nodes.address}", "hydra.sweeper.retries=1",
        "gate=gate", "misbehave=kill", "when=1", **VARIABLES,
    )  # fmt: skip
    until(lambda: calls_of(runner.folder))
    folder = folder_of(runner)
    for marker in folder.glob(".shared*"):
        marker.unlink()
    (runner.folder / "gate").touch()
    code, err = finish(process)
    assert code == 1, err
    assert "the sweep's folder must be on a file system that all nodes of the cluster share" in err
    assert states_of(folder) == ["FAIL"]


def test_resources_that_no_node_has(runner: Runner, start: Start, nodes: Nodes) -> None:
    """A worker waits for a node that has what it takes; Ctrl-C ends the wait."""
    process = start(
        "x=1,2", f"hydra.sweeper.ray.address={nodes.address}",
        "hydra.sweeper.ray.resources={big: 1}", **VARIABLES,
    )  # fmt: skip
    until(lambda: list(runner.folder.glob("multirun/*/.shared-*")))
    interrupt(process)
    code, err = finish(process)
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
