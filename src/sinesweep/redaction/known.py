"""Secret values that this process knows: they are hidden wherever a text repeats them.

Values come from the configuration, from the command line and from environment variables whose names
are secret. A value of up to four characters, or an ordinary word, is in texts by chance: hiding it
would damage them and tell what it is. It is hidden under its key and in addresses only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from sinesweep.redaction.addresses import user_infos
from sinesweep.redaction.keys import is_secret

_SHORTEST = 5  # characters
_LONG = 9  # characters: such a value is hidden within a longer word, too
_SHORTEST_LINE = 16  # characters, of a value of several lines, such as a private key
_PLACEHOLDER = re.compile(r"(?:\*{3}\d*|choice\(|[,)])+")
_ORDINARY = frozenset(
    (
        "admin", "administrator", "basic", "bearer", "credentials", "database", "default", "error",
        "example", "failed", "false", "guest", "hydra", "local", "localhost", "mlflow", "model",
        "mysql", "optuna", "password", "passwords", "postgres", "postgresql", "python", "secret",
        "secrets", "sinesweep", "study", "sweep", "sweeps", "testing", "tests", "token", "tokens",
        "train", "training", "trial", "trials", "value",
    )
)  # fmt: skip

_FOLDERS = ("PWD", "OLDPWD")  # of a shell

_learned: dict[str, None] = {}


def is_placeholder(text: str) -> bool:
    """Return whether a text holds nothing but placeholders of secrets, such as ``***2``."""
    return _PLACEHOLDER.fullmatch(text) is not None


def learn(value: Any) -> None:
    """Hide a value, and every value within it, in all texts from now on."""
    for text in _texts(value):
        for form in _forms(text):
            if _is_telling(form):
                _learned[form] = None


def learn_tree(value: Any, key: str = "") -> None:
    """Learn the secret values of a nested structure, by their keys and from its addresses.

    Args:
        value: mappings, lists and scalars.
        key: dotted, of the value itself.
    """
    if key and is_secret(key):
        learn(value)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            learn_tree(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            learn_tree(inner, key)
    elif isinstance(value, str):
        learn_addresses(value)


def learn_addresses(text: str) -> None:
    """Learn the passwords of the addresses in a text."""
    for who in user_infos(text):
        user, colon, password = who.partition(":")
        learn(password if colon else user)


def forget() -> None:
    """Forget every learned value."""
    _learned.clear()


def known_values() -> list[str]:
    """Return the values to be hidden, the longest first."""
    found = {*_learned, *_of_environment()}
    return sorted(found, key=len, reverse=True)


def hide_known(text: str, values: Iterable[str], hidden: str) -> str:
    """Replace values in a text; a short one only where it is a word of its own."""
    for value in values:
        if value not in text:
            continue
        if len(value) >= _LONG:
            text = text.replace(value, hidden)
        else:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", hidden, text)
    return text


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if value and name not in _FOLDERS and is_secret(name) and _is_telling(value):
            yield value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "backslashreplace")
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> Iterator[str]:
    """Yield a value as messages spell it: plain, quoted in code, encoded for a URL."""
    stripped = text.strip()
    yield from (text, stripped, repr(text)[1:-1], json.dumps(text)[1:-1])
    encodable = text.encode("utf-8", "surrogatepass")
    yield from (quote(encodable), quote(encodable, safe=""), quote_plus(encodable), unquote(text))
    lines = stripped.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _SHORTEST_LINE)


def _is_telling(text: str) -> bool:
    return len(text) >= _SHORTEST and text.lower() not in _ORDINARY and not is_placeholder(text)
