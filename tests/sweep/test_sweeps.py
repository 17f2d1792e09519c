"""Whole sweeps of a plain application, from the outside."""

from __future__ import annotations

import os
import signal

import pytest
import yaml
from optuna.trial import TrialState
from runner import ONE, TWO, Runner
from watching import (
    calls_of,
    finish,
    folder_of,
    states_of,
    trials_of,
    until,
)

from sinesweep.sweep import archive

SLOW = pytest.mark.slow


def test_every_combination_runs_once_in_order(runner: Runner) -> None:
    """A finite space without n_trials runs every combination, the last key changing fastest."""
    done = runner.sweep("x=range(0,3)", "y=1,2", ONE)

    assert done.code == 0, done.err
    assert [call[:2] for call in calls_of(runner.folder)] == [
        (0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2),
    ]  # fmt: skip
    assert [trial.value for trial in trials_of(folder_of(runner))] == [2, 3, 1, 2, 2, 3]


def test_workers_are_started_once(runner: Runner) -> None:
    """Many trials run in as many processes as there are workers."""
    done = runner.sweep("x=range(0,12)", TWO)

    assert done.code == 0, done.err
    assert len({pid for *_, pid in calls_of(runner.folder)}) <= 2


def test_a_finished_sweep_runs_nothing_again(runner: Runner) -> None:
    """The command of a finished sweep finds it finished."""
    assert runner.sweep("x=0,1", ONE).code == 0
    assert runner.sweep("x=0,1", ONE).code == 0

    assert len(calls_of(runner.folder)) == 2
    assert states_of(folder_of(runner)) == ["COMPLETE", "COMPLETE"]


def test_n_trials_is_the_total(runner: Runner) -> None:
    """More trials continue the sweep up to the new total."""
    sweep = ("x=interval(0,9)", "hydra.sweeper.sampler.seed=0", ONE)
    assert runner.sweep(*sweep, "hydra.sweeper.n_trials=3").code == 0
    assert runner.sweep(*sweep, "hydra.sweeper.n_trials=5").code == 0

    points = [x for x, *_ in calls_of(runner.folder)]
    assert len(points) == len(set(points)) == 5


