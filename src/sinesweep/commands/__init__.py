"""The ``sinesweep`` command: what is done with runs once they are recorded."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sinesweep import __version__
from sinesweep.errors import EXIT_DONE, EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, InputError
from sinesweep.redaction import redact


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except InputError as error:
        print(redact(f"sinesweep: {error}"), file=sys.stderr)  # noqa: T201
        return EXIT_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sinesweep", description=__doc__)
    parser.add_argument("--version", action="version", version=f"sinesweep {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    ui = commands.add_parser("ui", help="open MLflow's pages on this machine")
    _add_place(ui)
    ui.add_argument("--port", type=int, default=5000, help="default: 5000")
    ui.set_defaults(run=_ui)

    audit = commands.add_parser(
        "audit", help="close runs whose process died, and send what the tracker is missing"
    )
    _add_place(audit)
    audit.set_defaults(run=_audit)
    return parser


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path("mlruns"), help="default: mlruns")
    parser.add_argument("--uri", help="the tracker's address; default: as for training")


def _ui(options: argparse.Namespace) -> int:
    from sinesweep.commands.ui import serve

    return serve(options.root, options.uri, options.port)


def _audit(options: argparse.Namespace) -> int:
    from sinesweep.commands.audit import audit

    remain = 0
    for found in audit(options.root, options.uri):
        print(redact(found.text), flush=True)  # noqa: T201
        remain += found.remains
    if remain:
        print(  # noqa: T201
            f"sinesweep: {remain} of these {'is' if remain == 1 else 'are'} not mended: "
            "audit again once its cause is",
            file=sys.stderr,
        )
    return EXIT_FAILED if remain else EXIT_DONE
