"""The audit of runs that no process trains any more, without a training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sinesweep import runs
from sinesweep.commands import main
from sinesweep.tracking import record
from sinesweep.tracking.delivery import Delivery
from sinesweep.tracking.location import locate
from sinesweep.tracking.tracker import Tracker

MakeRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own tracker out of the tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mlruns"


@pytest.fixture
def make_run(root: Path) -> MakeRun:
    """Make a run that its processes have left open, or ended, and that the tracker knows."""

    def make(name: str, *, ended: bool = False, root_id: str | None = None) -> Path:
        folder = root / "runs" / name
        folder.mkdir(parents=True)
        runs.save_config(folder, {"tracking": {"backend": "mlflow"}})
        tags = {
            "sinesweep.run": name,
            "sinesweep.directory": str(folder),
            "sinesweep.root": root_id or runs.make_root_id(root),
        }
        tracker = Tracker(folder, None)
        tracker.begin(name, "experiment", {}, tags, [])
        if ended:
            tracker.end(record.FINISHED, {})
        Delivery(folder, locate(None, root)).pump()
        return folder

    return make


def statuses(root: Path) -> dict[str, str]:
    """Return what the tracker says of each run."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {
        run.data.tags["sinesweep.run"]: run.info.status for run in client.search_runs(experiments)
    }


def test_run_left_open(root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose processes died is closed, the next audit finds nothing."""
    make_run("a")
    assert main(["audit", "--root", str(root)]) == 0
    assert "a: its process is gone: closed as INTERRUPTED" in capsys.readouterr().out
    assert statuses(root) == {"a": "KILLED"}
    assert main(["audit", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


def test_delivery_that_fails(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit that cannot send everything exits with 1, says what remains, and sends the rest."""
    broken, _ = make_run("a"), make_run("b")
    record.Record(broken).append("artifact", path="lost.txt", folder=None)
    assert main(["audit", "--root", str(root)]) == 1
    said = capsys.readouterr()
    assert "a: not all could be sent to the tracker, 1 to go (" in said.out
    assert "b: sent to the tracker as run " in said.out
    assert "sinesweep: 1 of these is not mended: audit again once its cause is" in said.err
    assert statuses(root) == {"a": "KILLED", "b": "KILLED"}

    (broken / "lost.txt").touch()
    assert main(["audit", "--root", str(root)]) == 0
    assert "a: sent to the tracker as run " in capsys.readouterr().out


def test_run_without_a_folder(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """An open run whose folder was deleted from this root is closed, an ended one left as it is."""
    for folder in (make_run("a"), make_run("b", ended=True)):
        shutil.rmtree(folder)
    assert main(["audit", "--root", str(root)]) == 0
    assert "runs/a is gone: closed as INTERRUPTED" in capsys.readouterr().out
    assert statuses(root) == {"a": "KILLED", "b": "FINISHED"}


def test_run_of_another_root_under_the_same_path(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that a container of the same name began under the same path may still be training."""
    shutil.rmtree(make_run("a", root_id="another"))
    runs.make_root_id(root)
    assert main(["audit", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"
    assert statuses(root) == {"a": "RUNNING"}


def test_run_of_a_root_that_was_moved(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that began before the root was moved is not judged by its old path."""
    shutil.rmtree(make_run("a"))
    moved = root.rename(root.with_name("moved"))
    assert main(["audit", "--root", str(moved)]) == 0
    assert statuses(moved) == {"a": "RUNNING"}


def test_nothing_is_created(tmp_path: Path) -> None:
    """An audit of a folder without runs creates nothing."""
    assert main(["audit", "--root", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == []


def _delete(database: Path) -> None:
    database.unlink()


def _empty(database: Path) -> None:
    database.write_bytes(b"")


@pytest.mark.parametrize("lose", [_delete, pytest.param(_empty, marks=pytest.mark.slow)])
def test_lost_database_is_rebuilt_from_the_records(
    root: Path,
    make_run: MakeRun,
    capsys: pytest.CaptureFixture[str],
    lose: Callable[[Path], None],
    as_another_process: Callable[[], None],
) -> None:
    """Runs of a tracker that has lost them are sent again, under ids that it has."""
    folder = make_run("a", ended=True)
    before = runs.run_id(folder)
    lose(root / "mlflow.db")
    as_another_process()
    assert main(["audit", "--root", str(root)]) == 0
    assert "all, since its run was lost" in capsys.readouterr().out
    assert statuses(root) == {"a": "FINISHED"}
    assert runs.run_id(folder) not in (None, before)
    assert main(["audit", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


@pytest.mark.parametrize(
    "move", [shutil.move, pytest.param(shutil.copytree, marks=pytest.mark.slow)]
)
def test_lost_database_of_a_root_that_was_moved(
    root: Path,
    make_run: MakeRun,
    capsys: pytest.CaptureFixture[str],
    move: Callable[[Path, Path], None],
) -> None:
    """The database of the root under its new path gets the runs that the old one had."""
    folder = make_run("a", ended=True)
    moved = root.with_name("another place?")
    move(root, moved)
    (moved / "mlflow.db").unlink()
    assert main(["audit", "--root", str(moved)]) == 0
    assert "all, since its run was lost" in capsys.readouterr().out
    assert runs.run_id(moved / "runs" / folder.name) is not None
    assert main(["audit", "--root", str(moved)]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


def test_run_that_the_user_deleted_stays_deleted(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run in the tracker's trash is neither restored nor sent again, even with new events."""
    folder = make_run("a")
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    run_id = runs.run_id(folder)
    assert run_id is not None
    client.delete_run(run_id)
    assert main(["audit", "--root", str(root)]) == 0
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert statuses(root) == {}
    capsys.readouterr()
    assert main(["audit", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"


def test_runs_of_another_tracker_are_left_alone(
    root: Path, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An audit of one tracker sends it no copy of runs that another one has."""
    make_run("a", ended=True)
    other = tmp_path / "other.db"
    assert main(["audit", "--root", str(root), "--uri", f"sqlite:///{other}"]) == 0
    assert capsys.readouterr().out == "every run is as the tracker says\n"
    assert not other.exists()


@pytest.mark.slow
@pytest.mark.parametrize("left", ["folder", "record"])
def test_open_run_that_no_folder_sends_to_is_closed(
    root: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    """A folder that was created again, and one whose record was removed, end no run."""
    folder = make_run("a")
    if left == "folder":
        shutil.rmtree(folder)
        folder.mkdir()
    else:
        (folder / record.FILE_NAME).unlink()
    assert main(["audit", "--root", str(root)]) == 0
    assert "closed as INTERRUPTED" in capsys.readouterr().out
    assert statuses(root) == {"a": "KILLED"}
