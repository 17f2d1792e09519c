"""What goes wrong in whole sweeps whose trials share workers costs nobody else anything."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
from runner import Runner
from sharing import error_of, log_of, outcomes, slots
from watching import (
    calls_of,
    finish,
    folder_of,
    is_alive,
    kill,
    outcome_of,
    processes_in,
    rounds_of,
    states_of,
    trials_of,
    until,
)

SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("misdeed", "cause"),
    [
        ("raise", "ValueError: it broke at https://***@example.org/"),
        pytest.param("exit", "the function called sys.exit(3)", marks=SLOW),
        pytest.param(
            "not_a_number", "ArithmeticError: the objective must be finite, but is nan", marks=SLOW
        ),
        pytest.param(
            "two",
            "TypeError: the function must return a number, but returned (1.0, 2.0)",
            marks=SLOW,
        ),
        pytest.param("admit", "ValueError: not to be had", marks=SLOW),
    ],
)
def test_a_failure_costs_that_trial_only(runner: Runner, misdeed: str, cause: str) -> None:
    """Whatever goes wrong with one of them is its error; those that shared its worker complete."""
    done = runner.sweep("x=0,1,2,3", f"misbehave={misdeed}", "steps=2", *slots(3))

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [t.state.name for t in trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert error_of(trials[1]) == cause
    assert cause in done.out
    assert "hunter2" not in log_of(runner, 1) + (folder_of(runner) / "together.log").read_text()
    assert len({pid for *_, pid in calls_of(runner.folder)}) == 1


@SLOW
def test_a_round_that_raises_costs_those_in_it(runner: Runner) -> None:
    """What the form itself raises is the error of all that it had; others are trained after it."""
    done = runner.sweep("x=range(0,6)", "misbehave=break", "steps=2", *slots(2))

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [t.state.name for t in trials] == ["FAIL"] * 2 + ["COMPLETE"] * 4
    assert {error_of(t) for t in trials[:2]} == {"_Breaking: the round broke"}
    assert "the round broke" in log_of(runner, 0)


@SLOW
@pytest.mark.parametrize(
    ("misdeed", "cause"),
    [
        ("make", "ImportError: no accelerator"),
        ("stranger", "LookupError: advance() must tell of trials it has, not of 77"),
    ],
)
def test_a_form_that_fails_says_why(runner: Runner, misdeed: str, cause: str) -> None:
    """What is wrong with a form is in its trials' errors, and is no worker's death."""
    done = runner.sweep("x=0,1", "steps=1", *slots(2), "hydra.sweeper.fused=broken", BROKEN=misdeed)

    assert done.code == 1
    assert [error_of(t) for t in trials_of(folder_of(runner))] == [cause] * 2
    assert "no trial was completed" in done.err


@SLOW
def test_a_form_that_goes_on_with_a_trial_that_has_ended(runner: Runner) -> None:
    """What it then says of the trial is heard by nobody."""
    done = runner.sweep("x=0,1,2", *slots(2), "hydra.sweeper.fused=broken", BROKEN="clinging")

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    assert [t.state.name for t in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert [t.intermediate_values for t in trials] == [{}] * 3


@SLOW
def test_on_failure_abort_ends_the_sweep(runner: Runner) -> None:
    """The first failure begins no more trials; those that share the worker end or are stopped."""
    done = runner.sweep(
        "x=range(0,9)", "misbehave=raise", "steps=3", *slots(3), "hydra.sweeper.on_failure=abort"
    )

    assert done.code == 1
    assert "trial 1 failed, and on_failure is abort" in done.err
    found = outcomes(trials_of(folder_of(runner)))
    assert found.pop(1) == ["FAIL"]
    assert all(each in (["COMPLETE"], ["INTERRUPTED"]) for each in found.values())
    assert len(found) < 5


@SLOW
def test_too_many_failures_end_the_sweep(runner: Runner) -> None:
    """max_failure_rate is a share of all trials."""
    done = runner.sweep(
        "x=1,1.0,true,2,3,4,5,6,7,8", "misbehave=raise", "steps=2", *slots(2),
        "hydra.sweeper.max_failure_rate=0.1",
    )  # fmt: skip

    assert done.code == 1
    assert "2 trials failed, more than max_failure_rate = 0.1 allows" in done.err


@SLOW
def test_a_failed_trial_is_retried_under_a_new_number(runner: Runner) -> None:
    """With retries the point takes another place, and the failure is not one of n_trials."""
    done = runner.sweep("x=0,1,2", "misbehave=raise", *slots(2), "hydra.sweeper.retries=2")

    assert done.code == 0, done.err
    assert outcomes(trials_of(folder_of(runner))) == {
        0: ["COMPLETE"], 1: ["RETRIED", "RETRIED", "FAIL"], 2: ["COMPLETE"],
    }  # fmt: skip


@SLOW
@pytest.mark.parametrize("leaks", [False, True])
def test_a_trial_that_takes_too_long_leaves_the_others_alone(runner: Runner, leaks: bool) -> None:
    """It is told to stop at its next report; if the form lets that through, others run again."""
    done = runner.sweep(
        "x=range(0,4)", "gate=never", "gated_from=3", f"leaks={leaks}", *slots(2),
        "hydra.sweeper.trial_timeout=4",
    )  # fmt: skip

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    found = outcomes(trials)
    assert found.pop(3) == ["FAIL"]
    assert {each[-1] for each in found.values()} == {"COMPLETE"}
    assert error_of(trials[3]) == "took longer than trial_timeout = 4 s"
    assert len({pid for *_, pid in calls_of(runner.folder)}) == 1


@SLOW
def test_a_round_that_hangs_is_found_out(runner: Runner) -> None:
    """Its worker is killed; whoever hangs alone, too, fails, and the others complete."""
    done = runner.sweep(
        "x=range(0,5)", "when=2", "misbehave=hang", "steps=2", *slots(3),
        "hydra.sweeper.trial_timeout=4",
    )  # fmt: skip

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    found = outcomes(trials)
    assert found.pop(2) == ["INTERRUPTED", "FAIL"]
    assert {each[-1] for each in found.values()} == {"COMPLETE"}
    (error,) = (error_of(t) for t in trials if outcome_of(t) == "FAIL")
    assert error == "took longer than trial_timeout = 4 s"


@SLOW
def test_who_kills_a_worker_that_trains_it_alone_fails(runner: Runner) -> None:
    """Those that waited for it are run again, and go on sharing slots: it was not them."""
    done = runner.sweep("x=range(0,8)", "alone=1", "misbehave=kill", "steps=2", *slots(3))

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    found = outcomes(trials)
    assert found.pop(1) == ["FAIL"]
    assert {each[-1] for each in found.values()} == {"COMPLETE"}
    assert error_of(trials[0]).startswith("it waited for trial 1 when the worker process")
    (again,) = [t.number for t in trials if t.params["x"] == 0 and t.number > 0]
    rounds = [numbers for event, _, numbers in rounds_of(runner.folder) if event == "round"]
    assert 3 in {len(numbers) for numbers in rounds if again in numbers}


@SLOW
def test_a_worker_that_somebody_else_killed(runner: Runner) -> None:
    """None of its trials fails: each completes, by itself."""
    process = runner.start_sweep("x=range(0,5)", "gate=gate", "steps=1", *slots(3))
    until(lambda: len(calls_of(runner.folder)) == 3)
    kill(calls_of(runner.folder)[-1][3], signal.SIGKILL)
    until(lambda: len(calls_of(runner.folder)) == 4)
    (runner.folder / "gate").touch()
    code, _, err = finish(process)

    assert code == 0, err
    found = outcomes(trials_of(folder_of(runner)))
    assert Counter(map(tuple, found.values())) == {
        ("INTERRUPTED", "COMPLETE"): 3, ("COMPLETE",): 2,
    }  # fmt: skip


@SLOW
def test_an_interrupted_sweep_closes_everything_and_continues(runner: Runner) -> None:
    """All that share a worker stop at their next report and are run again by the same command."""
    sweep = ("x=range(0,6)", "gate=gate", "gated_from=2", *slots(3))
    process = runner.start_sweep(*sweep)
    until(lambda: len(calls_of(runner.folder)) == 5)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)

    assert code == 130
    assert "interrupted (SIGINT)" in err
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 2 + ["FAIL"] * 3
    (runner.folder / "gate").touch()
    assert runner.sweep(*sweep).code == 0
    found = outcomes(trials_of(folder_of(runner)))
    assert found == {
        0: ["COMPLETE"], 1: ["COMPLETE"], 2: ["INTERRUPTED", "COMPLETE"],
        3: ["INTERRUPTED", "COMPLETE"], 4: ["INTERRUPTED", "COMPLETE"], 5: ["COMPLETE"],
    }  # fmt: skip


@SLOW
def test_a_second_interrupt_stops_a_hanging_round(runner: Runner) -> None:
    """Nobody in it reports; all are interrupted, none has failed, and no process is left."""
    process = runner.start_sweep("x=0,1", "misbehave=hang", *slots(2))
    until(lambda: rounds_of(runner.folder))
    children = processes_in(process.pid)
    process.send_signal(signal.SIGINT)
    output = process.stdout
    assert output is not None
    until(lambda: "again to stop at once" in output.readline())
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process)

    assert code == 130
    assert outcomes(trials_of(folder_of(runner))) == {0: ["INTERRUPTED"], 1: ["INTERRUPTED"]}
    until(lambda: not any(is_alive(pid) for pid in children))


@SLOW
def test_a_killed_sweep_is_continued(runner: Runner) -> None:
    """After SIGKILL of the command no process is left, nothing is lost and nothing runs twice."""
    sweep = ("x=range(0,7)", "gate=gate", "gated_from=2", *slots(3))
    process = runner.start_sweep(*sweep)
    until(lambda: len(calls_of(runner.folder)) == 5)
    children = processes_in(process.pid)
    process.kill()
    finish(process)
    until(lambda: not any(is_alive(pid) for pid in children))
    (runner.folder / "gate").touch()
    done = runner.sweep(*sweep)

    assert done.code == 0, done.err
    found = outcomes(trials_of(folder_of(runner)))
    begun = {x: ["INTERRUPTED", "COMPLETE"] for x in (2, 3, 4)}
    assert found == {x: ["COMPLETE"] for x in range(7)} | begun
    assert Counter(x for x, *_ in calls_of(runner.folder)) == {
        x: len(each) for x, each in found.items()
    }
