"""Secrets in the words of a command line: each override is redacted before words are joined."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sinesweep.errors import InputError
from sinesweep.redaction.characters import sanitize
from sinesweep.redaction.keys import is_secret
from sinesweep.redaction.known import is_placeholder, learn, learn_tree
from sinesweep.redaction.texts import HIDDEN, redact_text
from sinesweep.redaction.trees import redact_tree

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_OVERRIDE = re.compile(r"(?P<key>[+~]*+[^=\s'\"{}()]++)=(?P<value>.*)", re.DOTALL)
_TELLS_NOTHING = frozenset(("", "null", "true", "false", "''", '""', "[]", "{}"))
_NOTICE = f"  # replace {HIDDEN}: secrets are not stored"


def redact_override(word: str) -> str:
    """Return a word of a command line without secrets; an override stays one that Hydra reads."""
    found = _OVERRIDE.fullmatch(word)
    if found is None:
        return redact_text(word, whole=True)
    key, value = found["key"], found["value"]
    if is_secret(key):
        shown = value if value.lower() in _TELLS_NOTHING or is_placeholder(value) else HIDDEN
        return f"{key}={shown}"
    return f"{key}={_redacted(key, value)}"


def redact_overrides(words: Iterable[str]) -> list[str]:
    """Return the words of a command line without secrets."""
    return [redact_override(word) for word in words]


def redacted_command(words: Sequence[str]) -> str:
    """Return a command line quoted for a shell, which says so if a secret is missing in it."""
    command = sanitize(shlex.join(redact_overrides(words)))
    return command + _NOTICE if HIDDEN in command else command


def without_notice(command: str) -> tuple[str, str]:
    """Return a command of :func:`redacted_command` and its notice, or an empty text."""
    bare = command.removesuffix(_NOTICE)
    return bare, command[len(bare) :]


def learn_overrides(words: Iterable[str]) -> None:
    """Learn the secret values on a command line, be they overrides that Hydra can read or not."""
    for word in words:
        found = _OVERRIDE.fullmatch(word)
        if found is None:
            learn_tree(word)
            continue
        key, value = found["key"], found["value"]
        parsed = _parsed(key, value) if _may_hold_secrets(key, value) else None
        if is_secret(key):
            learn(value)
            learn(value.strip("'\""))
        elif "://" in value:
            learn_tree(value.strip("'\""))
        if parsed is not None:
            for element in _elements(parsed):
                learn_tree(_plain(element), key.lstrip("+~"))


def refuse_placeholders(words: Iterable[str]) -> None:
    """Refuse overrides that were copied from an output in which secrets are hidden.

    Raises:
        InputError: a value holds ``***``.
    """
    for word in words:
        key, mark, value = word.partition("=")
        if mark and HIDDEN in value:
            raise InputError(
                f"{key.lstrip('+~')}: must be a value of its own, but {HIDDEN} stands for a secret "
                "that is not stored: give the secret itself"
            )


def _may_hold_secrets(key: str, value: str) -> bool:
    return is_secret(key) or "{" in value or "://" in value


def _redacted(key: str, value: str) -> str:
    shown = redact_text(value, whole=True)
    if shown == value and not _may_hold_secrets(key, value):
        return value
    parsed = _parsed(key, value)
    if parsed is None:
        return shown
    elements = list(_elements(parsed))
    redacted = [_redacted_element(element, key.lstrip("+~")) for element in elements]
    if redacted == elements:
        return value
    if all(isinstance(element, str) for element in redacted) and _reads_as(shown, key, redacted):
        return shown  # as it was written, without the escapes that Hydra puts into new text
    text = ",".join(_text(element) for element in redacted)
    return f"choice({text})" if parsed.is_sweep_override() and len(redacted) == 1 else text


def _reads_as(value: str, key: str, elements: list[Any]) -> bool:
    parsed = _parsed(key, value)
    return parsed is not None and list(_elements(parsed)) == elements


def _parsed(key: str, value: str) -> Override | None:
    """Return what Hydra reads, or None if it cannot."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"{key}={value}")
    except HydraException:
        return None


def _elements(parsed: Override) -> list[Any]:
    """Return the values of an override: one, or those of a list of choices."""
    from hydra.core.override_parser.types import ChoiceSweep, Sweep

    value = parsed._value
    if isinstance(value, ChoiceSweep):
        return list(value.list)
    return [] if isinstance(value, Sweep) else [value]


def _redacted_element(value: Any, key: str) -> Any:
    from hydra.core.override_parser.types import QuotedString

    if is_secret(key):
        plain = _plain(value)
        shown = redact_tree(plain, key)
        return value if shown == plain else shown  # as written: '' is quoted
    if isinstance(value, QuotedString):
        shown = redact_text(value.text, whole=True)
        return value if shown == value.text else QuotedString(shown, value.quote)
    if isinstance(value, Mapping):
        return {k: _redacted_element(v, f"{key}.{_plain(k)}") for k, v in value.items()}
    if isinstance(value, list):
        return [_redacted_element(inner, key) for inner in value]
    return redact_tree(value, key)


def _plain(value: Any) -> Any:
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, Mapping):
        return {_plain(k): _plain(v) for k, v in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    from hydra.core.override_parser.types import Transformer

    return Transformer.str(value)
