"""What goes wrong in whole sweeps, from the outside: failures, signals, kills, lost studies."""

from __future__ import annotations

import csv
import signal

import optuna
import pytest
from optuna.trial import TrialState
from runner import ONE, PLAIN, TWO, Runner
from watching import (
    calls_of,
    finish,
    folder_of,
    is_alive,
    outcome_of,
    processes_in,
    states_of,
    trials_of,
    until,
)

from sinesweep.sweep.storage import open_storage

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("misdeed", "cause"),
    [
        pytest.param("raise", "ValueError: it broke at https://***@example.org/", marks=SLOW),
        pytest.param("exit", r"the function called sys.exit(3)", marks=SLOW),
        pytest.param("kill", "the worker process was killed by SIGKILL", marks=SLOW),
        pytest.param("terminate", "the worker process was killed by SIGTERM", marks=SLOW),
        pytest.param("stop", "stopped by SIGTERM, which was sent to its worker alone", marks=SLOW),
        pytest.param("hang", "took longer than trial_timeout = 5 s", marks=SLOW),
        ("not_a_number", "the objective must be finite, but is nan"),
        pytest.param("infinite", "the objective must be finite, but is inf", marks=SLOW),
        pytest.param("nothing", "the function must return a number, but returned None", marks=SLOW),
        pytest.param(
            "two", "the function must return a number, but returned (1.0, 2.0)", marks=SLOW
        ),
    ],
)
def test_a_failure_costs_that_trial_only(runner: Runner, misdeed: str, cause: str) -> None:
    """Whatever goes wrong in a trial is its error; the others complete."""
    done = runner.sweep("x=0,1,2,3", f"misbehave={misdeed}", TWO, "hydra.sweeper.trial_timeout=5")

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [trial.state.name for trial in trials].count("COMPLETE") == 3
    assert trials[1].state == TrialState.FAIL
    assert cause in trials[1].user_attrs["sinesweep.error"]
    assert cause in done.out


@SLOW
def test_too_many_failures_end_the_sweep(runner: Runner) -> None:
    """max_failure_rate is a share of all trials."""
    done = runner.sweep(
        "x=1,1.0,true,2,3,4,5,6,7,8", "misbehave=raise", ONE, "hydra.sweeper.max_failure_rate=0.1"
    )

    assert done.code == 1
    assert "2 trials failed, more than max_failure_rate = 0.1 allows" in done.err


@SLOW
def test_a_sampler_that_fails_leaves_no_trial_open(runner: Runner) -> None:
    """The sweep fails with one line, and what ran beside it is closed and run again."""
    done = runner.sweep(
        "x=range(0,6)", "gate=gate", "gated_from=1", TWO, "hydra.sweeper.n_trials=3",
        "hydra.sweeper.sampler={_target_: failing.Failing}",
    )  # fmt: skip
    assert done.code == 1
    assert "sampler: Failing must not fail, but raised RuntimeError: no more ideas" in done.err
    assert "Traceback" not in done.err
    with (folder_of(runner) / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows[:2]] == ["COMPLETE", "FAIL"]
    assert rows[1]["error"] == "the sweep had failed before the trial ended"


def test_a_second_interrupt_stops_at_once(runner: Runner) -> None:
    """A trial that never reports is killed by the second Ctrl-C."""
    process = runner.start_sweep("x=1", "misbehave=hang", ONE)
    until(lambda: calls_of(runner.folder))
    children = processes_in(process.pid)
    process.send_signal(signal.SIGINT)
    output = process.stdout
    assert output is not None
    until(lambda: "again to stop at once" in output.readline())
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process)

    assert code == 130
    assert states_of(folder_of(runner)) == ["FAIL"]
    until(lambda: not any(is_alive(pid) for pid in children))


def test_no_process_outlives_a_killed_sweep(runner: Runner) -> None:
    """SIGKILL of the command takes every worker with it, even one that hangs."""
    process = runner.start_sweep("x=0,1", "misbehave=hang", "gate=gate", "gated_from=0", TWO)
    until(lambda: len(calls_of(runner.folder)) == 2)
    children = processes_in(process.pid)
    assert len(children) >= 3
    process.kill()
    finish(process)

    until(lambda: not any(is_alive(pid) for pid in children))


@pytest.mark.parametrize("lost", ["the journal", pytest.param("the database", marks=SLOW)])
def test_a_folder_whose_study_is_lost_is_refused(runner: Runner, lost: str) -> None:
    """Trials of a study that is gone are not mixed with those of a new one."""
    name = "hydra.sweeper.study_name=one"
    storage = [] if lost == "the journal" else ["hydra.sweeper.storage=sqlite:///a.db"]
    assert runner.sweep("x=1,2", name, *storage).code == 0
    table = (folder_of(runner) / "trials.csv").read_text()
    if lost == "the journal":
        (folder_of(runner) / "study.journal").unlink()
    else:
        storage = ["hydra.sweeper.storage=sqlite:///b.db"]
    done = runner.sweep("x=1,2", name, *storage)
    assert done.code == 2
    assert "holds the folder of trial 1" in done.err
    assert "knows 0 trials" in done.err
    assert (folder_of(runner) / "trials.csv").read_text() == table


def test_a_second_controller_is_refused(runner: Runner) -> None:
    """Two processes do not run one sweep; the message names the first."""
    sweep = ("x=0,1", "gate=gate", TWO)
    process = runner.start_sweep(*sweep)
    until(lambda: calls_of(runner.folder))
    second = runner.sweep(*sweep)
    (runner.folder / "gate").touch()
    code, _, err = finish(process)

    assert second.code == 2
    assert f"is being run by process {process.pid} on " in second.err
    assert code == 0, err


@SLOW
def test_refused_writes_interrupt_the_sweep_and_charge_no_trial(runner: Runner) -> None:
    """A limit that the system enforces gives one message; the printed command ends the sweep."""
    command = ["x=range(0,30)", TWO, "hydra.sweeper.study_name=s", "hydra.sweeper.report=false"]
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        f"sys.argv = {[PLAIN, '-m', *command]!r}\n"
        f"runpy.run_path({PLAIN!r}, run_name='__main__')"
    )
    done = runner.evaluate(limited, PYTHONDONTWRITEBYTECODE="1")
    assert done.code == 1
    (said, *_) = done.err.splitlines()
    assert said.startswith("sinesweep: the sweep was interrupted: ")
    assert "study.journal: must be writable, but the file exceeds the largest size" in said
    assert "Traceback" not in done.err

    done = runner.sweep(*command)
    assert done.code == 0, done.err
    outcomes = [outcome_of(trial) for trial in trials_of(folder_of(runner))]
    assert outcomes.count("COMPLETE") == 30
    assert set(outcomes) <= {"COMPLETE", "INTERRUPTED", "DROPPED"}


@SLOW
@pytest.mark.parametrize("misdeed", ["scribble", "truncate"])
def test_trial_that_writes_to_the_sweeps_files_ends_nothing(runner: Runner, misdeed: str) -> None:
    """Damage to the sweep's own files ends neither the running command nor the next one."""
    for _ in range(2):
        done = runner.sweep(
            "x=0,1,2,3", f"misbehave={misdeed}", "when=1", TWO, "hydra.sweeper.study_name=s"
        )
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        study = optuna.load_study(
            study_name="s", storage=open_storage(None, folder_of(runner), read_only=True)
        )
        assert sorted(trial.value or 0.0 for trial in study.trials) == [0.0, 1.0, 1.0, 4.0]
