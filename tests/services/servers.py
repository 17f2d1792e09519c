"""Real servers for tests, on loopback and free ports, in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from runner import environment

LIMIT = 180  # seconds: no wait hangs a test, and a busy machine is given time
_QUESTION = "/api/2.0/mlflow/experiments/search?max_results=1"
# nothing here judges answers of language models, for which it would start four processes more
_LIGHT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_AS_POSTGRES = ("--reuid=postgres", "--regid=postgres", "--clear-groups")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Postgres:
    """A PostgreSQL server from Debian's binaries; it is stopped and started as a test likes.

    PostgreSQL refuses to run as root, so there it runs as the account that its package makes.

    Attributes:
        folder: of its own; its data are in it.
        password: of the account ``sweeper``, which every connection needs.
        port: where it listens.
    """

    folder: Path
    password: str
    port: int

    @classmethod
    def make(cls, folder: Path, password: str = "hunter2") -> Postgres:
        """Make the server's files and start it."""
        made = cls(folder, password, free_port())
        folder.mkdir(parents=True, mode=0o755)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        secret = folder / "password"
        secret.write_text(password)
        secret.chmod(0o644)
        made._run(
            "initdb", "--username=sweeper", "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--no-locale", "--no-sync", f"--pgdata={folder / 'data'}",
        )  # fmt: skip
        secret.unlink()
        made.start()
        return made

    def url(self, database: str, *, password: bool = True) -> str:
        """Return a database's address, with the password or without."""
        account = f"sweeper:{self.password}" if password else "sweeper"
        return f"postgresql://{account}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Make a database."""
        self.execute(f"CREATE DATABASE {database}")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement; return its rows, if it has any."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it; it takes connections when this returns."""
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off "
            f"-c unix_socket_directories={self.folder}"
        )
        self._run(
            "pg_ctl", "start", "-w", f"--pgdata={self.folder / 'data'}",
            f"--log={self.folder / 'log'}", f"--options={options}",
        )  # fmt: skip

    def stop(self) -> None:
        """Stop it at once; connections break."""
        self._run("pg_ctl", "stop", "-w", "--mode=immediate", f"--pgdata={self.folder / 'data'}")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(binary(program)), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", *_AS_POSTGRES, *command]
        # Its output goes to a file: the server would keep a pipe open.
        with (self.folder / f"{program}.log").open("ab") as log:
            done = subprocess.run(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                timeout=LIMIT,
            )  # fmt: skip
        assert done.returncode == 0, (self.folder / f"{program}.log").read_text()


def binary(program: str) -> Path:
    """Return where one of PostgreSQL's programs is."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    on_path = shutil.which(program)
    assert found or on_path, f"{program} must be installed: apt-get install postgresql"
    return found[-1] if found else Path(str(on_path))


@dataclass
class TrackingServer:
    """``mlflow server`` with proxied artifacts; it is stopped and started as a test likes.

    Attributes:
        folder: of its artifacts and its log.
        store: the database's address.
        port: where it listens.
    """

    folder: Path
    store: str
    port: int
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(
        self, command: list[str] | None = None, variables: dict[str, str] | None = None
    ) -> None:
        """Start it; it answers when this returns.

        Args:
            command: another one than the tests' own.
            variables: the environment for that.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command or self._command(), cwd=self.folder, env=variables or environment(**_LIGHT),
                start_new_session=True, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self._answers)

    def _command(self) -> list[str]:
        return [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
            "--port", str(self.port), "--backend-store-uri", self.store, "--workers", "1",
            "--artifacts-destination", str(self.folder / "artifacts"), "--serve-artifacts",
        ]  # fmt: skip

    def stop(self) -> None:
        """Kill it and all that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            wait_for(self._port_is_free)  # the last of its processes may live a moment longer

    def _port_is_free(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()
        try:
            # Its first answer takes long: it imports, and makes the database's tables.
            with urllib.request.urlopen(f"{self.url}{_QUESTION}", timeout=LIMIT) as answer:
                return answer.status == 200
        except (URLError, ConnectionError, TimeoutError):
            return False


class Relay:
    """Stands between a server and who connects to it; it can fall silent, as a firewall makes it.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._speaks = threading.Event()
        self._speaks.set()
        self.unheard = 0  # connections that were accepted in silence
        self._ends: list[socket.socket] = []
        self._passing: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def fall_silent(self) -> None:
        """Pass nothing on; accept connections, and say nothing."""
        self._speaks.clear()

    def speak(self) -> None:
        """Pass on what is said from now on; what was said before is lost with its connection."""
        self._speaks.set()

    def close(self) -> None:
        """End all connections, and accept no more."""
        self.speak()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for each in self._ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._passing:
            thread.join()
        for each in (self._listener, *self._ends):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                self._ends.append(client)
                self.unheard += not self._speaks.is_set()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._ends.append(server)
                for pair in ((client, server), (server, client)):
                    self._passing.append(threading.Thread(target=self._pass_on, args=pair))
                    self._passing[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one of them has gone
            while content := source.recv(1 << 16):
                if not self._speaks.is_set():
                    self._speaks.wait()
                    break
                target.sendall(content)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def wait_for(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait for a condition; fail when it does not come."""
    give_up = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < give_up, "what was waited for did not come"
        time.sleep(0.05)
