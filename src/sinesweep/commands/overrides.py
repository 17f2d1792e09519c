"""Overrides of a sweep's own script, behind ``--`` on the command line of ``sinesweep``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any

from sinesweep.redaction import redact_overrides

_MARK = "--"


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Take what stands behind ``--`` as ``overrides``, wherever the options before it stand.

    What was typed before it is kept as ``typed``, for messages that suggest it again.

    argparse itself would have a list of positionals ended by the first option, empty or not.
    """
    parse = parser.parse_known_args
    parser.set_defaults(overrides=[], typed=parser.prog)
    parser.epilog = (
        "Behind --, as KEY=VALUE: secrets, which a sweep's files do not hold, and whatever is to "
        "be different."
    )

    def parse_known_args(args: Sequence[str], namespace: Any = None) -> tuple[Any, list[str]]:
        words = list(args)
        place = words.index(_MARK) if _MARK in words else len(words)
        options, unknown = parse(words[:place], namespace)
        options.overrides = words[place + 1 :]
        options.typed = f"{parser.prog} {shlex.join(redact_overrides(words[:place]))}"
        return options, unknown

    parser.parse_known_args = parse_known_args  # pyright: ignore[reportAttributeAccessIssue]
