"""``sinesweep export``: a sweep as one file that stands alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from sinesweep.commands.arguments import add_root, add_sweep
from sinesweep.errors import EXIT_DONE, InputError

HELP = "pack a sweep into one file that stands alone: study, tables, report, the best model"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_sweep(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: SWEEP.zip, here")
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file, whole or not at all; a sweep that runs is packed as it stands.

    Raises:
        InputError: there is no such sweep, or the file cannot be written.
    """
    from sinesweep.commands.bundle import write_bundle
    from sinesweep.commands.tables import count
    from sinesweep.sweep import archive
    from sinesweep.sweep.screen import plain_console, say

    found = archive.find(options.root, options.sweep)
    output = options.output or Path(f"{found.folder.name}.zip")
    _check(output)
    trials = write_bundle(found, output)
    size = f"{output.stat().st_size / 1e6:.2f} MB"
    say(plain_console(), f"{output}: {count(trials, 'trial')}, {size}; its README.txt says more")
    return EXIT_DONE


def _check(output: Path) -> None:
    if output.suffix != ".zip":
        raise InputError(f"--output: must end in .zip, but is {output}: --output {output}.zip")
    if output.exists():
        raise InputError(
            f"--output: must be a new file, but {output} exists: remove it, or name another with "
            "--output"
        )
    if not output.parent.is_dir():
        raise InputError(
            f"--output: must be in a folder that exists, but {output.parent} does not: make it"
        )
