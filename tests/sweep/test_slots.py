"""Whole sweeps of a plain application whose trials share workers, from the outside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import ONE, Runner
from sharing import FUSED, error_of, log_of, outcomes, slots
from watching import (
    calls_of,
    folder_of,
    rounds_of,
    states_of,
    trials_of,
)

SLOW = pytest.mark.slow


@pytest.fixture
def new_runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Runner]:
    """Return what makes a runner in a folder of its own."""
    return lambda: Runner(tmp_path_factory.mktemp("other"))


def test_places_are_refilled_and_values_are_the_same(
    runner: Runner, new_runner: Callable[[], Runner]
) -> None:
    """Trials that end are replaced before the next round, and come to what they do alone."""
    sweep = ("x=range(0,12)", "steps=6,9", "pause=0.01")
    done = runner.sweep(*sweep, *slots(4))
    assert done.code == 0, done.err
    alone = new_runner()
    assert alone.sweep("x=range(0,12)", "steps=6,9", "hydra.sweeper.workers=2").code == 0

    found, expected = trials_of(folder_of(runner)), trials_of(folder_of(alone))
    assert [(t.params, t.value, t.intermediate_values) for t in found] == [
        (t.params, t.value, t.intermediate_values) for t in expected
    ]
    ended, was_full = 0, False
    for event, _, numbers in rounds_of(runner.folder):
        if event == "round":
            was_full = was_full or len(numbers) == 4
            assert len(numbers) == min(4, 24 - ended) or not was_full
        ended += event == "ended"
    assert ended == 24
    share = re.search(r"slots +4 in each of 1 worker, (\d+)% taken", done.out)
    assert share is not None
    assert int(share[1]) >= 90
    assert "24 trials, 1 worker with 4 slots" in done.out


def test_slots_of_several_workers(runner: Runner) -> None:
    """Workers and slots are independent: each worker trains its own trials together."""
    done = runner.sweep(
        "x=range(0,10)", "steps=3", "hydra.sweeper.workers=2", "hydra.sweeper.slots=2", FUSED
    )

    assert done.code == 0, done.err
    assert [t.value for t in trials_of(folder_of(runner))] == [(x - 1) ** 2 for x in range(10)]
    shared = {pid for _, pid, numbers in rounds_of(runner.folder) if len(numbers) == 2}
    assert len(shared) == 2


@SLOW
def test_places_of_several_workers_stay_taken(runner: Runner) -> None:
    """Of many quick trials with uneven budgets, too: until the last begins, 9 in 10 or more."""
    done = runner.sweep(
        "x=range(0,24)", "steps=2,5,9,14", "pause=0.005", "hydra.sweeper.workers=2",
        "hydra.sweeper.slots=4", FUSED,
    )  # fmt: skip

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 96
    share = re.search(r"slots +4 in each of 2 workers, (\d+)% taken", done.out)
    assert share is not None
    assert int(share[1]) >= 90
    rounds = [each for each in rounds_of(runner.folder) if each[0] == "round"]
    taken_by = Counter(pid for _, pid, numbers in rounds if len(numbers) == 4)
    assert len(taken_by) == 2


def test_the_sampler_knows_all_earlier_results(runner: Runner) -> None:
    """A trial is asked for when its place is free, and with what every round before has told."""
    done = runner.sweep(
        "x=interval(0,9)", "hydra.sweeper.n_trials=12", "steps=2", *slots(3),
        "hydra.sweeper.sampler={_target_: proposing.Knowing}",
    )  # fmt: skip

    assert done.code == 0, done.err
    told: set[int] = set()  # before the round that is just over
    last: set[int] = set()
    for event, number, numbers in rounds_of(runner.folder):
        if event == "round":
            told, last = told | last, set()
        elif event == "ended":
            last |= set(numbers)
        else:
            assert told <= set(numbers), f"when trial {number} was asked for"
    assert len(told | last) == 12


def test_a_pruned_trial_leaves_its_place(runner: Runner) -> None:
    """The pruner's verdict ends one of those that share a worker; the next takes its place."""
    done = runner.sweep(
        "x=1,1.5,8,9,1.1", "steps=4", *slots(2), "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=2", "hydra.sweeper.on_failure=abort",
    )  # fmt: skip

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 2 + ["PRUNED"] * 2 + ["COMPLETE"]
    assert len(trials_of(folder_of(runner))[2].intermediate_values) == 1
    shared = [numbers for event, _, numbers in rounds_of(runner.folder) if event == "round"]
    assert [0, 1] in shared
    assert [2, 3] in shared
    assert [4] in shared


