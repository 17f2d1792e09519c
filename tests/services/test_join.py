"""One study for several processes: the same command, typed several times, shares the work."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from optuna.trial import TrialState
from participants import (
    NAME,
    NOBODY_DIES,
    Participant,
    participants_of,
    present,
    sweep,
    trials_of,
)
from runner import BARE, PLAIN, Runner
from servers import Postgres
from told import all_runs
from watching import is_alive, outcome_of, until

from sinesweep.sweep.joint_ledger import JointLedger
from sinesweep.sweep.storage import close_storage, open_storage
from sinesweep.tracking import record

pytestmark = pytest.mark.services

INTERVALS = ("x=interval(0,9)", "y=interval(0,9)")
GRID = ("x=range(0,8)", "y=range(0,4)")
_ZEROS = ("0.0", "-0.0")  # of 0 and 0.0, and of -0.0

Start = Callable[..., Participant]


@pytest.fixture
def start(tmp_path: Path, database: str) -> Iterator[Start]:
    """Start a participant in a folder of its own, as on a machine of its own.

    Trials of one that is gated run until there is a gate in its folder.
    """
    started: list[Participant] = []

    def begin(
        *more: str, folder: str | None = None, gated: bool = False, script: str = PLAIN
    ) -> Participant:
        where = tmp_path / (folder or f"machine-{len(started)}")
        where.mkdir(exist_ok=True)
        if not gated:
            (where / "gate").touch()
        made = Participant(where, sweep(database, "gate=gate", *more), script)
        started.append(made)
        return made

    yield begin
    for each in started:
        each.end()


def test_three_processes_share_a_grid(start: Start, database: str) -> None:
    """Every combination is run once, by one of them, and each of them runs some."""
    three = [start(*GRID, "pause=0.05", "steps=2", NOBODY_DIES) for _ in range(3)]
    for each in three:
        each.finish()
    calls = [call for each in three for call in each.calls]
    assert sorted((x, y) for x, y, *_ in calls) == [(x, y) for x in range(8) for y in range(4)]
    trials = trials_of(database)
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 32}
    assert len(participants_of(trials)) == 3
    for each in three:
        table = (each.folder / "multirun" / "joined" / "trials.csv").read_text()
        assert table.count(",COMPLETE,") == 32


def test_n_trials_is_the_total_of_all(start: Start, database: str) -> None:
    """As many trials end as were asked for, with three on one file system, too."""
    command = (*INTERVALS, "hydra.sweeper.n_trials=20", "steps=2", "pause=0.02", NOBODY_DIES)
    three = [start(*command, folder="shared") for _ in range(3)]
    for each in three:
        each.finish()
    trials = trials_of(database)
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 20}
    folder = three[0].folder / "multirun" / "joined"
    directories = {Path(trial.user_attrs["sinesweep"]["directory"]) for trial in trials}
    assert {path.parent.parent for path in directories} <= {
        folder, folder / "joined" / "2", folder / "joined" / "3"
    }  # fmt: skip
    assert all((path / "outcome.json").exists() for path in directories)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_two_processes_evaluate_each_point_of_a_finite_space_once(
    start: Start, database: str, sampler: str
) -> None:
    """Points are evaluated once by either process, also if some are equal in Python."""
    command = (
        "x=range(0,4)", "y=0,0.0,-0.0", f"hydra/sweeper/sampler={sampler}",
        "hydra.sweeper.n_trials=30", "hydra.sweeper.workers=2", "steps=2", "pause=0.02",
        NOBODY_DIES,
    )  # fmt: skip
    two = [start(*command) for _ in range(2)]
    for each in two:
        each.finish()
    calls = [(x, repr(y)) for each in two for x, y, *_ in each.calls]
    assert Counter(calls) == {(x, y): 2 if y == "0.0" else 1 for x in range(4) for y in _ZEROS}
    trials = trials_of(database)
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 12}
    assert len({tuple(trial.params.items()) for trial in trials}) == 12


def test_the_living_take_over_from_the_dead(
    start: Start, database: str, postgres: Postgres
) -> None:
    """The trial of one that is killed and stays away is run again by the other."""
    victim = start(*INTERVALS, "hydra.sweeper.n_trials=6", gated=True)
    until(lambda: victim.calls)
    other = start(*INTERVALS, "hydra.sweeper.n_trials=6")
    until(lambda: len(other.calls) == 5)
    victim.kill()
    other.finish()
    trials = trials_of(database)
    assert Counter(map(outcome_of, trials)) == {"COMPLETE": 6, "INTERRUPTED": 1}
    assert trials[-1].params == trials[0].params
    assert other.calls[-1][:2] == victim.calls[0][:2]
    assert present(postgres, database) == 1  # the dead, who has not left


def test_one_that_was_stopped_comes_back(start: Start, database: str) -> None:
    """Its trial was taken over meanwhile: it is left, its end is not told, and the work goes on."""
    command = (*INTERVALS, "hydra.sweeper.n_trials=8", "pause=0.3", "steps=1")
    stopped = start(*command, gated=True)
    until(lambda: stopped.calls)
    family = stopped.family
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    other = start(*command)
    until(lambda: outcome_of(trials_of(database)[0]) == "INTERRUPTED")
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    until(lambda: len(stopped.calls) > 1 or other.process.poll() is not None)
    (stopped.folder / "gate").touch()
    said = stopped.finish()
    other.finish()
    trials = trials_of(database)
    assert Counter(map(outcome_of, trials)) == {"COMPLETE": 8, "INTERRUPTED": 1}
    assert "trial 0 was taken over" in said


def test_one_that_is_killed_goes_on_at_once(start: Start, database: str) -> None:
    """Started again where it was, it does not wait for its own lease to end."""
    command = (*INTERVALS, "hydra.sweeper.n_trials=3", "hydra.sweeper.lease=600")
    victim = start(*command, gated=True)
    until(lambda: victim.calls)
    victim.kill()
    (victim.folder / "gate").touch()
    victim.restart()
    victim.finish()
    trials = trials_of(database)
    assert [outcome_of(trial) for trial in trials] == ["INTERRUPTED", *["COMPLETE"] * 3]
    assert trials[1].params == trials[0].params


def test_one_that_is_killed_may_go_on_in_another_manner(
    start: Start, database: str, postgres: Postgres
) -> None:
    """Nobody else takes part: what the dead one has left says nothing of how."""
    victim = start(*INTERVALS, "hydra.sweeper.lease=600", "hydra.sweeper.n_trials=3", gated=True)
    until(lambda: victim.calls)
    victim.kill()
    (victim.folder / "gate").touch()
    victim.restart("hydra.sweeper.n_trials=2", "hydra.sweeper.retries=1")
    victim.finish()
    assert [outcome_of(t) for t in trials_of(database)] == ["INTERRUPTED", *["COMPLETE"] * 2]
    assert present(postgres, database) == 0


def test_of_two_that_differ_one_is_refused(start: Start, database: str, postgres: Postgres) -> None:
    """Where both begin at once, the other runs the sweep, and the refused one leaves nothing.

    Which one it is, is left to chance; its trials wait until the other was refused.
    """
    both = [
        start("x=1,2", f"hydra.sweeper.retries={retries}", NOBODY_DIES, gated=True)
        for retries in (1, 2)
    ]
    until(lambda: any(each.process.poll() is not None for each in both))
    for each in both:
        (each.folder / "gate").touch()
    codes = {each.process.wait(60): each for each in both}
    assert set(codes) == {0, 2}
    assert not (codes[2].folder / "multirun").exists()
    assert Counter(map(outcome_of, trials_of(database))) == {"COMPLETE": 2}
    assert present(postgres, database) == 0


def test_ctrl_c_ends_one_alone(start: Start, database: str) -> None:
    """Its trial is run again by the other, which does not wait for a lease."""
    command = (*INTERVALS, "hydra.sweeper.n_trials=4", "hydra.sweeper.lease=600")
    leaving = start(*command, gated=True)
    until(lambda: leaving.calls)
    other = start(*command)
    until(lambda: len(other.calls) == 3)
    leaving.process.send_signal(signal.SIGINT)
    out, _ = leaving.process.communicate(timeout=60)
    assert leaving.process.returncode == 130, out
    other.finish()
    assert Counter(map(outcome_of, trials_of(database))) == {"COMPLETE": 4, "INTERRUPTED": 1}


def test_a_server_that_is_started_again(start: Start, database: str, postgres: Postgres) -> None:
    """A sweep waits for its database; trials that run meanwhile go on, and none is run again."""
    command = (*INTERVALS, "hydra.sweeper.n_trials=12", "steps=5", "pause=0.1", NOBODY_DIES)
    two = [start(*command), start(*command)]
    until(lambda: all(each.calls for each in two))
    postgres.stop()
    postgres.start()
    for each in two:
        each.finish()
    assert Counter(map(outcome_of, trials_of(database)))["COMPLETE"] == 12
    assert "INTERRUPTED" not in map(outcome_of, trials_of(database))


def test_trials_that_end_while_the_server_is_away(
    start: Start, database: str, postgres: Postgres
) -> None:
    """What three workers come to meanwhile is told when it is back; none is run again."""
    one = start(*INTERVALS, "hydra.sweeper.n_trials=5", "hydra.sweeper.workers=3", gated=True)
    until(lambda: len(one.calls) == 3)
    trials = one.folder / "multirun" / "joined" / "trials"
    postgres.stop()
    try:
        (one.folder / "gate").touch()
        until(lambda: len(list(trials.glob("*/outcome.json"))) == 3)
    finally:
        postgres.start()
    one.finish()
    assert Counter(map(outcome_of, trials_of(database)))["COMPLETE"] == 5
    assert "INTERRUPTED" not in map(outcome_of, trials_of(database))
    assert len(one.calls) == 5


TRACKED = (
    "hydra.sweeper.root=mlruns/sweeps",
    "hydra.sweeper.tracking={backend:mlflow,root:mlruns,experiment:e}",
)


def test_a_server_that_stays_away(
    start: Start, database: str, postgres: Postgres, tmp_path: Path
) -> None:
    """The sweep fails with one message, all is closed as it was, and it can be continued."""
    script = tmp_path / "impatient.py"
    script.write_text(
        f"import runpy, sys\nfrom sinesweep.sweep import patience\npatience.PATIENCE = 1.0\n"
        f"sys.argv[0] = {PLAIN!r}\nrunpy.run_path({PLAIN!r}, run_name='__main__')\n"
    )
    command = (*INTERVALS, *TRACKED, "hydra.sweeper.n_trials=3", "hydra.sweeper.workers=2")
    one = start(*command, gated=True, script=str(script))
    until(lambda: len(one.calls) == 2)
    family = one.family
    postgres.stop()
    try:
        out, _ = one.process.communicate(timeout=60)
    finally:
        postgres.start()
    assert one.process.returncode == 1, out
    assert "the sweep failed: the study's database must answer, but postgresql://***@" in out
    assert "has not for 1 s" in out
    assert "continue with\n  python" in out
    assert "Traceback" not in out
    assert "hunter2" not in out
    until(lambda: not any(map(is_alive, family)))
    folder = one.folder / "mlruns" / "sweeps" / "joined"
    assert json.loads((folder / "state.json").read_text())["state"] == "FAIL"
    assert record.last_end(folder) is not None
    assert [row["state"] for row in table(folder)] == ["FAIL", "FAIL"]
    (one.folder / "gate").touch()
    one.restart()
    one.finish()
    assert Counter(map(outcome_of, trials_of(database))) == {"COMPLETE": 3, "INTERRUPTED": 2}
    client = MlflowClient(f"sqlite:///{one.folder / 'mlruns' / 'mlflow.db'}")
    statuses = Counter(run.info.status for run in all_runs(client).values())
    assert statuses == {"FINISHED": 4, "KILLED": 2}


def test_ctrl_c_while_the_server_is_away(start: Start, database: str, postgres: Postgres) -> None:
    """It is heard long before the patience is over; the same command goes on."""
    command = (*INTERVALS, *TRACKED, "hydra.sweeper.n_trials=2")
    one = start(*command, gated=True)
    until(lambda: one.calls)
    postgres.stop()
    try:
        one.read_until("the study's database does not answer")
        one.process.send_signal(signal.SIGINT)
        out, _ = one.process.communicate(timeout=60)
    finally:
        postgres.start()
    assert one.process.returncode == 130, out
    assert "Traceback" not in out
    folder = one.folder / "mlruns" / "sweeps" / "joined"
    assert json.loads((folder / "state.json").read_text())["state"] == "INTERRUPTED"
    (one.folder / "gate").touch()
    one.restart()
    one.finish()
    assert Counter(map(outcome_of, trials_of(database))) == {"COMPLETE": 2, "INTERRUPTED": 1}


def test_ctrl_c_while_another_has_the_turn(
    start: Start, database: str, postgres: Postgres, tmp_path: Path
) -> None:
    """It is heard, and nothing is left of the attempt to take part."""
    close_storage(open_storage(database, tmp_path))
    holder = JointLedger(database, NAME, 600.0)
    try:
        with holder.turn():
            waiting = start("x=1,2")
            until(
                lambda: postgres.execute(
                    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                )
            )
            waiting.process.send_signal(signal.SIGTERM)
            out, _ = waiting.process.communicate(timeout=60)
    finally:
        holder.close()
    assert waiting.process.returncode == 130, out
    assert not (waiting.folder / "multirun").exists()
    assert present(postgres, database) == 0


def test_ctrl_c_before_the_study_is_open(
    start: Start, database: str, postgres: Postgres, tmp_path: Path
) -> None:
    """Who takes part already, and has begun nothing, takes part no more."""
    script = tmp_path / "interrupted.py"
    script.write_text(
        "import runpy, sys\nfrom sinesweep.errors import Interrupted\n"
        "from sinesweep.sweep import conduct\n"
        "def interrupt(*_):\n    raise Interrupted('SIGINT')\nconduct.SweepStudy = interrupt\n"
        f"sys.argv[0] = {PLAIN!r}\nrunpy.run_path({PLAIN!r}, run_name='__main__')\n"
    )
    one = start("x=1,2", script=str(script))
    out, _ = one.process.communicate(timeout=60)
    assert one.process.returncode == 130, out
    assert present(postgres, database) == 0


def test_who_differs_is_refused(start: Start, database: str) -> None:
    """One that searches something else, or in another manner, is refused, and makes nothing."""
    first = start("x=1,2", gated=True)
    until(lambda: first.calls)
    for more, words in (
        (("x=1,3",), "space.x: '1,2' -> '1,3'"),
        (("x=1,2", "hydra.sweeper.retries=2"), "retries: 0 there, 2 here"),
    ):
        other = start(*more)
        out, _ = other.process.communicate(timeout=60)
        assert other.process.returncode == 2, out
        assert words in out
        assert not (other.folder / "multirun").exists()
    (first.folder / "gate").touch()
    first.finish()


def test_the_reference_task(runner: Runner, database: str) -> None:
    """A named sweep over PostgreSQL has the trials, and the best one, that it has without."""
    command = (
        "-m", "sweeps=depth_width", "model.layers=1,2", "model.width=4,8", "data.num_series=64",
        "trainer.max_epochs=3", "hydra.sweeper.workers=1", "hydra.sweeper.report=false", *BARE,
    )  # fmt: skip
    address = database.replace(":hunter2@", "@")
    local = runner.train(*command, "hydra.sweeper.study_name=local")
    joint = runner.train(
        *command, "hydra.sweeper.study_name=joint", f"hydra.sweeper.storage={address}",
        PGPASSWORD="hunter2",
    )  # fmt: skip
    assert local.code == joint.code == 0, local.err + joint.err
    folders = [runner.folder / "mlruns" / "sweeps" / name for name in ("local", "joint")]
    told = [[(row["number"], row["state"], row["value"]) for row in table(f)] for f in folders]
    assert told[0] == told[1]
    assert len(told[0]) == 4
    best = [yaml.safe_load((each / "best.yaml").read_text()) for each in folders]
    assert (best[0]["overrides"], best[0]["value"]) == (best[1]["overrides"], best[1]["value"])
    again = runner.sinesweep("rerun", "joint", str(best[1]["trial"]), PGPASSWORD="hunter2")
    assert again.code == 0, again.err
    assert "equal bit for bit" in again.out


def test_files_on_another_machine(
    runner: Runner, tmp_path: Path, database: str, start: Start
) -> None:
    """What is there of another machine's trials is shown, and where the rest is."""
    two = [start("x=range(0,8)", "pause=0.1", "steps=2", NOBODY_DIES) for _ in range(2)]
    for each in two:
        each.finish()
    two[1].folder.rename(tmp_path / "away")
    folder = two[0].folder / "multirun" / "joined"
    definition = folder / "sweep.yaml"  # as if the password had been in a variable
    definition.write_text(definition.read_text().replace("***@", "sweeper@"))
    password = {"PGPASSWORD": "hunter2"}
    shown = runner.sinesweep("show", str(folder), **password)
    assert shown.code == 0, shown.err
    assert "8 complete" in shown.out
    elsewhere = next(row["number"] for row in table(folder) if "machine-1" in row["directory"])
    again = runner.sinesweep("rerun", str(folder), elsewhere, **password)
    assert again.code == 0, again.err
    assert f"is on {socket.gethostname()}, in" in again.out
    refused = runner.sinesweep(
        "promote", str(folder), "--trial", elsewhere, "--name", "m", **password
    )
    assert refused.code == 2
    assert "must have its files here" in refused.err
    report = "import runpy, sys; sys.argv = ['report', sys.argv[1]]; "
    report += "runpy.run_module('sinesweep.report', run_name='__main__')"
    done = runner.evaluate(report.replace("sys.argv[1]", repr(str(folder))), **password)
    assert done.code == 0, done.err
    assert f">on {socket.gethostname()}<" in (folder / "report.html").read_text()


def table(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a sweep's table."""
    return list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
