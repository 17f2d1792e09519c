"""Secrets in running text: known values, addresses, and values beside the names of secrets.

Each step passes over the text once. Its patterns begin only where a word begins and never give a
character back, so that a text of many megabytes takes time in proportion to its length.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence

from sinesweep.redaction.addresses import hide_user_infos
from sinesweep.redaction.characters import sanitize, shortened
from sinesweep.redaction.keys import is_secret
from sinesweep.redaction.known import hide_known, is_placeholder, known_values

HIDDEN = "***"
LONGEST_ERROR = 4_000  # characters of an exception's text: MLflow takes tags of 5,000
_LONGEST_TRACEBACK = 10 * LONGEST_ERROR  # characters: tells where, among many calls of libraries

# A name with what joins it to a value: password=, "password": or {password:
_NAME = re.compile(
    r"""(?<![\w.+~@/-])(?P<name>[+~]{0,2}[\w.@/-]++)(?P<joint>=|(?P<quote>['"])\s{0,3}[:=]\s{0,3}|:\s{0,3})"""
)
_IN_MAPPING = frozenset("{,")
_DEEPEST = 40  # characters of indentation
_AUTHORIZATION = re.compile(r"(?i)\b(?:bearer|basic)[ ]{1,3}(?=[\w.~+/=-]{16})[\w.~+/=-]++")
_WORD = re.compile(r"""[^&\s'"]*+""")
_ENTRY = re.compile(r"""[^,}\s'"]*+""")
_QUOTED = {
    "'": re.compile(r"'(?:[^'\\\n]|\\.)*+'?"),
    '"': re.compile(r'"(?:[^"\\\n]|\\.)*+"?'),
}
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_BRACKETS = re.compile(r"[\[\]{}()\n]")
_IN_QUERY = ("sig",)  # of a signed address, and an ordinary name elsewhere


def redact(text: str) -> str:
    """Return a text that can be shown and stored: without secrets, and sanitised."""
    return sanitize(redact_text(text))


def redact_error(text: str) -> str:
    """Return the text of an exception as :func:`redact` does, its middle cut if it is long."""
    return shortened(redact(text), LONGEST_ERROR)


def redact_traceback(error: BaseException) -> str:
    """Return an exception's traceback as :func:`redact` does, its middle cut if it is very long."""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception as fault:  # noqa: BLE001 # the user's: a file name that is no text, or a note
        text = f"{type(error).__name__}: (its traceback raises {type(fault).__name__})\n"
    return shortened(redact(text), _LONGEST_TRACEBACK)


def redact_text(text: str, *, whole: bool = False, values: Sequence[str] | None = None) -> str:
    """Replace the secrets in a text by ``***``.

    Args:
        text: of any length.
        whole: the text is a value of its own; see :func:`addresses.hide_user_infos`.
        values: what :func:`known_values` returns, if the caller has many texts.
    """
    known = known_values() if values is None else values
    return redact_address(hide_known(text, known, HIDDEN), whole=whole)


def redact_address(text: str, *, whole: bool = True) -> str:
    """Replace user and password of addresses, and values beside the names of secrets."""
    text = _AUTHORIZATION.sub(HIDDEN, hide_user_infos(text, HIDDEN, whole=whole))
    return _hide_named(text) if "=" in text or ":" in text else text


def _hide_named(text: str) -> str:
    pieces, done, found = [], 0, _NAME.search(text)
    while found:
        after = found.end()
        if _names_a_secret(text, found):
            end = _end_of_value(text, after, in_mapping=found["joint"] != "=")
            value = text[after:end]
            if value.strip(" .,") and not is_placeholder(value.strip("'\"")):
                pieces += [text[done:after], HIDDEN]
                done = end
            after = max(after, end)
        found = _NAME.search(text, after)
    return "".join([*pieces, text[done:]])


def _names_a_secret(text: str, found: re.Match[str]) -> bool:
    name, start = found["name"], found.start()
    if found["joint"] != "=" and not _stands_in_mapping(text, start, found["quote"]):
        return False  # a sentence: "model.api_token: this key is missing"
    if is_secret(name):
        return True
    return name in _IN_QUERY and text[max(0, start - 1) : start] in ("?", "&")


def _stands_in_mapping(text: str, start: int, quote: str | None) -> bool:
    """Return whether a name is a key in a mapping, as Python and JSON write it."""
    last = text[max(0, start - _DEEPEST) : start].rstrip(" '\"")[-1:]
    return quote is not None if last == "\n" else last in _IN_MAPPING


def _end_of_value(text: str, start: int, *, in_mapping: bool) -> int:
    first = text[start : start + 1]
    if first in _QUOTED:
        found = _QUOTED[first].match(text, start)
        return found.end() if found else start
    if first in _CLOSING:
        return _end_of_brackets(text, start)
    found = (_ENTRY if in_mapping else _WORD).match(text, start)
    return found.end() if found else start


def _end_of_brackets(text: str, start: int) -> int:
    """Return where a bracket closes, or the end of the line."""
    depth = 0
    for found in _BRACKETS.finditer(text, start):
        if found[0] == "\n":
            return found.start()
        depth += 1 if found[0] in _CLOSING else -1
        if depth == 0:
            return found.end()
    return len(text)
