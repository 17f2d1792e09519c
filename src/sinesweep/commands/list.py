"""``sinesweep list``: the sweeps under a root, and how they stand."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.commands.arguments import add_json, add_root, root_flag
from sinesweep.errors import EXIT_DONE

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

    from sinesweep.commands.standing import Standing

    Column = tuple[str, JustifyMethod, Sequence[str]]

_OF_ANY_APPLICATION = "python app.py -m hydra/sweeper=sinesweep KEY=VALUE,VALUE"
HELP = "list the sweeps, the newest first, and how they stand"
# What a narrow terminal does without; the first that leaves every name whole.
_GIVEN_UP = (
    (),
    ("last active",),
    ("of",),
    ("of", "last active"),
    ("of", "last active", "best"),
    ("of", "last active", "best", "reported"),
    ("of", "last active", "best", "reported", "done"),
    ("of", "last active", "best", "reported", "done", "state"),
)


@dataclass(frozen=True)
class _Listed:
    """What there is under a root.

    Attributes:
        found: the sweeps, the newest first.
        unreadable: the folders that cannot be read, and why.
        left_out: how many sweeps are not listed, since a replication made them.
    """

    found: Sequence[Standing]
    unreadable: Sequence[tuple[Path, str]]
    left_out: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_root(parser)
    parser.add_argument(
        "--all", action="store_true", help="also the sweeps that sinesweep replicate made"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print a row for each sweep; what cannot be read is named with its cause."""
    from sinesweep.commands.facts import print_json, sweep_facts

    listed = _read(options.root, every=options.all)
    if options.json:
        rows = [sweep_facts(each) for each in listed.found]
        lost = [{"folder": str(f.absolute()), "unreadable": why} for f, why in listed.unreadable]
        print_json([*rows, *lost])
    else:
        _show(options.root, listed)
    return EXIT_DONE


def _read(root: Path, *, every: bool) -> _Listed:
    from sinesweep.commands.standing import standing
    from sinesweep.errors import InputError
    from sinesweep.sweep import archive
    from sinesweep.winner.replication import is_replication

    found, unreadable, left_out = [], [], 0
    for folder in archive.folders(root):
        try:
            read = archive.read(folder)
            if not every and is_replication(read):
                left_out += 1
            else:
                found.append(standing(read))
        except InputError as error:
            unreadable.append((folder, str(error)))
    return _Listed(sorted(found, key=lambda each: each.active, reverse=True), unreadable, left_out)


def _show(root: Path, listed: _Listed) -> None:
    from sinesweep.commands.tables import count, show_first_that_fits
    from sinesweep.redaction import redact
    from sinesweep.sweep.screen import plain_console, say

    console, found = plain_console(), listed.found
    if found:
        width = console.width
        tables = [_table(found, without) for without in _GIVEN_UP]
        without = _GIVEN_UP[show_first_that_fits(tables, console)]
        titles = [c[0].replace("\n", "") for key, c in _columns(found).items() if key in without]
        if titles:
            say(console, f"not shown at {width} characters: {', '.join(titles)}; see --json")
        say(console, f"one of them: sinesweep show {found[0].archive.folder.name}{root_flag(root)}")
    if listed.left_out:
        sweeps = count(listed.left_out, "sweep")
        say(console, f"not listed: {sweeps} of replicate's: sinesweep list --all{root_flag(root)}")
    for folder, why in listed.unreadable:
        say(console, redact(f"{folder.name} cannot be read: {why}"))
    if not found and not listed.unreadable and not listed.left_out:
        say(console, _how_to_begin(root))


def _table(found: Sequence[Standing], without: Collection[str]) -> Table:
    from rich.table import Table

    from sinesweep.commands.tables import cells

    columns = {key: column for key, column in _columns(found).items() if key not in without}
    table = Table()
    for title, justify, _ in columns.values():
        table.add_column(title, justify=justify, no_wrap=True)
    for row in zip(*(texts for _, _, texts in columns.values()), strict=True):
        table.add_row(*cells(row))
    return table


def _columns(found: Sequence[Standing]) -> dict[str, Column]:
    """Return each column's title, how it is set, and its texts."""
    from sinesweep.commands.standing import REPORTED, STATES
    from sinesweep.commands.tables import when_text
    from sinesweep.sweep.entry import RUNNING
    from sinesweep.sweep.wording import figure

    reported = [each.best_metrics.get(REPORTED) for each in found]
    active = ["now" if each.state == RUNNING else when_text(each.active) for each in found]
    columns: dict[str, Column] = {
        "sweep": ("sweep", "left", [each.archive.folder.name for each in found]),
        "state": ("state", "left", [STATES[each.state] for each in found]),
        "done": ("done", "left", [each.done_text for each in found]),
        "best": ("best", "right", [each.best_words[0] for each in found]),
        "of": ("of", "left", [each.best_words[1] for each in found]),
    }
    if any(value is not None for value in reported):
        figures = ["" if value is None else figure(value) for value in reported]
        columns["reported"] = ("reference/\ntest_mae", "right", figures)
    return {**columns, "last active": ("last active", "left", active)}


def _how_to_begin(root: Path) -> str:
    elsewhere = Path("multirun")
    if root != elsewhere and any(elsewhere.glob("*/sweep.yaml")):
        return f"no sweep under {root}; those in multirun: sinesweep list --root multirun"
    task = Path("src", "train.py")
    command = f"python {task} -m sweeps=quick" if task.is_file() else _OF_ANY_APPLICATION
    return f"no sweep under {root}: begin one with  {command}"
