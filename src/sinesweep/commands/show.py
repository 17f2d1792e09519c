"""``sinesweep show``: what a sweep asked, where it stands, its best trials, how to go on."""

from __future__ import annotations

import argparse
from pathlib import Path

from sinesweep.commands.arguments import add_json, add_root, add_sweep
from sinesweep.errors import EXIT_DONE

HELP = "show a sweep: what it asks, where it stands, its best trials, its failures"
REPORT_FILE = "report.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_sweep(parser)
    add_root(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the sweep.

    Raises:
        InputError: there is no such sweep, or its study cannot be read.
    """
    from sinesweep.commands.facts import all_facts, print_json
    from sinesweep.commands.overview import show_overview
    from sinesweep.commands.standing import standing
    from sinesweep.sweep import archive

    found = standing(archive.find(options.root, options.sweep))
    report = _existing(found.archive.folder / REPORT_FILE)
    if options.json:
        print_json(all_facts(found, report))
    else:
        show_overview(found, report)
    return EXIT_DONE


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None
