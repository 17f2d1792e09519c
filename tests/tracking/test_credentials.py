import base64
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sinesweep.tracking.credentials import authorization

PLAIN = urlsplit("http://db.example:5000")
WITH_LOGIN = urlsplit("http://uri:u%3Aw@db.example:5000")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home without any login, and no login in the environment."""
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def basic(login: str) -> str:
    """Return the header for ``user:password``."""
    return "Basic " + base64.b64encode(login.encode()).decode()


def write_netrc(home: Path) -> None:
    (home / ".netrc").write_text("machine db.example login net password rc\n")


def write_mlflow_file(home: Path) -> None:
    (home / ".mlflow").mkdir()
    (home / ".mlflow" / "credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = file\nmlflow_tracking_password = pw\n"
    )


def set_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "env")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")


def test_nothing() -> None:
    """Without credentials there is no header."""
    assert authorization(PLAIN) is None


@pytest.mark.parametrize("uri", ["http://ann@db.example", "http://@db.example"])
def test_user_alone(uri: str) -> None:
    """A user without a password is no login, as for MLflow."""
    assert authorization(urlsplit(uri)) is None


def test_address_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The login of the address goes before that of the environment, decoded."""
    set_variables(monkeypatch)
    assert authorization(PLAIN) == basic("env:pw")
    assert authorization(WITH_LOGIN) == basic("uri:u:w")


def test_variables_before_file_and_token(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Variables go before MLflow's file, and user and password before the token."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    assert authorization(PLAIN) == "Bearer abc"
    write_mlflow_file(home)
    assert authorization(PLAIN) == basic("file:pw")
    set_variables(monkeypatch)
    assert authorization(PLAIN) == basic("env:pw")


def test_netrc_first(home: Path) -> None:
    """A netrc file goes before all, for the hosts that it names."""
    write_netrc(home)
    assert authorization(WITH_LOGIN) == basic("net:rc")
    assert authorization(urlsplit("http://uri:pw@other.example")) == basic("uri:pw")


def test_broken_netrc(home: Path) -> None:
    """A netrc file that cannot be read is no login."""
    (home / ".netrc").write_text("nonsense {")
    assert authorization(WITH_LOGIN) == basic("uri:u:w")


@pytest.mark.parametrize("login", ["address", "variables", "both", "file", "netrc", "token"])
def test_as_mlflow_does(monkeypatch: pytest.MonkeyPatch, home: Path, login: str) -> None:
    """The header is the one that MLflow's own client sends."""
    import requests
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    sent: list[requests.PreparedRequest] = []

    def answer(self: object, request: requests.PreparedRequest, **_: object) -> requests.Response:
        sent.append(request)
        response = requests.Response()
        response.status_code = 200
        response.request = request
        response.url = str(request.url)
        response.raw = None
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", answer)
    if login in ("variables", "both"):
        set_variables(monkeypatch)
    if login == "file":
        write_mlflow_file(home)
    if login == "netrc":
        write_netrc(home)
    if login == "token":
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abc")
    address = WITH_LOGIN if login in ("address", "both", "netrc") else PLAIN

    http_request(get_default_host_creds(address.geturl()), "/x", "GET", stream=True)

    assert sent[0].headers["Authorization"] == authorization(address)
