"""Studies by address: what is refused, and that no password is written anywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from participants import sweep
from runner import Done, Runner
from servers import Postgres, TrackingServer, free_port

pytestmark = pytest.mark.services

POINTS = ("x=1,2", "y=0")
INFINITE = ("x=interval(0,1)", "hydra.sweeper.study_name=s", "hydra.sweeper.workers=1")


def assert_refused(done: Done, folder: Path, *words: str) -> None:
    """The command ended with 2, one message, no password, and made nothing."""
    assert done.code == 2, done.err
    for each in words:
        assert each in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "hunter2" not in done.err + done.out
    assert not (folder / "multirun").exists()


def test_a_database_that_does_not_answer(runner: Runner) -> None:
    """Nobody listens: the address is shown without its password."""
    port = free_port()
    done = runner.sweep(*sweep(f"postgresql://me:hunter2@127.0.0.1:{port}/study", *POINTS))
    assert_refused(
        done, runner.folder, "hydra.sweeper.storage: the study's storage must answer, but "
        f"postgresql://***@127.0.0.1:{port}/study does not (", "correct the address",
    )  # fmt: skip


def test_a_wrong_password(runner: Runner, database: str) -> None:
    """The server refuses it, whether it is in the address or in PGPASSWORD."""
    wrong = database.replace(":hunter2@", ":hunter22@")
    words = "password authentication failed"
    assert_refused(runner.sweep(*sweep(wrong, *POINTS)), runner.folder, words)
    done = runner.sweep(*sweep(without_password(database), *POINTS), PGPASSWORD="hunter22")
    assert_refused(done, runner.folder, words)


@pytest.mark.parametrize("key", ["hydra.sweeper.storage", "hydra.sweeper.tracking.uri"])
def test_a_password_with_a_raw_at_sign(runner: Runner, key: str) -> None:
    """SQLAlchemy would take what follows it for the host, and psycopg would show that."""
    address = "postgresql://me:hun@ter2@127.0.0.1:1/x"
    command = f"{key}='{address}'" if "storage" in key else tracked_by(address)
    done = runner.sweep(command, *POINTS)
    assert_refused(done, runner.folder, f"sinesweep: {key}: ", "percent-encoded", "%40")
    assert "ter2" not in done.err + done.out
    assert [path for path in runner.folder.rglob("*") if path.is_file()] == []


def test_a_driver_that_is_missing(runner: Runner, database: str, tmp_path: Path) -> None:
    """The message names the extra that brings it."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "psycopg.py").write_text("raise ModuleNotFoundError('psycopg', name='psycopg')")
    done = runner.sweep(*sweep(database, *POINTS), PYTHONPATH=str(blocked))
    assert_refused(done, runner.folder, 'pip install "sinesweep[postgresql]"')


def tracked_by(uri: str) -> str:
    return f"hydra.sweeper.tracking={{backend:mlflow,uri:'{uri}',root:mlruns,experiment:e}}"


def test_study_and_tracker_in_one_database(
    runner: Runner, database: str, postgres: Postgres
) -> None:
    """It is refused before either has made its tables, however the server is called."""
    tracker = database.replace("127.0.0.1", "localhost")
    done = runner.sweep(*sweep(database, tracked_by(tracker), *POINTS))
    assert_refused(done, runner.folder, "study and tracker must have a database each")
    name = database.rpartition("/")[2]
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname='public'", name) == [
        (0,)
    ]


def test_a_database_with_mlflows_tables(
    runner: Runner, database: str, tracking_server: object
) -> None:
    """It is refused where the tracker is reached by its server, too; another schema is not."""
    assert callable(tracking_server)
    server = tracking_server(database)
    assert isinstance(server, TrackingServer)
    done = runner.sweep(*sweep(database, tracked_by(server.url), *POINTS))
    assert_refused(done, runner.folder, "study and tracker must have a database each")


def test_another_schema(runner: Runner, database: str, postgres: Postgres) -> None:
    """Study and tracker can share a database in schemas of their own."""
    name = database.rpartition("/")[2]
    postgres.execute("CREATE SCHEMA study", name)
    study = f"'{database}?options=-csearch_path%3Dstudy'"
    done = runner.sweep(*sweep(study, tracked_by(database), *POINTS))
    assert done.code == 0, done.err
    assert postgres.execute("SELECT count(*) FROM study.trials", name) == [(2,)]
    assert postgres.execute("SELECT count(*) FROM public.runs", name) == [(3,)]


@pytest.mark.parametrize("how", ["address", "variable"])
def test_no_password_is_written(
    runner: Runner, database: str, postgres: Postgres, how: str
) -> None:
    """Not by a sweep that succeeds, fails, is listed, audited or reported, nor by its tracker."""
    variables = {"PGPASSWORD": "hunter2"} if how == "variable" else {}
    address = without_password(database) if how == "variable" else database
    tracker = f"{database}_tracker"
    postgres.create(tracker.rpartition("/")[2])
    command = sweep(
        address, tracked_by(tracker), "x=1,2,3", "misbehave=raise", "when=2",
        "hydra.sweeper.root=mlruns/sweeps", "hydra.sweeper.report=true",
        "hydra.sweeper.stream=true",
    )  # fmt: skip
    done = [runner.sweep(*command, **variables)]
    assert done[0].code == 0, done[0].err
    listed = [("list",), ("show", "joined"), ("audit", "--uri", tracker)]
    done += [runner.sinesweep(*words, **variables) for words in listed]
    done.append(runner.sweep(*command, "hydra.sweeper.retries=-1", **variables))
    done.append(runner.sweep(*command, "y=7", **variables))
    assert [each.code for each in done[-2:]] == [2, 2]
    for each in done:
        assert "hunter2" not in each.out + each.err
    assert_unwritten(runner.folder / "mlruns")
    for url in (database, tracker):
        assert "hunter2" not in dump(url)


@pytest.mark.parametrize("how", ["file", "interpolation"])
def test_passwords_from_elsewhere(runner: Runner, database: str, tmp_path: Path, how: str) -> None:
    """A password can be in the file that libpq reads, or in a variable that the address names."""
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:sweeper:hunter2\n")
    file.chmod(0o600)
    address, variables = {
        "file": (without_password(database), {"PGPASSFILE": str(file)}),
        "interpolation": ("${oc.env:STUDY}", {"STUDY": database}),
    }[how]
    done = runner.sweep(*sweep(address, *POINTS), **variables)
    assert done.code == 0, done.err
    assert "hunter2" not in done.out + done.err
    assert_unwritten(runner.folder / "multirun")


def without_password(url: str) -> str:
    return url.replace(":hunter2@", "@")


def test_a_journal_by_its_address(runner: Runner) -> None:
    """A study can be in a journal elsewhere, and the same command goes on with it."""
    command = ("hydra.sweeper.storage=journal:///kept/study.journal", *INFINITE)
    assert runner.sweep(*command).code == 2  # the folder is not there
    (runner.folder / "kept").mkdir()
    for total in (2, 3):
        done = runner.sweep(*command, f"hydra.sweeper.n_trials={total}")
        assert done.code == 0, done.err
    assert (runner.folder / "kept" / "study.journal").stat().st_size > 0
    assert f"3/{total}" in done.out


def assert_unwritten(folder: Path) -> None:
    """No file holds the password."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []


def dump(url: str) -> str:
    """Return all that a database holds."""
    done = subprocess.run(["pg_dump", url], capture_output=True, text=True, check=True, timeout=60)
    assert "COPY public.trial" in done.stdout or "COPY public.runs" in done.stdout
    return done.stdout