@SLOW
def test_repeats_tell_the_mean(runner: Runner) -> None:
    """Each seed takes part in the rounds, one after another, in a folder of its own."""
    done = runner.sweep("x=1,2,3", "seed=10", "steps=2", *slots(2), "hydra.sweeper.repeats=3")

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [trial.value for trial in trials] == [11, 12, 15]
    assert Counter(seed for _, _, seed, _ in calls_of(runner.folder)) == {10: 3, 11: 3, 12: 3}
    assert [list(trial.intermediate_values) for trial in trials] == [[0, 1]] * 3
    assert (folder_of(runner) / "trials" / "0" / "repeat-2" / "admitted").exists()


@SLOW
def test_a_custom_search_space(runner: Runner) -> None:
    """What it adds is trained together, or alone where the form says so of what it added."""
    done = runner.sweep(
        "x=range(0,8)", "hydra.sweeper.n_trials=8", "hydra.sweeper.sampler.seed=2", *slots(2),
        "hydra.sweeper.deduplicate=false",  # each trial has a log of its own
        "hydra.sweeper.custom_search_space=proposing.space",
    )  # fmt: skip

    assert done.code == 0, done.err
    assert "some trials are trained one by one, not 2 together: x=" in done.err
    for trial in trials_of(folder_of(runner)):
        x, y = trial.params["x"], trial.params.get("y", 0)
        assert (y > 0) == (x >= 2)
        assert trial.value == (x - 1) ** 2 + y
        assert ("trained alone" in log_of(runner, trial.number)) == (x >= 2)


@SLOW
def test_no_place_evaluates_what_another_is_evaluating(runner: Runner) -> None:
    """A point that a sampler proposes twice takes one place."""
    done = runner.sweep(
        "x=0,1", "steps=2", *slots(2), "hydra.sweeper.n_trials=2",
        "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=6",  # proposes 0, 0, 1
    )  # fmt: skip

    assert done.code == 0, done.err
    assert sorted(x for x, *_ in calls_of(runner.folder)) == [0, 1]
    assert [trial.params["x"] for trial in trials_of(folder_of(runner))] == [0, 1]
    assert "2 complete" in done.out


def test_whoever_kills_a_shared_worker_fails_alone(runner: Runner) -> None:
    """All are run again one at a time, the culprit's retry, too; then trials share slots again."""
    done = runner.sweep(
        "x=range(0,11)", "when=4", "misbehave=kill", "steps=2", *slots(3), "hydra.sweeper.retries=1"
    )

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    found = outcomes(trials)
    assert found.pop(4) == ["INTERRUPTED", "RETRIED", "FAIL"]
    assert {each[-1] for each in found.values()} == {"COMPLETE"}
    assert Counter(len(each) for each in found.values()) == {1: 8, 2: 2}
    assert "killed by SIGKILL" in error_of(trials[4])
    rounds = [numbers for event, _, numbers in rounds_of(runner.folder) if event == "round"]
    again = [t.number for t in trials if len(found.get(t.params["x"], ["", "", ""])) > 1][3:]
    assert len(again) == 4
    assert all(len(numbers) == 1 for numbers in rounds if set(numbers) & set(again))
    assert any(len(numbers) == 3 for numbers in rounds if min(numbers) > max(again))


