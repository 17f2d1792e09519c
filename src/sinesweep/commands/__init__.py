"""The ``sinesweep`` command: what is done with runs and sweeps once they are recorded.

Each command is a module of its own, light to import, with ``HELP``, ``configure(parser)`` and
``run(options)``, which returns the exit code.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from types import ModuleType

from sinesweep import __version__
from sinesweep.commands import completion
from sinesweep.commands.arguments import refuse_unusable
from sinesweep.errors import EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, InputError
from sinesweep.interruption import interruptible
from sinesweep.output import output_error, protect_output
from sinesweep.redaction import learn_overrides, redact

COMMANDS = (
    "ui", "list", "show", "compare", "rerun", "replicate", "promote", "predict", "export", "sync",
    "audit",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    protect_output()
    parser = _parser()
    completion.complete(parser)
    learn_overrides(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            refuse_unusable(options)
            code = options.command.run(options)
    except InputError as error:
        print(redact(f"sinesweep: {error}"), file=sys.stderr)  # noqa: T201
        return EXIT_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if error := output_error():
        print(f"sinesweep: the output is incomplete: {error.strerror}", file=sys.stderr)  # noqa: T201
        return code or EXIT_FAILED
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
