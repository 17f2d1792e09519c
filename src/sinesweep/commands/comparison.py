"""What sets sweeps or runs apart, and whether it is fair to compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from sinesweep.commands.standing import REPORTED
from sinesweep.commands.tables import cells
from sinesweep.fairness import changes_data
from sinesweep.tracking import record

Row = tuple[str, Sequence[str]]

_MOST_ROWS = 24
_FEW = 3
_REFERENCE_SET = "sinesweep.fingerprint.reference_test"


def flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of every leaf of a nested mapping."""
    if not isinstance(tree, Mapping) or not tree:
        yield prefix.removesuffix("."), tree
        return
    for key, value in tree.items():
        yield from flat(value, f"{prefix}{key}.")


def differing(all_values: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that not every one of several mappings has with the same value.

    Those that all of them have come first.
    """
    keys = dict.fromkeys(key for values in all_values for key in values)
    missing = object()
    # 1, 1.0 and true are equal in Python.
    told = {key: {repr(values.get(key, missing)) for values in all_values} for key in keys}
    found = [key for key, texts in told.items() if len(texts) > 1]
    return sorted(found, key=lambda key: not all(key in values for values in all_values))


def unfair(
    objectives: Sequence[Sequence[str]], keys: Iterable[str], *, has_reference: bool
) -> str | None:
    """Return why a comparison is not fair, or what alone may be compared, in a line; or None.

    Args:
        objectives: what each is judged by.
        keys: those by which they differ, and those that a sweep changes from trial to trial.
        has_reference: whether all were measured on the same reference set.
    """
    reasons = [*_other_data(keys), *_other_objectives(objectives)]
    if not reasons:
        return None
    why = " and ".join(reasons)
    if has_reference:
        return f"only {REPORTED} can be compared: {why}"
    return f"not a fair comparison: {why}, and there is no reference metric that all have"


def _other_data(keys: Iterable[str]) -> Iterator[str]:
    changing = [key for key in dict.fromkeys(keys) if changes_data(key)]
    if changing:
        more = f" and {len(changing) - _FEW} more" * (len(changing) > _FEW)
        yield f"the data differs ({', '.join(changing[:_FEW])}{more})"


def _other_objectives(objectives: Sequence[Sequence[str]]) -> Iterator[str]:
    names = list(dict.fromkeys(" and ".join(each) for each in objectives))
    if len(names) > 1:
        yield f"each is judged by another objective ({', '.join(names)})"


def reference_set(directory: Path | None) -> str | None:
    """Return what tells the reference set of a run from others, or None where it had none."""
    if directory is None:
        return None
    begins = (event for event, _ in record.read(directory) if event["kind"] == "begin")
    return next((event.get("tags", {}).get(_REFERENCE_SET) for event in begins), None)


def side_by_side(names: Sequence[str], sections: Sequence[Sequence[Row]]) -> Table:
    """Return a table with a column for each, rows without any text left out.

    Args:
        names: the columns' titles.
        sections: rows of (what, each one's text), with a line between two sections.
    """
    table = Table()
    labels = (label for section in sections for label, texts in section if any(texts))
    table.add_column("", min_width=min(max(map(len, labels)), len(REPORTED)))
    for name in names:
        table.add_column(cells([name])[0])
    for section in sections:
        for label, texts in section:
            if any(texts):
                table.add_row(*cells([label, *texts]))
        table.add_section()
    return table


def shortened(rows: Sequence[Row], *, every: bool) -> list[Row]:
    """Return no more rows than a reader looks through, unless every one is wanted."""
    more = len(rows) - _MOST_ROWS
    if more <= 0 or every:
        return list(rows)
    return [*rows[:_MOST_ROWS], (f"and {more} more: --all", ["..."] * len(rows[0][1]))]
