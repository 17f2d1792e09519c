"""Secrets in mappings and lists: hidden by their keys, at every depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sinesweep.redaction.keys import is_secret
from sinesweep.redaction.known import is_placeholder, known_values
from sinesweep.redaction.texts import HIDDEN, redact_text


def redact_tree(value: Any, key: str = "") -> Any:
    """Return a nested structure without secrets, which can be read back.

    Everything under a secret key becomes ``***``: texts, numbers, lists and mappings. What is
    empty, null, true or false under it tells nothing, and stays. Other texts lose what
    :func:`texts.redact_text` finds in them.

    Args:
        value: mappings, lists and scalars.
        key: dotted, of the value itself.
    """
    return _redacted(value, key, known_values())


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


def _redacted(value: Any, key: str, known: Sequence[str]) -> Any:
    if key and is_secret(key):
        return value if _tells_nothing(value) else HIDDEN
    if isinstance(value, Mapping):
        return {
            name: _redacted(inner, f"{key}.{name}" if key else str(name), known)
            for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redacted(inner, key, known) for inner in value]
    return redact_text(value, whole=True, values=known) if isinstance(value, str) else value


def _tells_nothing(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (str, list, tuple, Mapping)) and not value:
        return True
    return isinstance(value, str) and is_placeholder(value)
