import base64
import importlib.util
import os
import re
import socket
import socketserver
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from sinesweep.errors import InputError
from sinesweep.tracking.connection import open_client
from sinesweep.tracking.location import Location, check, locate, sqlite_uri


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own tracker and logins out of the tests."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.delenv("NETRC", raising=False)


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_default_is_a_database_in_root(tmp_path: Path) -> None:
    """Without an address runs go to a database in root, and artifacts beside it."""
    expected = Location(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    assert locate(None, tmp_path) == expected


def test_default_does_not_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root is made absolute."""
    monkeypatch.chdir(tmp_path)
    assert locate(None, Path("mlruns")) == locate(None, tmp_path / "mlruns")


def test_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own variable is taken where no address is configured."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert locate(None, tmp_path) == Location("http://host:5000", None)


def test_configured_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured address goes before MLflow's variable."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    assert locate("http://host:5000", tmp_path).uri == "http://host:5000"


def test_configured_database(tmp_path: Path) -> None:
    """A database elsewhere still has its artifacts in root."""
    uri = "sqlite:////elsewhere/mlflow.db"
    assert locate(uri, tmp_path) == Location(uri, tmp_path / "artifacts")


def test_a_password_that_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database's driver would show a piece of it; a server's address is read to its last @."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:hun@ter2@db.example/x")
    with pytest.raises(InputError, match=r"^tracking.uri: .*%40") as caught:
        locate(None, tmp_path)
    assert "ter2" not in str(caught.value)
    assert locate("http://me:hun@ter2@host:5000", tmp_path).shown == "http://***@host:5000"


def test_shown_has_no_credentials() -> None:
    """The address that is shown has no credentials."""
    assert Location("http://ann:hunter2@host:5000", None).shown == "http://***@host:5000"


@pytest.mark.parametrize("uri", ["mlruns", "/tmp/mlruns", "file:///tmp/mlruns", "./runs"])
def test_file_store(uri: str) -> None:
    """A plain folder is refused, with the kind of address to use."""
    message = f"tracking.uri: must be a database or a server, but is {uri!r}: "
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*use sqlite:///"):
        check(Location(uri, None))


@pytest.mark.parametrize(
    "uri", ["sqlite://", "sqlite:mlflow.db", "http://[::1", "http://host:port", "ftp:xx"]
)
def test_misspelt_address(uri: str) -> None:
    """An address that cannot be one is refused by what it says."""
    with pytest.raises(InputError, match=f"^tracking.uri: .*{re.escape(uri)}"):
        check(Location(uri, None))


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_dead_server(closed_port: int, scheme: str) -> None:
    """A server that does not answer is refused, and the message has no credentials."""
    address = f"127.0.0.1:{closed_port}"
    message = f"tracking.uri: the tracker must answer, but {scheme}://***@{address}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*refused") as caught:
        check(Location(f"{scheme}://ann:hunter2@{address}", None))
    assert "hunter2" not in str(caught.value)


def test_refusal_has_no_hidden_cause(closed_port: int) -> None:
    """The refusal carries no other exception that a traceback would print."""
    with pytest.raises(InputError, match="must answer") as caught:
        check(Location(f"http://ann:hunter2@127.0.0.1:{closed_port}", None))
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


class _Server(HTTPServer):
    """A stand-in for MLflow's server, which notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.status = 200
        self.body = b"{}"
        self.admitted: str | None = None  # the only header that is let in, if any
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    """Answers every request with the server's status."""

    server: _Server

    def do_GET(self) -> None:  # the name that http.server calls
        self.server.asked.append(self.path)
        refused = self.server.admitted not in (None, self.headers["Authorization"])
        self.send_response(401 if refused else self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *arguments: object) -> None:
        """Keep the screen clean."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server on loopback."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("end", ["", "/", "/prefix/"])
def test_server_is_asked_as_mlflow_asks(server: _Server, end: str) -> None:
    """A server is asked for what only those get whom it lets in."""
    check(Location(f"http://{server.host}{end}", None))
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert server.asked == [f"{end.rstrip('/')}{path}"]


ANN = "Basic " + base64.b64encode(b"ann:hun@ter2").decode()


def test_login_in_the_address(server: _Server) -> None:
    """User and password of the address are shown to the server."""
    server.admitted = ANN
    check(Location(f"http://ann:hun%40ter2@{server.host}", None))
    with pytest.raises(InputError, match="the tracker must let us in"):
        check(Location(f"http://ann:wrong@{server.host}", None))


def test_login_in_the_environment(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's variables for user and password are shown to the server."""
    server.admitted = ANN
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hun@ter2")
    check(Location(f"http://{server.host}", None))
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    with pytest.raises(InputError, match="the tracker must let us in"):
        check(Location(f"http://{server.host}", None))


def test_token_in_the_environment(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's token is shown to the server."""
    server.admitted = "Bearer hunter2"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    check(Location(f"http://{server.host}", None))


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_login(server: _Server, status: int) -> None:
    """Refused credentials are told with the server's answer, and are not in the message."""
    server.status = status
    message = (
        f"tracking.uri: the tracker must let us in, but http://***@{server.host} refuses these "
        f"credentials (HTTP Error {status}: "
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}.*MLFLOW_TRACKING") as caught:
        check(Location(f"http://ann:hunter2@{server.host}", None))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_missing_login(server: _Server) -> None:
    """A server that wants a login is told from one that refuses it."""
    server.status = 401
    with pytest.raises(InputError, match="refuses us without credentials"):
        check(Location(f"http://{server.host}", None))


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4"])
def test_login_that_only_mlflow_can_do(
    server: _Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Where a plugin of MLflow's logs in, a refusal of the question says nothing."""
    server.status = 403
    monkeypatch.setenv(variable, "true")
    check(Location(f"http://{server.host}", None))


@pytest.mark.parametrize("status", [404, 500, 503])
def test_broken_server(server: _Server, status: int) -> None:
    """A server that answers with another error is refused."""
    server.status = status
    with pytest.raises(InputError, match=f"must answer, but .* does not .*{status}"):
        check(Location(f"http://{server.host}", None))


@pytest.mark.parametrize("body", [b"<html>log in here</html>", b"", b"\xff"])
def test_server_of_another_program(server: _Server, body: bytes) -> None:
    """A server that answers, but not as MLflow does, is refused."""
    server.body = body
    with pytest.raises(InputError, match=r"what answers at /api/.* is not MLflow"):
        check(Location(f"http://{server.host}", None))


class _MailGreeting(socketserver.BaseRequestHandler):
    """Answers as a mail server does."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"220 mail ESMTP\r\n\r\n")


def test_server_of_another_kind() -> None:
    """A server that does not speak HTTP is refused."""
    with socketserver.TCPServer(("127.0.0.1", 0), _MailGreeting) as server:
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        with pytest.raises(InputError, match=r"the tracker must answer, but http:.* does not"):
            check(Location(f"http://127.0.0.1:{server.server_address[1]}", None))
        thread.join()


def test_workspace_without_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workspace that MLflow's client could not find is refused, and one with a host is not."""
    profiles = tmp_path / "profiles"
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
    monkeypatch.delenv("DATABRICKS_HOST", raising=False)
    with pytest.raises(InputError, match=r"profiles has no profile x with a host\)"):
        check(Location("databricks://x", None))
    with pytest.raises(InputError, match=r"profiles has no profile DEFAULT with a host\)"):
        check(Location("databricks://", None))
    profiles.write_text("[x]\nhost = https://example.org\n")
    check(Location("databricks://x", None))


def test_database_where_none_can_be_made() -> None:
    """A database in a folder that takes no file is refused before anything begins."""
    with pytest.raises(InputError, match=r"^tracking.uri: the tracker must answer, but .*/y.db "):
        check(Location("sqlite:////proc/x/y.db", None))


def test_database_in_memory() -> None:
    """A tracker that ends with the command is refused."""
    with pytest.raises(InputError, match=r"^tracking.uri: must be a database or a server"):
        check(Location("sqlite:///:memory:", None))


def test_database_that_is_not_there(tmp_path: Path) -> None:
    """A new database passes, and checking does not create it."""
    check(Location(f"sqlite:///{tmp_path / 'mlflow.db'}", None))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "número", "runs #1", "what?", "a%20b", "a%23"]
)
def test_database_that_is_whole(tmp_path: Path, folder: str) -> None:
    """A whole database passes, whatever its folder is called, and no other is created."""
    path = tmp_path / folder / "mlflow.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    check(Location(f"sqlite:///{path}", None))
    assert [entry.name for entry in tmp_path.iterdir()] == [folder]


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"x" * 84]
)
def test_corrupt_database(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is refused with SQLite's reason, and left as it is."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    message = f"tracking.uri: the tracker must answer, but sqlite:///{path} does not (file is not a"
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        check(Location(f"sqlite:///{path}", None))
    assert path.read_bytes() == content


def test_folder_in_place_of_the_database(tmp_path: Path) -> None:
    """A folder where the database should be is refused."""
    with pytest.raises(InputError, match="the tracker must answer, but sqlite:"):
        check(Location(f"sqlite:///{tmp_path}", None))


def test_mlflow_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where MLflow is missing, the command that installs it is named."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"mlflow must be installed.*sinesweep\[mlflow\]"):
        check(locate(None, tmp_path))


NAMES = [
    "what?",
    "my%20project",
    "100%",
    "a#b",
    "a;b",
    "a b",
    "日本 é",
    "a=b&c",
    "%3F",
    "a+b",
    ":x",
]


@pytest.mark.parametrize("name", NAMES)
def test_database_is_in_the_root_whatever_its_name(tmp_path: Path, name: str) -> None:
    """SQLAlchemy finds the very file, for the default and for a configured address."""
    root = tmp_path / name / "mlruns"
    location = locate(None, root)
    assert location.database == root / "mlflow.db"
    assert make_url(location.uri).database == str(root / "mlflow.db")
    assert locate(sqlite_uri(root / "mlflow.db"), root) == location


@pytest.mark.parametrize("name", ["what?", "my%20project"])
def test_tracker_is_in_the_root_whatever_its_name(tmp_path: Path, name: str) -> None:
    """MLflow's tables, a run and its file are inside the folder, and nothing is outside."""
    root = tmp_path / name
    root.mkdir()
    location = locate(None, root)
    client = open_client(location)
    assert location.artifacts is not None
    experiment = client.create_experiment("e", location.artifacts.as_uri())
    run = client.create_run(experiment)
    (root / "file.txt").write_text("content")
    client.log_artifact(run.info.run_id, str(root / "file.txt"))
    assert (root / "mlflow.db").stat().st_size > 0
    assert list((root / "artifacts").rglob("file.txt"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_question_mark_in_an_address_is_refused() -> None:
    """A path that would be cut is refused with the address to use; a query is none."""
    message = r"^tracking.uri: a question mark .*use 'sqlite:////a/what%3F/mlflow.db'$"
    with pytest.raises(InputError, match=message):
        locate("sqlite:////a/what?/mlflow.db", Path("/a"))
    uri = "sqlite:////a/mlflow.db?timeout=30"
    assert locate(uri, Path("/a")).uri == uri
