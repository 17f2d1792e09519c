"""Runs and sweeps that are told to a tracking server, which comes and goes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from runner import BARE, OWN, ROOT, SMALL, Done, Runner, environment
from servers import LIMIT, Postgres, TrackingServer, free_port, wait_for
from told import all_runs, assert_sweep_is_told, assert_told

from sinesweep.files import take_lock
from sinesweep.tracking import record
from sinesweep.tracking.delivery import LOCK_FILE

pytestmark = pytest.mark.services

OWN_MODEL = ("--config-dir", str(OWN / "conf"), "model=own")
RUN = (*OWN_MODEL, *SMALL[1:], *BARE, "model.misbehave=wait")
# Trials 1, 3 and 5 wait for the test.
SWEEP = (
    "-m", *OWN_MODEL, *SMALL[1:], *BARE, "model.hidden=4,5,6", "model.misbehave=null,wait",
    "hydra.sweeper.workers=2", "hydra.sweeper.report=false",
)  # fmt: skip


class Command:
    """A training or a sweep in the background.

    Args:
        runner: its folder, in which ``gate`` lets those go on that wait.
        arguments: of the command.
    """

    def __init__(self, runner: Runner, *arguments: str) -> None:
        self._runner = runner
        self._errors = runner.folder / "stderr.txt"
        gate = str(runner.folder / "gate")
        with self._errors.open("w") as errors, (runner.folder / "stdout.txt").open("w") as out:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "src" / "train.py"), *arguments],
                cwd=runner.folder, env=environment(PYTHONPATH=str(OWN), GATE=gate),
                stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True,
            )  # fmt: skip

    @property
    def folder(self) -> Path:
        """The only run's, or the only sweep's."""
        (folder,) = (self._runner.folder / "mlruns").glob("[rs]*s/*")
        return folder

    def wait_until_told(self, trial: int | None, name: str = "val/mae") -> None:
        """Wait until the run, or a trial of the sweep, has recorded a metric."""
        self._wait_for(lambda: name in record.metric_history(self._place(trial)))

    def wait_until_ended(self, trial: int) -> None:
        """Wait until a trial has ended."""
        self._wait_for(lambda: record.last_end(self._place(trial)))

    def finish(self) -> Done:
        """Let go on what waits; return what the command came to."""
        (self._runner.folder / "gate").touch()
        code = self._process.wait(LIMIT * 2)
        texts = [(self._runner.folder / f"std{name}.txt").read_text() for name in ("out", "err")]
        return Done(code, *texts)

    def writer(self) -> int:
        """Return the process that sends the record."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode().split("\0")
                is_writer = "sinesweep.tracking.writer" in words
                place = (entry / "cwd").readlink() if is_writer else Path()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
            if self.folder in map(place.joinpath, words):
                return int(entry.name)
        raise AssertionError("there is no writer")

    def kill_writer(self) -> None:
        """End the process that sends the record, and wait until it is no more about it."""
        os.kill(self.writer(), signal.SIGKILL)

        def is_free() -> bool:
            lock = take_lock(self.folder / LOCK_FILE)
            if lock is not None:
                lock.close()
            return lock is not None

        wait_for(is_free)

    def kill(self) -> None:
        """End the command, its workers and its writer at once."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(LIMIT)

    def _place(self, trial: int | None) -> Path:
        (where,) = (self._runner.folder / "mlruns").glob("[rs]*s/*") or [Path("nowhere")]
        return where if trial is None else where / "trials" / str(trial)

    def _wait_for(self, condition: Callable[[], object]) -> None:
        def holds() -> bool:
            assert self._process.poll() is None, self._errors.read_text()
            return any((self._runner.folder / "mlruns").glob("[rs]*s/*")) and bool(condition())

        wait_for(holds)


@pytest.fixture
def server(database: str, tracking_server: Callable[[str], TrackingServer]) -> TrackingServer:
    """A server with a PostgreSQL store and artifacts that go through it."""
    return tracking_server(database)


@pytest.fixture
def start(runner: Runner) -> Iterator[Callable[..., Command]]:
    """Start commands in the test's folder."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> Command:
            command = Command(runner, *arguments)
            stack.callback(command.kill)
            return command

        yield begin


