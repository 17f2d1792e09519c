"""Keep credentials out of logs, records, artifacts and messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sinesweep.errors import InputError

HIDDEN = "***"

_USER_INFO = re.compile(r"(?P<scheme>[\w+.-]*)://(?P<who>[^/\s'\"?#]+)@")
# A database's password may hold what ends one elsewhere. Where drivers take it to end, at its first
# @, matters not: whatever stands before the last one may be a piece of it.
_DATABASE_USER = re.compile(
    r"(?i)\b(?P<scheme>(?:postgres(?:ql)?|mysql|mariadb|mssql|oracle)(?:\+\w+)?)"
    r"://[^@:/\s'\"]*:[^\s'\"]*@"
)
# What drivers take for a password has an @ after it, or a query within: then a piece of what was
# meant is taken for the host, and shown in their messages.
_PASSWORD_IS_CUT = re.compile(r"[\w+]+://[^:/]*:[^@]*(?:@.*|\?[^@]*=[^@]*)@", re.DOTALL)
_NAMES = r"(?:password|passwd|pwd|token|secret|api_?key|access_?key|signature|sig|credentials?)"
_QUOTED = r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\""
# In the query of a URI, and in an override of a command line.
_QUERY = re.compile(rf"(?i)((?:^|[?&\s'\"+~._-])(?:ssl)?{_NAMES}=)(?:{_QUOTED}|[^&\s'\"]+)")
# In a dictionary, as Python shows it and as a command line gives it.
_ENTRY = re.compile(
    rf"(?i)([{{,]\s*['\"]?(?:[\w.-]*[._-])?{_NAMES}['\"]?:\s*)(?:{_QUOTED}|[^,}}\s'\"]+)"
)
_SECRET_KEY = re.compile(rf"(?i)(?:^|[._-]){_NAMES}$")
# A short value, or an ordinary word, is in texts by chance: hiding it there would damage them, and
# say what it is. Where a secret's name or an address holds it, it is hidden all the same.
_IN_TEXTS_BY_CHANCE = re.compile(r".{,4}|[A-Za-z]?[a-z]{,7}", re.DOTALL)
_LONG = 9  # characters: such a value is in no text by chance, and in none as a part of a word
_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "PGPASSWORD",
)


def redact(text: str) -> str:
    """Replace credentials in URIs, and the values of known secret variables, by ``***``."""
    text = redact_address(text)
    for name in _SECRET_VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= _LONG:
            text = text.replace(value, HIDDEN)
        elif not _IN_TEXTS_BY_CHANCE.fullmatch(value):
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, text)
    return text


def redact_address(text: str) -> str:
    """Replace credentials by where they stand alone: what is read again is not to be damaged."""
    text = _DATABASE_USER.sub(rf"\g<scheme>://{HIDDEN}@", text)
    text = _USER_INFO.sub(_without_user_info, text)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", text)
    return _ENTRY.sub(rf"\g<1>{HIDDEN}", text)


def refuse_cut_password(key: str, address: str) -> None:
    """Refuse a database's address whose password drivers would take to end where it does not.

    Args:
        key: the configuration's, for the message, which shows nothing of the address.
        address: as SQLAlchemy is given it.

    Raises:
        InputError: a piece of the password would be taken for the host.
    """
    if _PASSWORD_IS_CUT.match(address):
        raise InputError(
            f"{key}: an @ within a password must be percent-encoded, but one is not, so that what "
            "follows it would be taken for the host: write it as %40 (and / as %2F, ? as %3F)"
        )


def _without_user_info(address: re.Match[str]) -> str:
    """Hide who it is in an address; an account of PostgreSQL without its password is no secret."""
    scheme, who = address["scheme"], address["who"]
    is_account = scheme.startswith("postgresql") and not set(who) & set(":@")
    return address[0] if is_account else f"{scheme}://{HIDDEN}@"


def redact_tree(value: Any, key: str = "") -> Any:
    """Redact every string of a nested structure, and texts and sections under a secret's name."""
    if isinstance(value, (str, Mapping, list, tuple)) and _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: redact_tree(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact_tree(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def hidden_keys(value: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted key of every text of a redacted structure that has something hidden."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from hidden_keys(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        if any(True for inner in value for _ in hidden_keys(inner)):
            yield key
    elif isinstance(value, str) and HIDDEN in value:
        yield key
