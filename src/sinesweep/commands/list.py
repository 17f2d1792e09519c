"""``sinesweep list``: the sweeps under a root, and how they stand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.commands.arguments import add_json, add_root, root_flag
from sinesweep.errors import EXIT_DONE

if TYPE_CHECKING:
    from rich.table import Table

    from sinesweep.commands.standing import Standing

HELP = "list the sweeps, the newest first, and how they stand"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_root(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a row for each sweep; what cannot be read is named with its cause."""
    from sinesweep.commands.facts import print_json, sweep_facts

    found, unreadable = _read(options.root)
    if options.json:
        rows = [sweep_facts(each) for each in found]
        lost = [{"folder": str(f.absolute()), "unreadable": why} for f, why in unreadable]
        print_json([*rows, *lost])
    else:
        _show(options.root, found, unreadable)
    return EXIT_DONE


def _read(root: Path) -> tuple[list[Standing], list[tuple[Path, str]]]:
    from sinesweep.commands.standing import standing
    from sinesweep.errors import InputError
    from sinesweep.sweep import archive

    found, unreadable = [], []
    for folder in archive.folders(root):
        try:
            found.append(standing(archive.read(folder)))
        except InputError as error:
            unreadable.append((folder, str(error)))
    return sorted(found, key=lambda each: each.active, reverse=True), unreadable


def _show(root: Path, found: Sequence[Standing], unreadable: Sequence[tuple[Path, str]]) -> None:
    from sinesweep.commands.tables import show_table
    from sinesweep.redaction import redact
    from sinesweep.sweep.screen import plain_console, say

    console = plain_console()
    if found:
        show_table(_table(found), console)
        say(console, f"one of them: sinesweep show {found[0].archive.folder.name}{root_flag(root)}")
    for folder, why in unreadable:
        say(console, redact(f"{folder.name} cannot be read: {why}"))
    if not found and not unreadable:
        say(console, _how_to_begin(root))


def _table(found: Sequence[Standing]) -> Table:
    from rich.table import Table

    from sinesweep.commands.standing import REPORTED, STATES
    from sinesweep.commands.tables import cells, when_text
    from sinesweep.sweep.entry import RUNNING
    from sinesweep.sweep.wording import figure

    reported = [each.best_metrics.get(REPORTED) for each in found]
    with_reported = any(value is not None for value in reported)
    table = Table()
    table.add_column("sweep")
    for title in ("state", "done"):
        table.add_column(title, no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    table.add_column("of")
    if with_reported:
        table.add_column("reference/\ntest_mae", justify="right")
    table.add_column("last active")
    for each, value in zip(found, reported, strict=True):
        row = [each.archive.folder.name, STATES[each.state], each.done_text, *each.best_words]
        row += ["" if value is None else figure(value)] * with_reported
        table.add_row(*cells([*row, "now" if each.state == RUNNING else when_text(each.active)]))
    return table


def _how_to_begin(root: Path) -> str:
    elsewhere = Path("multirun")
    if root != elsewhere and any(elsewhere.glob("*/sweep.yaml")):
        return f"no sweep under {root}; those in multirun: sinesweep list --root multirun"
    return f"no sweep under {root}: begin one with  python src/train.py -m sweeps=quick"
