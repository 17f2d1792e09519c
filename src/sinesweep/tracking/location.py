"""Where the tracker is, and whether it answers; without importing MLflow."""

from __future__ import annotations

import hashlib
import http.client
import importlib.util
import json
import os
import re
import socket
import sqlite3
import tempfile
import urllib.error
import urllib.request
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from sinesweep.errors import InputError
from sinesweep.redaction import (
    learn_addresses,
    redact,
    redact_address,
    refuse_cut_password,
    refuse_malformed,
)
from sinesweep.tracking.credentials import HELP, authorization, only_mlflow_can_log_in

_SERVERS = ("http", "https")
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_ANSWER_WITHIN = 10.0  # seconds
_BUSY_FOR = 30.0  # seconds that another run may take to make its tables
_SQLITE = "sqlite:///"
_SQLITE_WITH_DRIVER = "sqlite+pysqlite:///"
_QUERY = re.compile(r"\w+=[^&/]*(&\w+=[^&/]*)*")
_DATABRICKS = "databricks"
# The cheapest question that a server answers only to those whom it lets in.
_PROBE = "/api/2.0/mlflow/experiments/search?max_results=1"
_LONGEST_ANSWER = 2**20  # bytes

# What MLflow's client is given by the environment, where the user has not said otherwise. All that
# is sent is sent again later, so a call that hangs is given up soon, and is not tried again within.
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "PGCONNECT_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the address's password
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Keys:
    """What the user of a command types to choose a tracker, for messages.

    Attributes:
        uri: the key or option of the address.
        backend: the key or option that selects MLflow.
        without: the remedy that needs no tracker; empty if there is none.
    """

    uri: str
    backend: str
    without: str = ""

    @property
    def or_without(self) -> str:
        """The end of a sentence that lists remedies."""
        return f", or {self.without}" if self.without else ""


OF_A_RUN = Keys("tracking.uri", "tracking.backend", "run with tracking=none")
OF_A_SWEEPER = Keys(
    "hydra.sweeper.tracking.uri",
    "hydra.sweeper.tracking.backend",
    "run with hydra.sweeper.tracking=null",
)
OF_A_COMMAND = Keys("--uri", "--uri")


@dataclass(frozen=True)
class Location:
    """A tracker's address.

    Attributes:
        uri: as MLflow takes it; it may hold credentials, so it is never shown or written.
        artifacts: the folder for artifacts, or None where a server chooses.
        keys: what the user types to choose it.
    """

    uri: str
    artifacts: Path | None
    keys: Keys = field(default=OF_A_RUN, compare=False, repr=False)

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return redact(redact_address(self.uri))

    @property
    def exists(self) -> bool:
        """Whether there is a tracker already: a server, or a database file."""
        return self.database is None or self.database.exists()

    @property
    def digest(self) -> str:
        """What tells this tracker from another, without credentials."""
        place = str(self.database.absolute()) if self.database else self.shown
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    @property
    def is_database_server(self) -> bool:
        """Whether clients talk to the database's server, and create its tables."""
        return self.uri.partition("://")[0].partition("+")[0] in _DEFAULT_PORTS

    @property
    def database(self) -> Path | None:
        """The file of an SQLite database, or None if the tracker is a server."""
        return sqlite_path(self.uri)


def locate(uri: str | None, root: Path, keys: Keys = OF_A_RUN) -> Location:
    """Find the tracker: the configured URI, else MLFLOW_TRACKING_URI, else a database in root.

    Raises:
        InputError: it is a database's, and a piece of its password would be taken for the host.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI")
    artifacts = root.absolute() / "artifacts"
    if not chosen:
        return Location(sqlite_uri(root.absolute() / "mlflow.db"), artifacts, keys)
    learn_addresses(chosen)
    if chosen.partition("://")[0].partition("+")[0] in _DEFAULT_PORTS:
        refuse_cut_password(keys.uri, chosen)
    if (path := sqlite_path(chosen)) is None:
        return Location(chosen, artifacts if chosen.startswith("sqlite:") else None, keys)
    query = chosen.partition("?")[2]
    refuse_cut_path(keys.uri, chosen)
    return Location(sqlite_uri(path) + (query and f"?{query}"), artifacts, keys)


def sqlite_uri(path: Path) -> str:
    """Return the address of an SQLite database, with the path encoded.

    SQLAlchemy decodes ``%XX`` and cuts a path at ``?``. MLflow creates the folder that it reads in
    ``sqlite:///`` without decoding; it leaves an address with a driver alone.
    """
    text = str(path)
    encoded = text.replace("%", "%25").replace("?", "%3F")
    return f"{_SQLITE if encoded == text else _SQLITE_WITH_DRIVER}{encoded}"


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite address, as SQLAlchemy reads it, or None for any other."""
    scheme, separator, rest = uri.partition(":///")
    path = unquote(rest.partition("?")[0])
    is_sqlite = scheme.partition("+")[0] == "sqlite" and separator
    return Path(path) if is_sqlite and path else None


