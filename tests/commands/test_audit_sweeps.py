"""The audit of sweeps that no process runs any more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from runner import Runner
from watching import calls_of, sweep_folder, until

from sinesweep import runs
from sinesweep.commands import main
from sinesweep.files import take_lock
from sinesweep.sweep.entry import COMPLETE, DROPPED, INTERRUPTED, RUNNING, Entry
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.delivery import LOCK_FILE
from sinesweep.tracking.location import locate
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_delivery import SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord, trial_tag


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own tracker out of the tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mlruns"


@pytest.fixture
def folder(root: Path) -> Path:
    """A sweep of two trials that was killed, and that the tracker knows."""
    return make_sweep(root, root / "sweeps" / "quick")


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the sweeps' study say what became of the trials."""

    def say(*outcomes: str, closed: tuple[int, ...] = ()) -> None:
        def close_orphans(folder: Path) -> tuple[list[Entry], list[int]]:
            return [entry_of(folder, *pair) for pair in enumerate(outcomes)], list(closed)

        monkeypatch.setattr("sinesweep.sweep.orphans.close_orphans", close_orphans)

    return say


def entry_of(folder: Path, number: int, outcome: str) -> Entry:
    """Return a trial of the sweep."""
    return Entry(
        number=number,
        state=outcome if outcome in (COMPLETE, RUNNING) else "FAIL",
        outcome=outcome,
        values=None,
        params={"x": number},
        overrides=[],
        directory=None if outcome == DROPPED else folder / "trials" / str(number),
        start=None,
        seconds=None,
        error=None,
        origin=None,
    )


def make_sweep(root: Path, folder: Path, token: str | None = None) -> Path:
    """Make a sweep of two running trials, of which the second has written nothing yet."""
    folder.mkdir(parents=True)
    (folder / SWEEP_LOCK).touch()
    account = SweepRecord(folder)
    tags = {record.ROOT_TAG: runs.make_root_id(root), record.DIRECTORY_TAG: str(folder)}
    account.begin(name=folder.name, experiment="e", params={}, tags=tags, token=token)
    for number in range(2):
        account.trial_started(entry_of(folder, number, RUNNING))
    begun = folder / "trials" / "0"
    begun.mkdir(parents=True)
    told = {"name": "trial-00000", "experiment": "e", "params": {}, "datasets": []}
    tags |= {record.DIRECTORY_TAG: str(begun), record.RUN_TAG: trial_tag(token or "own", 0)}
    Record(begun).append("begin", tags=tags, **told)
    SweepDelivery(folder, locate(None, root)).pump()
    return folder


def told_of(root: Path) -> dict[str, tuple[str, str]]:
    """Return (status, state) of each run as the tracker has it."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {
        run.info.run_name or "": (run.info.status, run.data.tags[record.STATE_TAG])
        for run in client.search_runs(experiments)
        if record.STATE_TAG in run.data.tags
    }


def audit(root: Path) -> int:
    """Run the command."""
    return main(["audit", "--root", str(root)])


def test_trials_end_as_the_study_says(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A killed sweep's trials are what the study made of them, and its own run is closed."""
    study(COMPLETE, INTERRUPTED, DROPPED, closed=(1, 2))
    assert audit(root) == 0
    said = capsys.readouterr().out
    assert "quick: trial 1: its process is gone: closed" in said
    assert "quick: its process is gone: closed as INTERRUPTED" in said
    assert told_of(root) == {
        "quick": ("KILLED", "INTERRUPTED"),
        "trial-00000": ("FINISHED", "COMPLETE"),
        "trial-00001": ("KILLED", "INTERRUPTED"),
    }

    study(COMPLETE, INTERRUPTED, DROPPED)
    assert audit(root) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


