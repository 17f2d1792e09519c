"""Where the tracker is, and whether it answers; without importing MLflow."""

from __future__ import annotations

import importlib.util
import os
import socket
import sqlite3
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sinesweep.errors import InputError
from sinesweep.redaction import redact

_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_ANSWER_WITHIN = 5.0  # seconds


@dataclass(frozen=True)
class Location:
    """A tracker's address.

    Attributes:
        uri: as MLflow takes it; it may hold credentials, so it is never shown or written.
        artifacts: the folder for artifacts, or None where a server chooses.
    """

    uri: str
    artifacts: Path | None

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return redact(self.uri)


def locate(uri: str | None, root: Path) -> Location:
    """Find the tracker: the configured URI, else MLFLOW_TRACKING_URI, else a database in root."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    artifacts = root.absolute() / "artifacts"
    if not chosen:
        return Location(f"sqlite:///{root.absolute() / 'mlflow.db'}", artifacts)
    return Location(chosen, artifacts if chosen.startswith("sqlite:") else None)


def check(location: Location) -> None:
    """Refuse a tracker that is not installed, not supported or does not answer.

    Raises:
        InputError: naming the address without credentials.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise InputError(
            "tracking.backend: mlflow must be installed, but is not: "
            "pip install 'sinesweep[mlflow]', or run with tracking=none"
        )
    parts = urlsplit(location.uri)
    scheme = parts.scheme.split("+")[0]
    if scheme in ("", "file"):
        raise InputError(
            f"tracking.uri: must be a database or a server, but is {location.shown!r}: MLflow "
            "refuses plain folders, use sqlite:///path/to/mlflow.db"
        )
    try:
        if scheme == "sqlite":
            _open_database(Path(location.uri.split(":///", 1)[1]))
        elif scheme in ("http", "https"):
            _get(location.uri.rstrip("/") + "/health")
        elif parts.hostname:
            address = (parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme, 0))
            socket.create_connection(address, timeout=_ANSWER_WITHIN).close()
    except (OSError, sqlite3.Error, ValueError) as error:
        raise InputError(
            f"tracking.uri: the tracker must answer, but {location.shown} does not "
            f"({redact(str(error))}): start it, correct the address, or run with tracking=none"
        ) from None


def _open_database(path: Path) -> None:
    if not path.exists():
        return
    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_ANSWER_WITHIN)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()


def _get(url: str) -> None:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=host).geturl())  # http(s) only
    try:
        urllib.request.urlopen(request, timeout=_ANSWER_WITHIN).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 500:
            raise
