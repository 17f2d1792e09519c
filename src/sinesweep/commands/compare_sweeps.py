"""Sweeps side by side: how their definitions differ, and what each came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from sinesweep.commands.comparison import (
    Row,
    differing,
    flat,
    reference_set,
    shortened,
    side_by_side,
    unfair,
)
from sinesweep.commands.standing import BASELINES, REPORTED, STATES, Standing, baseline
from sinesweep.commands.tables import show_table
from sinesweep.sweep.screen import plain_console, say
from sinesweep.sweep.wording import brief, figure, seconds_text


def compare_sweeps(
    found: Sequence[Standing], *, every: bool = False, console: Console | None = None
) -> None:
    """Print sweeps side by side.

    Args:
        found: two or more.
        every: show each key that differs, however many do.
        console: where to; stdout where it is left out.
    """
    console = console or plain_console()
    definitions = [_definition(each) for each in found]
    keys = differing(definitions)
    rows = [(key, [_shown(each, key) for each in definitions]) for key in keys]
    names = [each.archive.folder.name for each in found]
    show_table(side_by_side(names, [_results(found), shortened(rows, every=every)]), console)
    if not keys:
        say(console, "they are defined alike, but for what is not part of a sweep's definition")
    if why := _unfair(found, keys):
        say(console, why)
    if len({each.done for each in found}) > 1:
        say(console, "the best of more trials is better by luck alone")


def _results(found: Sequence[Standing]) -> list[Row]:
    def row(label: str, text: Callable[[Standing], str]) -> Row:
        return label, [text(each) for each in found]

    return [
        row("state", lambda each: STATES[each.state]),
        row("trials tried", lambda each: each.done_text),
        row("of these", lambda each: each.counts_text),
        row("objective", lambda each: " and ".join(each.archive.objectives)),
        row("best", _best),
        row("best trial", lambda each: _best_trial(each)),
        row(REPORTED, lambda each: _metric(each, REPORTED)),
        *(
            row(f"- {words}", lambda each, kind=kind: _metric(each, baseline(kind, REPORTED)))
            for kind, words in BASELINES.items()
        ),
        row("compute", lambda each: seconds_text(each.seconds)),
    ]


def _metric(found: Standing, name: str) -> str:
    value = found.best_metrics.get(name)
    return "" if value is None else figure(value)


def _best(found: Standing) -> str:
    text, what = found.best_words
    return f"{what} of {text}" if len(found.archive.directions) > 1 and found.best else text


def _best_trial(found: Standing) -> str:
    one = len(found.archive.directions) == 1 and found.best
    return str(found.best[0].number) if one else ""


def _definition(found: Standing) -> dict[str, Any]:
    """Return what makes the sweep the same sweep, by dotted key; what is searched is ``over``."""
    definition = dict(found.archive.definition)
    config, space = definition.pop("config"), definition.pop("space")
    searched = {f"over {key}": text for key, text in space.items()}
    definition["directions"] = definition.pop("objectives")
    return {**searched, **definition, **dict(flat(config))}


def _shown(definition: Mapping[str, Any], key: str) -> str:
    return brief(definition[key]) if key in definition else "-"


def _unfair(found: Sequence[Standing], keys: Sequence[str]) -> str | None:
    swept = [key.lstrip("+") for each in found for key in each.archive.definition["space"]]
    sets = {reference_set(each.best[0].directory) if each.best else None for each in found}
    return unfair(
        [each.archive.objectives for each in found],
        [*keys, *swept],
        has_reference=len(sets) == 1 and all(REPORTED in each.best_metrics for each in found),
    )
