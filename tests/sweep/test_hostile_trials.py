"""Trials that change their worker's process, or its parents, in whole sweeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from runner import ONE, PLAIN, TWO, Runner, environment
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

from sinesweep.sweep.nursery import children_of

sys.path.append(str(Path(__file__).parent / "plain"))
INLINE = ("hydra.sweeper.backend=inline", ONE)
SLOW = pytest.mark.slow


@SLOW
def test_misdeeds_cost_no_trial(runner: Runner) -> None:
    """Each trial finds the process as the first did, whatever the ones before have done."""
    import hostile

    names = list(hostile.MISDEEDS)
    done = runner.sweep(f"misbehave={','.join(names)}", "x=1", "check_state=true", ONE)

    assert done.code == 0, done.err
    trials = trials_of(folder_of(runner))
    errors = {t.params["misbehave"]: t.user_attrs.get("sinesweep.error") for t in trials}
    assert errors == dict.fromkeys(names)
    assert len(calls_of(runner.folder)) == len(names)
    daemons = [int(line) for line in (runner.folder / "daemons").read_text().split()]
    assert len(daemons) == 2
    assert not any(is_alive(pid) for pid in daemons)


@pytest.mark.parametrize("question", ["breakpoint", pytest.param("input", marks=SLOW)])
def test_question_to_nobody_fails_its_trial(runner: Runner, question: str) -> None:
    """A trial that waits for a user fails at once, and the error names the way to debug it."""
    done = runner.sweep("x=0,1", f"misbehave={question}", ONE)

    assert done.code == 0, done.err
    assert states_of(folder_of(runner)) == ["COMPLETE", "FAIL"]
    assert "hydra.sweeper.backend=inline" in done.out


@SLOW
def test_killed_fork_server_ends_the_sweep_with_one_message(runner: Runner) -> None:
    """No traceback: the sweep fails, its trials are interrupted, and it can be continued."""
    sweep = ("x=range(0,4)", "gate=gate", "gated_from=0", TWO)
    process = runner.start_sweep(*sweep)
    until(lambda: len(calls_of(runner.folder)) == 2)
    children = processes_in(process.pid)
    (server,) = (pid for pid in children_of(process.pid) if children_of(pid))
    os.kill(server, signal.SIGKILL)
    code, _, err = finish(process)

    assert code == 1
    assert "Traceback" not in err
    assert err.count("the process that starts workers has died") == 1
    assert {outcome_of(trial) for trial in trials_of(folder_of(runner))} == {"INTERRUPTED"}
    until(lambda: not any(is_alive(pid) for pid in children))
    (runner.folder / "gate").touch()
    assert runner.sweep(*sweep).code == 0


@SLOW
def test_inline_trial_reads_the_terminal(runner: Runner) -> None:
    """With backend=inline a debugger gets its commands, in the command's own process."""
    process = subprocess.Popen(
        [sys.executable, PLAIN, "-m", "x=0,1,2", "misbehave=breakpoint", *INLINE],
        cwd=runner.folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate("print('answer', 6 * 7)\ncontinue\n", timeout=60)

    assert process.returncode == 0, err
    assert "answer 42" in out
    assert states_of(folder_of(runner)) == ["COMPLETE"] * 3
    assert {pid for _, _, _, pid in calls_of(runner.folder)} == {process.pid}


@SLOW
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_inline_sweep_continues_with_workers(
    runner: Runner, number: signal.Signals
) -> None:
    """An inline sweep has the states, the exit code and the resume of any other."""
    sweep = ("x=range(0,3)", "gate=gate", "gated_from=1")
    process = runner.start_sweep(*sweep, *INLINE)
    until(lambda: len(calls_of(runner.folder)) == 2)
    children = processes_in(process.pid)
    process.send_signal(number)
    code, _, err = finish(process)

    assert code == 130
    assert err.count(f"interrupted ({number.name})") == 1
    assert [outcome_of(trial) for trial in trials_of(folder_of(runner))] == [
        "COMPLETE",
        "INTERRUPTED",
    ]
    until(lambda: not any(is_alive(pid) for pid in children))
    (runner.folder / "gate").touch()
    assert runner.sweep(*sweep, TWO).code == 0
    assert states_of(folder_of(runner)).count("COMPLETE") == 3


@SLOW
def test_killed_side_of_an_inline_sweep_ends_the_command(runner: Runner) -> None:
    """The command says in one message that the sweep's process is gone."""
    process = runner.start_sweep("x=0,1", "gate=gate", "gated_from=0", *INLINE)
    until(lambda: calls_of(runner.folder))
    (sweep,) = children_of(process.pid)
    os.kill(sweep, signal.SIGKILL)
    code, _, err = finish(process)

    assert code == 1
    assert "the sweep failed: its process was killed by SIGKILL" in err
    assert "Traceback" not in err