def test_trials_without_a_fused_form_are_trained_alone(runner: Runner) -> None:
    """They come to what they do without slots, between rounds; the user is told beforehand."""
    done = runner.sweep("x=0,1,2,3,4,5", "steps=2", "alone=3", *slots(2))

    assert done.code == 0, done.err
    assert done.err == (
        "sinesweep: some trials are trained one by one, not 2 together: x=3 is for one alone\n"
    )
    trials = trials_of(folder_of(runner))
    assert [trial.value for trial in trials] == [(x - 1) ** 2 for x in range(6)]
    assert "trained alone: x=3 is for one alone" in log_of(runner, 3)
    together = {n for event, _, numbers in rounds_of(runner.folder) for n in numbers}
    assert together == {0, 1, 2, 4, 5}


def test_where_no_trial_has_a_fused_form_there_are_no_slots(runner: Runner) -> None:
    """A sweep whose application offers none is run as without slots, and says so."""
    done = runner.sweep("x=0,1", ONE, "hydra.sweeper.slots=2")

    assert done.code == 0, done.err
    assert done.err == (
        "sinesweep: trials are trained one by one, not 2 together: hydra.sweeper.fused names "
        "nothing that could\n"
    )
    assert "2 trials, 1 worker, " in done.out
    assert not re.search("^slots ", done.out, re.MULTILINE)


def test_a_trial_that_turns_out_to_have_no_fused_form_is_refused(runner: Runner) -> None:
    """Where the ends of a range have one, and a value within has not, that trial says so."""
    done = runner.sweep("x=range(0,3)", "alone=1", "hydra.sweeper.unfused=refuse", *slots(2))

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert error_of(trials[1]) == (
        "hydra.sweeper.unfused: must be serial for a trial that cannot be trained together with "
        "others, but is refuse, and x=1 is for one alone"
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("alone=1", "hydra.sweeper.unfused=refuse", FUSED),
            "hydra.sweeper.slots: must be 1 for trials that cannot be trained together, but is 2, "
            "and some trials are trained one by one, not 2 together: x=1 is for one alone",
        ),
        (("hydra.sweeper.fused=nowhere",), "hydra.sweeper.fused: must name a module"),
        (
            ("hydra.sweeper.slots=abc",),
            "sinesweep: hydra.sweeper.slots: must be a valid integer, but is 'abc'",
        ),
        (("hydra.sweeper.slots=0", FUSED), "hydra.sweeper.slots: must be greater than or equal to"),
    ],
)
def test_wrong_input_is_refused_with_nothing_created(
    runner: Runner, overrides: tuple[str, ...], message: str
) -> None:
    """One message, exit code 2, no traceback, no folder."""
    done = runner.sweep("x=0,1", "hydra.sweeper.slots=2", *overrides)

    assert done.code == 2, done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(runner.folder.iterdir()) == []


@SLOW
def test_several_objectives(runner: Runner) -> None:
    """A trial that is trained with others may come to one value for each direction."""
    done = runner.sweep(
        "x=0,1,2", "objectives=2", *slots(2), "hydra.sweeper.directions=[minimize,minimize]"
    )

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [trial.values for trial in trials] == [[1, 0], [0, -1], [1, -2]]


@SLOW
def test_jobs_that_change_their_directory(runner: Runner) -> None:
    """A trial is admitted in its own folder, as a function is called there; rounds are at home."""
    done = runner.sweep("x=0,1,2", "steps=2", "hydra.job.chdir=true", *slots(2))

    assert done.code == 0, done.err
    folder = folder_of(runner)
    assert states_of(folder) == ["COMPLETE"] * 3
    for number in range(3):
        directory = folder / "trials" / str(number)
        assert Path((directory / "admitted").read_text()) == directory
    assert rounds_of(runner.folder)
