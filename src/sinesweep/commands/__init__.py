"""The ``sinesweep`` command: what is done with runs and sweeps once they are recorded.

Each command is a module of its own, light to import, with ``HELP``, ``configure(parser)`` and
``run(options)``, which returns the exit code.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType

from sinesweep import __version__
from sinesweep.commands import completion
from sinesweep.errors import EXIT_DONE, EXIT_INPUT, EXIT_INTERRUPTED, InputError
from sinesweep.interruption import interruptible
from sinesweep.redaction import redact

COMMANDS = (
    "ui", "list", "show", "compare", "rerun", "replicate", "promote", "predict", "export", "sync",
    "audit",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    completion.complete(parser)
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            code = options.command.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(redact(f"sinesweep: {error}"), file=sys.stderr)  # noqa: T201
        return EXIT_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough: sinesweep show x | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return EXIT_DONE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sinesweep",
        description="What is done with runs and sweeps once they are recorded.",
        epilog=completion.HOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sinesweep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        module: ModuleType = importlib.import_module(f"sinesweep.commands.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.configure(command)
        command.set_defaults(command=module)
    return parser
