"""Records that are sent later, without a training and without a judgement."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sinesweep import runs
from sinesweep.commands import main
from sinesweep.files import take_lock
from sinesweep.sweep.entry import COMPLETE, Entry
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.delivery import LOCK_FILE
from sinesweep.tracking.sweep_record import SweepRecord
from sinesweep.tracking.tracker import Tracker

MakeRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own tracker out of the tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "mlruns"
    folder.mkdir()
    return folder


@pytest.fixture
def make_run(root: Path) -> MakeRun:
    """Make a run that a killed process has left, and of which nothing was sent."""

    def make(name: str, backend: str = "mlflow") -> Path:
        folder = root / "runs" / name
        folder.mkdir(parents=True)
        runs.save_config(folder, {"tracking": {"backend": backend}})
        tracker = Tracker(folder, None)
        tracker.begin(name, "experiment", {}, {"sinesweep.run": name}, [])
        tracker.log_metrics({"val/mae": 0.5}, step=0)
        return folder

    return make


def make_sweep(folder: Path) -> Path:
    """Make a sweep of one trial that has ended, and of which nothing was sent."""
    folder.mkdir(parents=True)
    (folder / SWEEP_LOCK).touch()
    account = SweepRecord(folder)
    name = folder.parent.name + folder.name
    account.begin(name=name, experiment="e", params={}, tags={})
    account.trial_ended(
        Entry(
            number=0,
            state=COMPLETE,
            outcome=COMPLETE,
            values=(0.5,),
            params={"x": 1},
            overrides=[],
            directory=folder / "trials" / "0",
            start=None,
            seconds=None,
            error=None,
            origin=None,
        )
    )
    return folder


def sync(root: Path, *more: str) -> int:
    """Run the command."""
    return main(["sync", "--root", str(root), *more])


def statuses(root: Path) -> list[tuple[str, str]]:
    """Return (name, status) of every run that the tracker has."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return sorted((run.info.run_name or "", run.info.status) for run in found)


def test_what_a_killed_run_left(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is sent, once, and stays as open as its record; only an audit closes it."""
    make_run("a")
    assert sync(root) == 0
    assert re.match(r"a: sent to the tracker as run \w+: 2 events\n$", capsys.readouterr().out)
    assert statuses(root) == [("a", "RUNNING")]
    assert sync(root) == 0
    assert capsys.readouterr().out == f"the tracker has everything that was recorded in {root}\n"
    assert statuses(root) == [("a", "RUNNING")]
    assert main(["audit", "--root", str(root)]) == 0
    assert statuses(root) == [("a", "KILLED")]


def test_sweeps_wherever_they_are(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those in the root, those who joined them, and those that an application keeps elsewhere."""
    make_sweep(root / "sweeps" / "quick")
    make_sweep(root / "sweeps" / "quick" / "joined" / "2")
    runs.note_sweep(root, make_sweep(tmp_path / "multirun" / "other"))
    assert sync(root) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["quick", "quick/joined/2", "other"]
    assert [status for _, status in statuses(root)].count("FINISHED") == 3
    assert [status for _, status in statuses(root)].count("RUNNING") == 3


def test_a_file_that_is_lost(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """What remains is counted, with its cause, and does not keep other runs back."""
    record.Record(make_run("a")).append("artifact", path="lost.txt", folder=None)
    make_run("b")
    assert sync(root) == 1
    said = capsys.readouterr()
    assert re.search(r"^a: not all could be sent to the tracker, 1 to go \(.*lost\.txt", said.out)
    assert "b: sent to the tracker as run " in said.out
    assert said.err.endswith(
        "sinesweep: still to be sent: 1 event of 1 record; sync again once the cause is mended\n"
    )


def test_a_tracker_that_does_not_answer(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that waits to be sent is counted, and where nothing waits nothing is missed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://ann:hunter2@127.0.0.1:{probe.getsockname()[1]}"
    assert sync(root, "--uri", uri) == 0
    make_run("a")
    make_run("b")
    capsys.readouterr()
    assert sync(root, "--uri", uri) == 1
    said = capsys.readouterr()
    assert "b: not all could be sent to the tracker, 2 to go (the tracker does not" in said.out
    assert "sinesweep: still to be sent: 4 events of 2 records;" in said.err
    assert "hunter2" not in said.out + said.err


def test_a_writer_that_is_still_sending(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that another process is sending is left to it."""
    lock = take_lock(make_run("a") / LOCK_FILE)
    assert lock is not None
    with closing(lock):
        assert sync(root) == 0
    assert capsys.readouterr().out == "a: its writer is still sending\n"


def test_what_was_not_to_be_tracked(root: Path, make_run: MakeRun) -> None:
    """A run without a tracker is not sent to one."""
    make_run("a", backend="none")
    assert sync(root) == 0
    assert not (root / "mlflow.db").exists()


def test_an_address_that_cannot_be_a_tracker(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused, and nothing is created."""
    assert sync(root, "--uri", "mlruns") == 2
    assert "--uri: must be a database or a server" in capsys.readouterr().err
    assert list(root.iterdir()) == []
