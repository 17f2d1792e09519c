"""Text that every file, database and terminal can take.

Undecodable bytes (which Python keeps as surrogates) cannot be encoded, PostgreSQL refuses NUL, and
YAML refuses control characters. Text of unknown origin, such as an exception's, is sanitised where
it enters: what cannot be stored is replaced by its backslash escape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;?]{0,64}[A-Za-z]")
_ROOM_FOR_NOTE = 60  # characters
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def sanitize(text: str) -> str:
    """Return a text without terminal codes, with escapes for what cannot be stored."""
    if not _UNSAFE.search(text):
        return text
    return _UNSAFE.sub(_escape, _TERMINAL_CODE.sub("", text))


def sanitize_tree(value: Any) -> Any:
    """Sanitise every text of a nested structure, keys included."""
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, Mapping):
        return {sanitize_tree(key): sanitize_tree(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [sanitize_tree(inner) for inner in value]
    return value


def is_storable(text: str) -> bool:
    """Return whether :func:`sanitize` leaves a text as it is."""
    return not _UNSAFE.search(text)


def shortened(text: str, longest: int) -> str:
    """Return a text of at most so many characters: its head and its tail if it is longer.

    Args:
        text: of any length.
        longest: characters, among them the note that says how many were cut.
    """
    if len(text) <= longest:
        return text
    kept = longest - _ROOM_FOR_NOTE
    tail = kept // 3
    return f"{text[: kept - tail]}\n[{len(text) - kept:,} characters cut]\n{text[-tail:]}"


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
