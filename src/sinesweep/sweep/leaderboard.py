"""The end of a sweep on the screen: its best trials beside the baselines, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sinesweep.redaction import redact, redact_tree
from sinesweep.sweep.entry import DROPPED, Entry
from sinesweep.sweep.ranking import chosen, pareto, ranked, values_of
from sinesweep.sweep.tally import WORDS
from sinesweep.sweep.screen import plain_console, say, short_path
from sinesweep.sweep.wording import (
    all_keys,
    brief,
    figure,
    one_line,
    params_text,
    seconds_text,
    short_names,
)
from sinesweep.tracking import record

ROWS = 10
_REPORTED = "reference/test_mae"
_ALSO_SHOWN = (_REPORTED, "test/mae")
_BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """A column of the leaderboard: its title, and what it says of a trial."""

    title: str
    cell: Callable[[Entry], str]
    justify: Any = "right"


def show_leaderboard(
    entries: Sequence[Entry],
    objectives: Sequence[str],
    directions: Sequence[str],
    console: Console | None = None,
) -> None:
    """Print the best trials: ten of one objective, or the Pareto set of several.

    Args:
        entries: every trial of the sweep.
        objectives: what each value is called; a metric's name where it is one.
        directions: ``minimize`` or ``maximize`` for each objective.
        console: where to; stdout where it is left out.
    """
    console = console or plain_console()
    several = len(directions) > 1
    shown = pareto(entries, directions) if several else ranked(entries, directions)[:ROWS]
    if not shown:
        say(console, "no trial was completed")
        return
    metrics = {entry.number: _last_values(entry) for entry in shown}
    names = [n for n in _ALSO_SHOWN if any(n in m for m in metrics.values())]
    extra = [name for name in names if name not in objectives]
    console.print()
    console.print(_widest_that_fits(shown, objectives, extra, metrics, console), markup=False)
    for line in _explanation(objectives, extra):
        say(console, line)


def show_summary(
    entries: Sequence[Entry],
    directions: Sequence[str],
    *,
    seconds: float,
    folder: Path,
    ui: str | None,
    command: Callable[[Entry], str],
    console: Console | None = None,
) -> None:
    """Print what the sweep came to, where it is, and how to see it and to run the best trial.

    Args:
        entries: every trial of the sweep.
        directions: ``minimize`` or ``maximize`` for each objective.
        seconds: the wall time of this command.
        folder: the sweep's.
        ui: the command that shows it in the tracker, or None where it is not tracked.
        command: the command line that runs a trial again, quoted for a shell.
        console: where to; stdout where it is left out.
    """
    found = chosen(entries, directions)
    rows = {"trials": _counts(entries), "time": seconds_text(seconds), "folder": short_path(folder)}
    if ui:
        rows["compare"] = ui
    if len(found) == 1:
        rows["run the best"] = command(found[0])
    elif found:
        rows["run one"] = f"its command is in {short_path(folder / 'best.yaml')}"
    console = console or plain_console()
    width = max(map(len, rows))
    for label, value in rows.items():
        say(console, f"{label:<{width}}  {redact(value)}")


def _widest_that_fits(
    shown: Sequence[Entry],
    objectives: Sequence[str],
    extra: Sequence[str],
    metrics: Mapping[int, Metrics],
    console: Console,
) -> Table:
    """Return a table with a column for each parameter, or else with one for all of them."""
    keys = all_keys(entry.params for entry in shown)
    full = {key: key for key in keys}
    for names in (full, short_names(keys)):
        table = _table(shown, objectives, extra, metrics, _param_columns(names))
        if console.measure(table).minimum <= console.width >= _natural_width(console, table):
            return table
    together = Column("parameters", lambda e: params_text(e.params, short=True), "left")
    return _table(shown, objectives, extra, metrics, [together])


def _natural_width(console: Console, table: Table) -> int:
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum


def _param_columns(names: Mapping[str, str]) -> list[Column]:
    def cell(key: str) -> Callable[[Entry], str]:
        return lambda e: (
            one_line(brief(redact_tree({key: e.params[key]})[key])) if key in e.params else ""
        )

    return [Column(name, cell(key)) for key, name in names.items()]


def _table(
    shown: Sequence[Entry],
    objectives: Sequence[str],
    extra: Sequence[str],
    metrics: Mapping[int, Metrics],
    params: Sequence[Column],
) -> Table:
    ranks = {entry.number: rank for rank, entry in enumerate(shown, 1)}
    columns = [Column("trial", lambda e: str(e.number))]
    if len(objectives) == 1:
        columns.insert(0, Column("rank", lambda e: str(ranks[e.number])))

    def value(index: int) -> Callable[[Entry], str]:
        return lambda e: figure(values_of(e)[index])

    def metric(name: str) -> Callable[[Entry], str]:
        return lambda e: _optional(metrics[e.number].get(name))

    columns += [Column(name, value(index)) for index, name in enumerate(objectives)]
    columns += [Column(name, metric(name)) for name in extra]
    columns += params
    columns.append(Column("seconds", lambda e: "" if e.seconds is None else f"{e.seconds:.1f}"))
    table = Table(title=_title(shown, objectives), title_justify="left")
    for column in columns:
        table.add_column(column.title, justify=column.justify)
    for entry in shown:
        table.add_row(*(column.cell(entry) for column in columns))
    _add_baselines(table, columns, {*objectives, *extra}, metrics[shown[0].number])
    return table


def _add_baselines(
    table: Table, columns: Sequence[Column], names: set[str], metrics: Metrics
) -> None:
    table.add_section()
    for baseline, words in _BASELINES.items():
        values = {
            name: metrics.get(f"baseline/{baseline}/{name.replace('/', '_')}") for name in names
        }
        if any(value is not None for value in values.values()):
            cells = [_optional(values.get(column.title)) for column in columns]
            table.add_row(*[words, *cells[1:]])


def _title(shown: Sequence[Entry], objectives: Sequence[str]) -> str:
    if len(objectives) > 1:
        return f"the Pareto set of {' and '.join(objectives)}"
    return f"the best {len(shown)} trials" if len(shown) > 1 else "the best trial"


def _explanation(objectives: Sequence[str], extra: Sequence[str]) -> list[str]:
    lines = [
        f"{' and '.join(objectives)}: what trials were chosen by; for the best it is flattering"
    ]
    if _REPORTED in extra:
        lines.append(f"{_REPORTED}: what to report; no trial was chosen by it")
    return lines


def _last_values(entry: Entry) -> dict[str, float]:
    if entry.directory is None:
        return {}
    history = record.metric_history(entry.directory)
    return {name: pairs[-1][1] for name, pairs in history.items()}


def _counts(entries: Sequence[Entry]) -> str:
    outcomes = Counter(entry.outcome for entry in entries if entry.outcome != DROPPED)
    return ", ".join(f"{outcomes[o]} {word}" for o, word in WORDS.items() if outcomes[o]) or "none"


def _optional(value: float | None) -> str:
    return "" if value is None else figure(value)