@SLOW
def test_a_continued_sweep_proposes_what_one_without_a_break_does(
    runner: Runner, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With one worker and a seed, a break changes no point."""
    sweep = ("x=interval(0,9)", "y=interval(0,1)", "hydra.sweeper.sampler.seed=7", ONE)
    whole = Runner(tmp_path_factory.mktemp("whole"))
    assert whole.sweep(*sweep, "hydra.sweeper.n_trials=16").code == 0
    for total in (5, 12, 16):
        assert runner.sweep(*sweep, f"hydra.sweeper.n_trials={total}").code == 0

    assert [c[:2] for c in calls_of(runner.folder)] == [c[:2] for c in calls_of(whole.folder)]


def test_a_failed_trial_is_retried_under_a_new_number(runner: Runner) -> None:
    """With retries the point runs again, and the failure is not one of n_trials."""
    done = runner.sweep("x=0,1", "misbehave=raise", ONE, "hydra.sweeper.retries=2")

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [trial.params["x"] for trial in trials] == [0, 1, 1, 1]
    assert [trial.user_attrs.get("sinesweep.outcome") for trial in trials] == [
        None, "RETRIED", "RETRIED", "FAIL",
    ]  # fmt: skip


def test_on_failure_abort_ends_the_sweep(runner: Runner) -> None:
    """The first failure begins no more trials, and the exit code is 1."""
    done = runner.sweep("x=range(0,9)", "misbehave=raise", ONE, "hydra.sweeper.on_failure=abort")

    assert done.code == 1
    assert "trial 1 failed, and on_failure is abort" in done.err
    assert len(calls_of(runner.folder)) == 2


def test_a_sweep_without_a_completed_trial_has_failed(runner: Runner) -> None:
    """Nothing to show is exit code 1, and a failed sweep for whoever looks later."""
    done = runner.sweep("x=1", "misbehave=raise", ONE)
    assert done.code == 1
    assert "the sweep failed: no trial was completed" in done.err
    assert archive.read(folder_of(runner)).state == "FAIL"


def test_a_pruned_trial_is_no_failure(runner: Runner) -> None:
    """TrialPruned makes the trial PRUNED, and its worker goes on."""
    done = runner.sweep("x=0,1,2", "misbehave=prune", ONE, "hydra.sweeper.on_failure=abort")

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE", "PRUNED", "COMPLETE"]


def test_a_trial_that_is_pruned_and_returns_is_pruned(runner: Runner) -> None:
    """The study stores no value of it, and the sampler receives its last report."""
    done = runner.sweep(
        "x=1,9", "steps=4", "heedless=true", ONE, "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=1",
    )  # fmt: skip

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE", "PRUNED"]
    assert trials_of(folder_of(runner))[1].value == 8 + 1 / 4


def test_the_pruner_decides_across_processes(runner: Runner) -> None:
    """Reports reach the pruner, and its verdict comes back to the worker."""
    done = runner.sweep(
        "x=1,2,9", "steps=4", TWO, "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.workers=1",
    )  # fmt: skip

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE", "PRUNED", "PRUNED"]


def test_repeats_tell_the_mean(runner: Runner) -> None:
    """A point is evaluated under several seeds, those that best.yaml names."""
    done = runner.sweep("x=1", "seed=10", ONE, "hydra.sweeper.repeats=3")

    assert done.code == 0, done.err
    assert [seed for _, _, seed, _ in calls_of(runner.folder)] == [10, 11, 12]
    assert trials_of(folder_of(runner))[0].value == 11
    assert yaml.safe_load((folder_of(runner) / "best.yaml").read_text())["seeds"] == [10, 11, 12]


@SLOW
def test_no_worker_evaluates_what_another_is_evaluating(runner: Runner) -> None:
    """A point that a sampler proposes twice is run once, and the other worker gets another."""
    process = runner.start_sweep(
        "x=0,1", "gate=gate", TWO, "hydra.sweeper.n_trials=2",
        "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=6",  # proposes 0, 0, 1
    )  # fmt: skip
    until(lambda: len(calls_of(runner.folder)) == 2)
    (runner.folder / "gate").touch()
    code, out, err = finish(process)

    assert code == 0, err
    assert sorted(x for x, *_ in calls_of(runner.folder)) == [0, 1]
    assert [trial.params["x"] for trial in trials_of(folder_of(runner))] == [0, 1]
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 2
    assert "2 complete" in out


def test_several_objectives(runner: Runner) -> None:
    """A function may return one value for each direction."""
    done = runner.sweep(
        "x=0,1,2", "objectives=2", ONE, "hydra.sweeper.directions=[minimize,minimize]"
    )

    assert done.code == 0, done.err
    assert [trial.values for trial in trials_of(folder_of(runner))] == [[1, 0], [0, -1], [1, -2]]


def test_output_goes_to_the_trials_log(runner: Runner) -> None:
    """What a function prints is in its trial's folder and not on the screen."""
    done = runner.sweep("x=0,1", TWO)

    assert "trial 0 x=0" not in done.out
    assert "trial 0 x=0" in (folder_of(runner) / "trials" / "0" / "trial.log").read_text()


def test_threads_that_the_user_has_set(runner: Runner) -> None:
    """A variable that is set stays as it is, in whatever form; others give the worker's share."""
    done = runner.sweep("x=0", ONE, OMP_NUM_THREADS="3,1")

    assert done.code == 0, done.err
    log = (folder_of(runner) / "trials" / "0" / "trial.log").read_text()
    assert f"threads 3,1 {os.cpu_count()}\n" in log


@SLOW
def test_output_can_be_streamed(runner: Runner) -> None:
    """With stream each line carries its trial's name."""
    done = runner.sweep("x=0,1", TWO, "hydra.sweeper.stream=true")

    assert "trial-00001 | trial 1 x=1" in done.out


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=SLOW),
        pytest.param(signal.SIGHUP, marks=SLOW),
        pytest.param(signal.SIGQUIT, marks=SLOW),
    ],
)
def test_an_interrupted_sweep_closes_everything_and_continues(
    runner: Runner, number: signal.Signals
) -> None:
    """Running trials stop at their next report and are run again by the same command."""
    sweep = ("x=range(0,6)", "gate=gate", "gated_from=2", TWO)
    process = runner.start_sweep(*sweep)
    until(lambda: len(calls_of(runner.folder)) == 4)
    process.send_signal(number)
    code, _, err = finish(process)

    assert code == 130
    assert f"interrupted ({number.name})" in err
    assert "'x=range(0,6)' gate=gate" in err
    assert states_of(folder_of(runner)) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    (runner.folder / "gate").touch()
    assert runner.sweep(*sweep).code == 0
    trials = trials_of(folder_of(runner))
    assert [t.params["x"] for t in trials if t.state == TrialState.COMPLETE] == [0, 1, 2, 3, 4, 5]
    assert [t.number for t in trials if t.state == TrialState.FAIL] == [2, 3]


def test_an_interrupt_before_anything_began_leaves_nothing(runner: Runner) -> None:
    """Ctrl-C during start-up begins no trial and no folder."""
    sampler = "hydra.sweeper.sampler={_target_: failing.Interrupting}"
    done = runner.sweep("x=interval(0,1)", "hydra.sweeper.n_trials=3", sampler)
    assert done.code == 130
    assert "sinesweep: interrupted (SIGINT)" in done.err
    assert not (runner.folder / "multirun").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["z=1,2"], "z: there is no such key"),
        (["x=interval(2,1)"], "x=interval(2,1): low <= high must hold, but 2.0 > 1.0"),
        (["hydra.sweeper.params={x: 'choice(1,'}"], "x=choice(1,: must be in Hydra's override"),
        (["+shape@here=a,b"], "config group 'shape' does not exist.\n(at the point +shape@here=a)"),
        (["x=1,2", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials: must be greater than"),
        (["x=interval(0,1)", "hydra.sweeper.sampler._target_=no.At"], "hydra.sweeper.sampler"),
        (["x=1,2", "hydra.sweeper.storage=nodb://x"], "hydra.sweeper.storage"),
        (["x=interval(0,1)", "hydra/sweeper/sampler=grid"], "a grid needs lists or ranges"),
    ],
)
def test_wrong_input_is_refused_with_nothing_created(
    runner: Runner, overrides: list[str], message: str
) -> None:
    """One message, exit code 2, no traceback, no folder."""
    done = runner.sweep(*overrides)

    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(runner.folder.iterdir()) == []


def test_a_changed_space_is_refused_with_the_difference(runner: Runner) -> None:
    """A named sweep is continued as it was begun."""
    name = "hydra.sweeper.study_name=mine"
    assert runner.sweep("x=0,1", name, ONE).code == 0
    done = runner.sweep("x=0,1,2", "y=1", name, ONE)

    assert done.code == 2
    assert "space.x: '0,1' -> '0,1,2'" in done.err
    assert "config.y: 0 -> 1" in done.err
    assert len(calls_of(runner.folder)) == 2
