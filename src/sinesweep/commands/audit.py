"""``sinesweep audit``: make what the tracker says of runs and sweeps true."""

from __future__ import annotations

import argparse
import sys

from sinesweep.commands.arguments import add_place
from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import redact

HELP = "close runs and sweeps whose process died, then send what the tracker is missing, as sync"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Print each finding; 1 where something is still to be mended."""
    from sinesweep.commands.audit_runs import audit

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