def refuse_cut_path(key: str, uri: str) -> None:
    """Refuse an SQLite address whose path would end at a question mark.

    Raises:
        InputError: naming the key and the address as it should be.
    """
    path, mark, query = uri.partition("?")
    if sqlite_path(uri) is not None and mark and not _QUERY.fullmatch(query):
        raise InputError(
            f"{key}: a question mark in a path must be written as %3F, since an address ends at "
            f"it, but is {redact(uri)!r}: use {redact(f'{path}%3F{query}')!r}"
        )


def check(location: Location) -> None:
    """Refuse a tracker that is not installed, not supported, does not answer or lets us not in.

    Raises:
        InputError: naming the address without credentials.
    """
    check_kind(location)
    try:
        _reach(location)
    except (OSError, sqlite3.Error, ValueError, http.client.HTTPException) as error:
        raise InputError(
            f"{location.keys.uri}: the tracker must answer, but {location.shown} does not "
            f"({redact(str(error))}): start it, or correct the address"
            f"{location.keys.or_without}"
        ) from None


def check_kind(location: Location) -> None:
    """Refuse a tracker that is not installed or not supported, whether it answers or not.

    Raises:
        InputError: naming the address without credentials.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise InputError(
            f"{location.keys.backend}: mlflow must be installed, but is not: "
            f"pip install 'sinesweep[mlflow]'{location.keys.or_without}"
        )
    refuse_malformed("tracking.uri", location.uri)
    if not _is_supported(location.uri):
        raise InputError(
            f"{location.keys.uri}: must be a database or a server, but is {location.shown!r}: "
            "MLflow refuses plain folders, use sqlite:///path/to/mlflow.db or http://host:port"
        )


def limit_waiting() -> None:
    """Have MLflow's client in this process give up as soon as the writer's does."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)


def silence(location: Location) -> str | None:
    """Return why the tracker does not answer, or None where it does; within seconds, always."""
    try:
        _reach(location)
    except (OSError, sqlite3.Error, ValueError, http.client.HTTPException, InputError) as error:
        return redact(str(error))
    return None


def _reach(location: Location) -> None:
    parts = urlsplit(location.uri)
    scheme = _scheme(parts)
    if location.database is not None:
        _open_database(location.database)
    elif scheme == _DATABRICKS:
        _find_profile(parts.netloc)
    elif scheme in _SERVERS:
        _log_in(location)
    elif scheme in _DEFAULT_PORTS:
        address = (parts.hostname or "", parts.port or _DEFAULT_PORTS[scheme])
        socket.create_connection(address, timeout=_ANSWER_WITHIN).close()


def _is_supported(uri: str) -> bool:
    if sqlite_path(uri) is not None:
        return ":memory:" not in uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    scheme = _scheme(parts)
    return scheme == _DATABRICKS or (
        scheme in (*_SERVERS, *_DEFAULT_PORTS) and bool(parts.hostname)
    )


def _scheme(parts: SplitResult) -> str:
    return parts.scheme.split("+")[0]


def _open_database(path: Path) -> None:
    if not path.exists():
        existing = next(parent for parent in path.absolute().parents if parent.exists())
        tempfile.TemporaryFile(dir=existing).close()  # it is made there
        return
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_BUSY_FOR)
    try:
        connection.execute("PRAGMA schema_version").fetchone()
    finally:
        connection.close()


def _find_profile(profile: str) -> None:
    """Look for the workspace where MLflow's client does: in a profile, or in the environment."""
    path = Path(os.environ.get("DATABRICKS_CONFIG_FILE", "~/.databrickscfg")).expanduser()
    profiles = ConfigParser()
    profiles.read(path)
    name = profile or os.environ.get("DATABRICKS_CONFIG_PROFILE", "DEFAULT")
    if profiles.has_option(name, "host") or (not profile and os.environ.get("DATABRICKS_HOST")):
        return
    raise ValueError(f"{path} has no profile {name} with a host")


def _log_in(location: Location) -> None:
    parts = urlsplit(location.uri.rstrip("/") + _PROBE)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=host).geturl())  # http(s) only
    header = authorization(parts)
    if header is not None:
        request.add_unredirected_header("Authorization", header)  # for this server alone
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN) as response:
            json.loads(response.read(_LONGEST_ANSWER))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in (401, 403):
            raise
        if not only_mlflow_can_log_in():
            whom = "us without credentials" if header is None else "these credentials"
            rule = f"{location.keys.uri}: the tracker must let us in"
            raise InputError(
                f"{rule}, but {location.shown} refuses {whom} "
                f"({redact(str(error))}): {HELP}{location.keys.or_without}"
            ) from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"what answers at {_PROBE} is not MLflow") from None
