"""User and password in the addresses of a text, well-formed or not."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from sinesweep.errors import InputError

_MARK = "://"
_IN_SCHEMES = string.ascii_letters + string.digits + "+.-_"
_LONGEST_SCHEME = 40  # characters
# A database's password may hold what ends one elsewhere. Drivers differ in where they take it to
# end, so that everything before the last @ may be a piece of it.
_DATABASES = ("postgres", "postgresql", "mysql", "mariadb", "mssql", "oracle")
_END_OF_AUTHORITY = re.compile(r"[/?#\s'\"]|\Z")
_END_OF_WORD = re.compile(r"[\s'\"]|\Z")
_END_OF_LINE = re.compile(r"[\n'\"]|\Z")
_AUTHORITY = re.compile(r"[/?#]|\Z")
_USER_AND_COLON = re.compile(r"[^@:/\s'\"]*:")
# host:port, or a host alone; what follows another colon can only be a password.
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")
_FARTHEST = 1_024  # characters in which a user and a password are looked for in running text

# What drivers take for a password has an @ after it, or a query within: then a piece of what was
# meant is taken for the host, and shown in their messages.
_PASSWORD_IS_CUT = re.compile(r"[\w+]+://[^:/]*:[^@]*(?:@.*|\?[^@]*=[^@]*)@", re.DOTALL)


def hide_user_infos(text: str, hidden: str, *, whole: bool) -> str:
    """Replace user and password in every address of a text.

    An account of PostgreSQL without a password is no secret, and stays.

    Args:
        text: of any length.
        hidden: takes the place of user and password.
        whole: the text is an address and nothing else, if it begins with one. A space is then a
            part of a password.
    """
    pieces, done = [], 0
    for start, end in _spans(text, whole=whole):
        pieces += [text[done:start], hidden]
        done = end
    return "".join([*pieces, text[done:]])


def user_infos(text: str) -> Iterator[str]:
    """Yield user and password of every address of a text; see :func:`hide_user_infos`."""
    for start, end in _spans(text, whole=True):
        yield text[start:end]


def refuse_malformed(key: str, address: str) -> None:
    """Refuse an address of a server whose user or password is not percent-encoded.

    Args:
        key: the configuration's, for the message, which shows nothing of the address.
        address: as the tracker's client is given it.

    Raises:
        InputError: a space, or a delimiter of addresses, is in its user or password.
    """
    scheme, mark, rest = address.partition(_MARK)
    if not mark or "@" not in rest or scheme.partition("+")[0] in ("sqlite", "file"):
        return
    authority = rest[: _place(_AUTHORITY, rest, 0)]
    who, _, host = authority.rpartition("@")
    if re.search(r"[\s@\x00-\x1f]", who) or not _HOST.fullmatch(host):
        raise InputError(
            f"{key}: user and password of an address must be percent-encoded, but are not: write a "
            "space as %20, @ as %40, : as %3A, / as %2F, ? as %3F and # as %23"
        )


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


def _spans(text: str, *, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield where user and password are, in one pass over the text."""
    found = text.find(_MARK)
    while found != -1:
        start = found + len(_MARK)
        before = text[max(0, found - _LONGEST_SCHEME) : found]
        scheme = before[len(before.rstrip(_IN_SCHEMES)) :]
        is_whole = whole and 0 < len(scheme) == found
        end = _end_of_user_info(text, start, scheme, is_whole=is_whole)
        if end is not None:
            yield start, end
        found = text.find(_MARK, max(start, end or 0))


def _end_of_user_info(text: str, start: int, scheme: str, *, is_whole: bool) -> int | None:
    is_database = scheme.partition("+")[0].lower() in _DATABASES
    if is_database and _USER_AND_COLON.match(text, start):
        end = _last_at(_END_OF_WORD, text, start, is_whole=is_whole)
        if end is not None:
            return end
    authority = text[start : _place(_AUTHORITY if is_whole else _END_OF_AUTHORITY, text, start)]
    if "@" in authority:
        who, _, _ = authority.rpartition("@")
        is_account = scheme.startswith("postgresql") and not set(who) & set(":@")
        return None if is_account else start + len(who)
    if _HOST.fullmatch(authority):
        return None
    return _last_at(_END_OF_LINE, text, start, is_whole=is_whole)


def _last_at(end: re.Pattern[str], text: str, start: int, *, is_whole: bool) -> int | None:
    """Return where the last @ is: in the whole text, or before its end within some distance."""
    limit = len(text) if is_whole else min(len(text), start + _FARTHEST)
    place = text.rfind("@", start, limit if is_whole else _place(end, text, start, limit))
    return None if place == -1 else place


def _place(pattern: re.Pattern[str], text: str, start: int, limit: int | None = None) -> int:
    stop = len(text) if limit is None else limit
    found = pattern.search(text, start, stop)
    return found.start() if found else stop
