"""How the commands that look at sweeps print tables."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sinesweep.sweep.wording import one_line


def show_table(table: Table, console: Console) -> None:
    """Print a table: with lines between its columns where they fit, and without where not."""
    if not fits(table, console):
        _compact(table)
    console.print(table, markup=False)


def show_first_that_fits(tables: Sequence[Table], console: Console) -> int:
    """Print the first of some tables that fits without a broken line, or else the last of them.

    The last is printed as wide as it is, and broken by the terminal alone: a word that is copied
    from it is whole.

    Args:
        tables: the widest first; at least one.
        console: where to.

    Returns:
        The place of the table that was printed.
    """
    for table in tables:
        if not fits(table, console):
            _compact(table)
    fitting = (place for place, table in enumerate(tables) if fits(table, console))
    place = next(fitting, len(tables) - 1)
    table = tables[place]
    console.width = max(console.width, _natural_width(table, console))
    console.print(table, markup=False)
    return place


def fits(table: Table, console: Console) -> bool:
    """Whether a table is no wider than the terminal although no line of it is broken."""
    return _natural_width(table, console) <= console.width


def _compact(table: Table) -> None:
    table.box, table.pad_edge, table.padding = box.SIMPLE_HEAD, False, (0, 1, 0, 0)


def _natural_width(table: Table, console: Console) -> int:
    unlimited = console.options.update(max_width=10_000)
    return console.measure(table, options=unlimited).maximum


def cells(texts: Sequence[str]) -> list[Text]:
    """Return a row's cells: on as many lines as they need, none cut short."""
    return [Text(one_line(text), overflow="fold") for text in texts]


def count(number: int, noun: str) -> str:
    """Return ``1 sweep``, ``2 sweeps``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def when_text(seconds: float) -> str:
    """Return a time since the epoch as ``24 Nov 11:46``, with the year where it is another one."""
    local = time.localtime(seconds)
    day = "%d %b" if local.tm_year == time.localtime().tm_year else "%d %b %Y"
    return time.strftime(f"{day} %H:%M", local)
