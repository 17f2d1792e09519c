"""The command line that runs one trial of a sweep again."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from sinesweep.redaction import redact
from sinesweep.sweep.entry import Entry

_FLAGS = (("--config-path", "-cp"), ("--config-name", "-cn"), ("--config-dir", "-cd"))


def rerun_command(entry: Entry, arguments: Sequence[str]) -> str:
    """Return what to type to run a trial by itself, quoted for a shell and without credentials.

    Args:
        entry: the trial.
        arguments: the sweep's own command: the script, then its arguments. What says where the
            configuration is, is kept.
    """
    script, *rest = arguments
    return redact(shlex.join(["python", script, *config_flags(rest), *entry.overrides]))


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return those of a command's arguments that say where its configuration is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in _FLAGS:
        parser.add_argument(*names)
    known, _ = parser.parse_known_args(list(arguments))
    given = {name: getattr(known, name[2:].replace("-", "_")) for name, _ in _FLAGS}
    return [word for name, value in given.items() if value is not None for word in (name, value)]