def test_a_sweep_that_is_being_run_is_left_alone(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """As long as its process holds the lock nothing is closed."""
    study(COMPLETE, INTERRUPTED)
    lock = take_lock(folder / SWEEP_LOCK)
    assert lock is not None
    with closing(lock):
        assert audit(root) == 0

    assert capsys.readouterr().out == "every run is as the tracker says\n"
    assert told_of(root)["quick"] == ("RUNNING", "RUNNING")


def test_a_study_that_cannot_be_asked(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody else says what became of a trial: it stays open, and the audit says what helps."""
    study()
    assert audit(root) == 1
    said = capsys.readouterr().out
    assert "2 of its trials are open, and its study is out of reach: continue the sweep" in said
    assert told_of(root)["quick"] == ("KILLED", "INTERRUPTED")


def test_a_study_that_is_damaged(
    root: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sweep's storage that cannot be opened is named, and does not stop the audit."""

    def close_orphans(_: Path) -> Any:
        raise OSError("no such host")

    monkeypatch.setattr("sinesweep.sweep.orphans.close_orphans", close_orphans)
    assert audit(root) == 1
    assert "quick: its study cannot be opened (no such host)" in capsys.readouterr().out


def test_a_lost_file_of_a_trial(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is gone keeps no end from being told; the audit says how much is missing."""
    Record(folder / "trials" / "0").append("artifact", path="lost.txt", folder=None)
    study(COMPLETE, INTERRUPTED)
    assert audit(root) == 1
    assert "quick: not all could be sent to the tracker, 1 to go (" in capsys.readouterr().out
    assert told_of(root)["trial-00000"] == ("FINISHED", "COMPLETE")
    assert told_of(root)["trial-00001"] == ("KILLED", "INTERRUPTED")

    (folder / "trials" / "0" / "lost.txt").touch()
    assert audit(root) == 0
    assert "quick: sent to the tracker as run " in capsys.readouterr().out


def test_a_sweep_whose_folder_is_gone(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The open runs of a deleted sweep are closed, its own and those of its trials."""
    folder.rename(root / "elsewhere")
    assert audit(root) == 0
    said = capsys.readouterr().out
    assert "sweeps/quick is gone: closed as INTERRUPTED" in said
    assert "sweeps/quick/trials/0 is gone: closed as INTERRUPTED" in said


def test_a_participant_of_a_sweep_that_goes_on(root: Path, study: Callable[..., None]) -> None:
    """What died of it is closed; the parent run, and the others' trials, are left to the others."""
    folder = make_sweep(root, root / "sweeps" / "quick", token="0123")
    study(COMPLETE, INTERRUPTED, RUNNING, COMPLETE, closed=(1,))
    assert audit(root) == 0
    assert told_of(root) == {
        "quick": ("RUNNING", "RUNNING"),
        "trial-00000": ("FINISHED", "COMPLETE"),
        "trial-00001": ("KILLED", "INTERRUPTED"),
    }
    assert record.last_end(folder) is not None


def test_another_participants_trial_that_died(root: Path, study: Callable[..., None]) -> None:
    """Whoever closes it in the study closes its run, and the sweep, where nobody is left."""
    make_sweep(root, root / "sweeps" / "quick", token="0123")
    study(COMPLETE, COMPLETE, INTERRUPTED, closed=(2,))
    assert audit(root) == 0
    told = told_of(root)
    assert told["quick"] == ("KILLED", "INTERRUPTED")
    assert told["trial-00002"] == ("KILLED", "INTERRUPTED")


@pytest.mark.slow
def test_a_killed_sweep_is_audited_and_continued(runner: Runner) -> None:
    """After SIGKILL an audit closes what ran, and the same command goes on in the same run.

    The application keeps its sweeps in a folder of its own: the root knows where.
    """
    command = ("x=0,1,2", "gate=gate", "gated_from=1", "hydra.sweeper.workers=1")
    command = (*command, "hydra.sweeper.tracking={root:mlruns}")
    process = runner.start_sweep(*command)
    until(lambda: len(calls_of(runner.folder)) == 2)
    process.kill()
    process.communicate()
    folder = sweep_folder(runner.folder / "multirun")
    until(lambda: _is_free(folder / LOCK_FILE))
    run_id = runs.run_id(folder)

    done = runner.sinesweep("audit")
    assert done.code == 0, done.err
    assert f"{folder.name}: trial 1: its process is gone: closed" in done.out
    root = runner.folder / "mlruns"
    assert told_of(root) == {
        folder.name: ("KILLED", "INTERRUPTED"),
        "trial-00000": ("FINISHED", "COMPLETE"),
        "trial-00001": ("KILLED", "INTERRUPTED"),
    }

    (runner.folder / "gate").touch()
    done = runner.sweep(*command)
    assert done.code == 0, done.err
    assert runs.run_id(folder) == run_id
    ended = told_of(root)
    assert ended.pop(folder.name) == ("FINISHED", "COMPLETE")
    assert [ended[name][1] for name in sorted(ended)] == [
        "COMPLETE", "INTERRUPTED", "COMPLETE", "COMPLETE",
    ]  # fmt: skip


def _is_free(lock: Path) -> bool:
    taken = take_lock(lock)
    if taken is not None:
        taken.close()
    return taken is not None


def test_deleted_folder_of_a_running_trial(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The run of a trial whose folder was deleted is closed, although the folder is made again."""
    shutil.rmtree(folder / "trials" / "0")
    study(INTERRUPTED, INTERRUPTED)
    assert audit(root) == 0
    assert "closed as INTERRUPTED" in capsys.readouterr().out
    assert "RUNNING" not in stages_of(root)
    assert audit(root) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


@pytest.mark.slow
def test_deleted_folder_of_a_sweep(
    root: Path, folder: Path, study: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    """All runs of a sweep whose folder was deleted are closed."""
    study()
    shutil.rmtree(folder)
    assert audit(root) == 0
    assert "RUNNING" not in stages_of(root)


@pytest.mark.slow
def test_deleted_folder_of_a_sweep_outside_of_the_root(
    root: Path, tmp_path: Path, study: Callable[..., None]
) -> None:
    """An application's own sweep, which the root knows of, is closed as well."""
    study()
    elsewhere = make_sweep(root, tmp_path / "multirun" / "own")
    runs.note_sweep(root, elsewhere)
    shutil.rmtree(elsewhere)
    assert audit(root) == 0
    assert "RUNNING" not in stages_of(root)


@pytest.mark.slow
def test_lost_database_of_a_sweep(
    root: Path,
    folder: Path,
    study: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    as_another_process: Callable[[], None],
) -> None:
    """The parent run and all trials are sent again, and the trials belong to the new parent."""
    study(COMPLETE, INTERRUPTED)
    assert audit(root) == 0
    (root / "mlflow.db").unlink()
    as_another_process()
    assert audit(root) == 0
    assert told_of(root) == {
        "quick": ("KILLED", "INTERRUPTED"),
        "trial-00000": ("FINISHED", "COMPLETE"),
        "trial-00001": ("KILLED", "INTERRUPTED"),
    }
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    trial = runs.run_id(folder / "trials" / "0")
    assert trial is not None
    assert client.get_run(trial).data.tags["mlflow.parentRunId"] == runs.run_id(folder)
    capsys.readouterr()
    assert audit(root) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


def stages_of(root: Path) -> list[str]:
    """Return the status of every run that the tracker has."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.info.status for run in client.search_runs(experiments)]
