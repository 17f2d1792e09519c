"""How trials are put in words: values, parameters, causes, times; one line each, no credentials."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sinesweep.redaction import redact_text, redact_tree

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NOT_A_TEXT = re.compile(
    r"null|true|false|[+-]?(nan|inf|[0-9][0-9_]*\.?[0-9]*(e[+-]?[0-9]+)?|\.[0-9]+(e[+-]?[0-9]+)?)",
    re.IGNORECASE,
)
_LONGEST_LINE = 400
_LONGEST_WHOLE = 1e9


def figure(value: float) -> str:
    """Return a number in four significant digits; whole numbers in full."""
    if abs(value) < _LONGEST_WHOLE:
        if value == int(value):
            return f"{int(value):,}"
        if abs(value) >= 1e4:
            return f"{value:,.0f}"
    return f"{value:.4g}"


def spelled(value: Any) -> str:
    """Return a parameter's value in full, as Hydra's command line spells it.

    A text is quoted only if it would be read as a number, a boolean or null without quotes.
    """
    if isinstance(value, str):
        return f"'{value}'" if _NOT_A_TEXT.fullmatch(value) else value
    if value is None or isinstance(value, (bool, list, tuple, dict)):
        return json.dumps(value, default=str)
    return str(value)


def params_text(params: Mapping[str, Any], *, short: bool = False) -> str:
    """Return ``model.layers=3 optimizer.lr=0.00123``, or ``layers=3 lr=0.00123``."""
    names = short_names(params) if short else {key: key for key in params}
    shown = redact_tree(params)
    return one_line(" ".join(f"{names[key]}={brief(shown[key])}" for key in params))


def brief(value: Any) -> str:
    """Return a parameter's value with no more digits than a reader compares."""
    if not isinstance(value, float):
        return spelled(value)
    text = f"{value:.4g}"
    return f"{text}.0" if text.lstrip("-").isdecimal() else text  # 1.0 is not 1


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return for each dotted key its last parts, as many as tell it from the others."""
    parts = {key: key.lstrip("+").split(".") for key in keys}
    shown = dict.fromkeys(parts, 1)
    while True:
        names = {key: ".".join(parts[key][-count:]) for key, count in shown.items()}
        used = Counter(names.values())
        clashing = [key for key in parts if used[names[key]] > 1 and shown[key] < len(parts[key])]
        if not clashing:
            return names
        shown |= {key: shown[key] + 1 for key in clashing}


def all_keys(params: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys of many trials in the order in which they first appear."""
    return list(dict.fromkeys(key for each in params for key in each))


def values_text(values: Sequence[float], objectives: Sequence[str]) -> str:
    """Return ``val/mae 0.01234``, or several such pairs."""
    return "  ".join(
        f"{name} {figure(value)}" for name, value in zip(objectives, values, strict=True)
    )


def counted(number: int, noun: str) -> str:
    """Return ``1 trial`` or ``12 trials``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def error_text(error: BaseException) -> str:
    """Return ``ValueError: its message``, or the class alone where there is no message."""
    name = type(error).__name__
    try:
        message = str(error).strip()
    except Exception as failure:  # noqa: BLE001 # the user's own code may fail in any way
        message = f"(its text raises {type(failure).__name__})"
    return f"{name}: {message}" if message else name


def one_line(text: str) -> str:
    """Return a text without credentials, line ends and control characters, cut where too long."""
    line = " ".join(printable(text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."


def printable(text: str) -> str:
    """Return a text without credentials and what moves a cursor or colours a terminal."""
    plain = _TERMINAL_CODES.sub("", redact_text(text))
    return "".join(letter if letter.isprintable() else " " for letter in plain)


def seconds_text(seconds: float, decimals: int = 1) -> str:
    """Return ``4.1 s``, ``2 min 5 s`` or ``3 h 20 min``."""
    if round(seconds, decimals) < 60:
        return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
