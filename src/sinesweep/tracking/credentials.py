"""How MLflow's client will log in to a server, so that it can be tried before anything is made."""

from __future__ import annotations

import base64
import configparser
import netrc
import os
from pathlib import Path
from urllib.parse import SplitResult, unquote

_USERNAME, _PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 # a variable's name
# Each of these has MLflow log in in a way that takes code of its own or of a plugin.
_OTHER_WAYS = (
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)

HELP = f"correct user and password in the address, or set {_USERNAME} and {_PASSWORD}, or {_TOKEN}"


def authorization(address: SplitResult) -> str | None:
    """Return the Authorization header for a server, or None where no credentials are given.

    The order is that of MLflow 3 and of the library ``requests`` beneath it: a netrc file, the
    address, MLflow's variables with its file ``~/.mlflow/credentials``, MLflow's token.
    """
    login = _from_netrc(address) or _from_address(address) or _from_mlflow()
    if login is not None:
        return "Basic " + base64.b64encode(":".join(login).encode()).decode()
    token = os.environ.get(_TOKEN)
    return f"Bearer {token}" if token else None


def only_mlflow_can_log_in() -> bool:
    """Whether another way to log in is configured, which only MLflow's client can go."""
    return any(os.environ.get(name) for name in _OTHER_WAYS)


def _from_netrc(address: SplitResult) -> tuple[str, str] | None:
    given = os.environ.get("NETRC")
    for path in [given] if given else ["~/.netrc", "~/_netrc"]:
        try:
            known = netrc.netrc(Path(path).expanduser()).authenticators(address.hostname or "")
        except (OSError, RuntimeError, netrc.NetrcParseError):
            continue  # as requests does
        if known is not None:
            return known[0] or known[1] or "", known[2] or ""
    return None


def _from_address(address: SplitResult) -> tuple[str, str] | None:
    if address.username is None or address.password is None:
        return None
    return unquote(address.username), unquote(address.password)


def _from_mlflow() -> tuple[str, str] | None:
    file = configparser.ConfigParser()
    file.read(Path("~/.mlflow/credentials").expanduser())
    username, password = (
        os.environ.get(name) or file.get("mlflow", name.lower(), fallback=None)
        for name in (_USERNAME, _PASSWORD)
    )
    return (username, password) if username and password else None