@contextmanager
def nobody_answers(port: int) -> Iterator[None]:
    """Take a port, and let connections to it hang: neither accepted nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        for _ in range(3):  # more than wait to be accepted
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield


@contextmanager
def refused(port: int) -> Iterator[None]:
    """Leave a port to nobody."""
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port))
    yield


def warnings_of(done: Done) -> list[str]:
    """Return what a command says of itself as warnings and errors."""
    return re.findall(r"^sinesweep: .*(?:\n  .*)?", done.err, re.MULTILINE)


@pytest.mark.parametrize("absent", [refused, nobody_answers])
@pytest.mark.parametrize("command", [SMALL, ("-m", *SMALL, "model.layers=1,2")])
def test_a_server_that_is_down_at_the_start(
    runner: Runner, command: tuple[str, ...], absent: Callable[[int], ExitStack]
) -> None:
    """One message, exit code 2, and nothing is created, by a run and by a sweep."""
    port = free_port()
    with absent(port):
        done = runner.train(*command, f"tracking.uri=http://127.0.0.1:{port}")

    assert done.code == 2
    assert warnings_of(done) == [done.err.strip()]
    assert f"the tracker must answer, but http://127.0.0.1:{port} does not" in done.err
    assert list(runner.folder.iterdir()) == []


def test_a_server_that_goes_away_for_a_while(
    server: TrackingServer, start: Callable[..., Command]
) -> None:
    """Trials go on, and all that they record is at the server once it is back."""
    sweep = start(*SWEEP, f"tracking.uri={server.url}")
    sweep.wait_until_told(1)
    server.stop()
    sweep.wait_until_ended(2)  # it began and ended while nobody answered
    server.start()
    done = sweep.finish()

    assert done.code == 0, done.err
    assert warnings_of(done) == []
    assert_sweep_is_told(MlflowClient(server.url), sweep.folder)


@pytest.mark.parametrize("absent", [refused, nobody_answers])
def test_a_server_that_stays_away_from_a_run(
    runner: Runner,
    server: TrackingServer,
    start: Callable[..., Command],
    absent: Callable[[int], ExitStack],
) -> None:
    """The run ends well, says what sends the rest, and that does once the server is back."""
    run = start(*RUN, f"tracking.uri={server.url}")
    run.wait_until_told(None)
    server.stop()
    with absent(server.port):
        assert_is_warned(run.finish(), server)
        assert_is_complete(run.folder)
        done = runner.sinesweep("sync", "--uri", server.url)
    assert done.code == 1
    assert f"{run.folder.name}: not all could be sent to the tracker, " in done.out
    assert "the tracker does not answer" in done.out
    assert re.search(r"^sinesweep: still to be sent: \d+ events of 1 record;", done.err)

    server.start()
    done = runner.sinesweep("sync", "--uri", server.url)
    assert done.code == 0, done.err
    assert re.match(rf"{run.folder.name}: sent to the tracker as run \w+: \d+ events\n$", done.out)
    assert_told(MlflowClient(server.url), run.folder)
    done = runner.sinesweep("sync", "--uri", server.url)
    assert (done.code, done.out) == (0, "the tracker has everything that was recorded in mlruns\n")


def test_a_server_that_stays_away_from_a_sweep(
    runner: Runner, server: TrackingServer, start: Callable[..., Command]
) -> None:
    """The sweep ends well with all its trials on disk, to be sent later."""
    sweep = start(*SWEEP, f"tracking.uri={server.url}")
    sweep.wait_until_told(1)
    server.stop()
    assert_is_warned(sweep.finish(), server)
    assert_is_complete(sweep.folder)
    for trial in range(6):
        assert_is_complete(sweep.folder / "trials" / str(trial))

    server.start()
    done = runner.sinesweep("sync", "--uri", server.url)
    assert done.code == 0, done.err
    assert_sweep_is_told(MlflowClient(server.url), sweep.folder)


def assert_is_warned(done: Done, server: TrackingServer) -> None:
    """A command did what it was to do, and says once how to send what was not sent."""
    assert done.code == 0, done.err
    (warning,) = warnings_of(done)
    assert "the tracker did not take everything" in warning
    assert warning.endswith(f"\n  sinesweep sync --uri {server.url}")


def assert_is_complete(folder: Path) -> None:
    """A record has its end, and every file that it names is there."""
    end = record.last_end(folder)
    assert end is not None
    assert end["status"] == "FINISHED"
    events = [event for event, _ in record.read(folder)]
    files = [folder / event["path"] for event in events if event["kind"] == "artifact"]
    assert files
    assert all(file.is_file() for file in files)


def test_a_writer_that_is_killed(
    runner: Runner, server: TrackingServer, start: Callable[..., Command]
) -> None:
    """What it had not sent is sent while the sweep goes on, and after; nothing is there twice."""
    sweep = start(*SWEEP, f"tracking.uri={server.url}")
    sweep.wait_until_told(1)
    sweep.kill_writer()
    sweep.wait_until_ended(2)
    client = MlflowClient(server.url)
    done = runner.sinesweep("sync", "--uri", server.url)
    assert done.code == 0, done.err
    found = all_runs(client)
    assert found[sweep.folder.name].info.status == "RUNNING", done.out
    assert found["trial-00001"].info.status == "RUNNING", done.out
    assert "trial-00002" in found, done.out
    assert found["trial-00002"].info.status == "FINISHED", done.out
    assert_is_warned(sweep.finish(), server)

    done = runner.sinesweep("sync", "--uri", server.url)
    assert done.code == 0, done.err
    assert_sweep_is_told(client, sweep.folder)


def test_sync_does_not_judge_what_was_killed(
    runner: Runner, server: TrackingServer, start: Callable[..., Command]
) -> None:
    """What a killed sweep left is sent, and stays RUNNING until an audit closes it."""
    sweep = start(*SWEEP, f"tracking.uri={server.url}")
    sweep.wait_until_told(1)
    sweep.kill_writer()
    sweep.wait_until_told(3)
    sweep.kill()
    client = MlflowClient(server.url)
    assert runner.sinesweep("sync", "--uri", server.url).code == 0
    assert all_runs(client)[sweep.folder.name].info.status == "RUNNING"
    assert_told(client, sweep.folder / "trials" / "3")

    assert runner.sinesweep("audit", "--uri", server.url).code == 0
    assert "RUNNING" not in {run.info.status for run in all_runs(client).values()}
    assert_sweep_is_told(client, sweep.folder)


def test_a_servers_password_is_nowhere(
    runner: Runner,
    postgres: Postgres,
    database: str,
    server: TrackingServer,
    start: Callable[..., Command],
) -> None:
    """Whatever is written while a server answers, hangs and refuses, its password is not in it."""
    password = "s3cr3t-word"
    uri = server.url.replace("//", f"//ann:{password}@")
    sweep = start(*SWEEP, f"tracking.uri={uri}")
    sweep.wait_until_told(1)
    server.stop()
    with nobody_answers(server.port):
        done = sweep.finish()
        said = [
            done,
            runner.sinesweep("sync", "--uri", uri),
            runner.sinesweep("audit", "--uri", uri),
        ]
        said += [runner.train(*SMALL, f"tracking.uri={uri}")]
    said += [runner.sinesweep("sync", "--uri", uri)]
    server.start()
    said += [runner.sinesweep("sync", "--uri", uri)]
    assert [done.code for done in said] == [0, 1, 2, 2, 1, 0]

    written = {f"command {n}": f"{done.out}{done.err}" for n, done in enumerate(said)}
    written |= dict(files_below(runner.folder))
    written |= dict(files_below(server.folder))
    written |= dict(rows_of(postgres, database.rpartition("/")[2]))
    assert any("http://***@127.0.0.1" in text for text in written.values())
    assert [place for place, text in written.items() if password in text] == []


def files_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the content of every file in a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes().decode(errors="replace")


def rows_of(postgres: Postgres, database: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of every table of a database."""
    tables = postgres.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database
    )
    for (table,) in tables:
        yield str(table), str(postgres.execute(f'SELECT t::text FROM "{table}" t', database))
