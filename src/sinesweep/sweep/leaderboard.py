"""The best trials of a sweep, beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sinesweep.redaction import redact_tree
from sinesweep.sweep.entry import FAIL, RETRIED, Entry
from sinesweep.sweep.ranking import pareto, ranked, values_of, why_none
from sinesweep.sweep.repeats import folders, mean_metrics
from sinesweep.sweep.screen import plain_console, say
from sinesweep.sweep.wording import (
    all_keys,
    brief,
    figure,
    one_line,
    params_text,
    short_names,
)

ROWS = 10
OPTIMAL_ROWS = 30
_REPORTED = "reference/test_mae"
_ALSO_SHOWN = (_REPORTED, "test/mae")
_BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}

Metrics = Mapping[str, float]
Cell = Callable[[Entry], str]


@dataclass(frozen=True)
class Layout:
    """How much room a leaderboard takes.

    Attributes:
        compact: titles are broken, and columns have no lines between them.
        short: parameters are called by the last part of their key.
        below: parameters are not in the table but below it.
        metrics: how many of the metrics besides the objectives are shown.
    """

    compact: bool = False
    short: bool = False
    below: bool = False
    metrics: int = len(_ALSO_SHOWN)


# The first that fits the terminal is taken, or the narrowest.
_LAYOUTS = (
    Layout(),
    Layout(short=True),
    Layout(short=True, compact=True),
    Layout(short=True, compact=True, metrics=1),
)
_NARROWEST = Layout(compact=True, below=True)


class Leaderboard:
    """The best trials as a table.

    Args:
        shown: the trials, the best first.
        objectives: what each value is called.
    """

    def __init__(self, shown: Sequence[Entry], objectives: Sequence[str]) -> None:
        self._shown = shown
        self._objectives = objectives
        self._metrics = {entry.number: _metrics(entry) for entry in shown}
        self.seeds = max((_seeds(entry) for entry in shown), default=1)
        found = {name for metrics in self._metrics.values() for name in metrics}
        self._keys = all_keys(entry.params for entry in shown)
        fair = _ALSO_SHOWN if not _changes_data(self._keys) else (_REPORTED,)
        self.extra = [name for name in fair if name in found and name not in objectives]

    def fitted(self, console: Console) -> RenderableType:
        """Return the table in the widest layout that fits."""
        unlimited = console.options.update(max_width=10_000)
        for layout in _LAYOUTS:
            table = self.table(layout)
            if console.measure(table, options=unlimited).maximum <= console.width:
                return table
        return Group(self.table(_NARROWEST), self._params_below(), "")

    def table(self, layout: Layout) -> Table:
        """Return the table in one layout."""
        metrics = self._metric_columns(layout)
        columns = [*metrics, *self._param_columns(layout), ("seconds", _seconds)]
        table = Table(title=self._title(), title_justify="left")
        if layout.compact:
            table.box, table.pad_edge, table.padding = box.SIMPLE_HEAD, False, (0, 1, 0, 0)
            # A metric's long name takes two lines.
            columns[: len(metrics)] = [(t.replace("/", "/\n"), cell) for t, cell in metrics]
        for title, _ in columns:
            table.add_column(title, justify="right")
        for entry in self._shown:
            table.add_row(*(cell(entry) for _, cell in columns))
        table.add_section()
        for words, values in self._baselines():
            table.add_row(words, *(_optional(values.get(title)) for title, _ in metrics[1:]))
        return table

    def _metric_columns(self, layout: Layout) -> list[tuple[str, Cell]]:
        columns = [("rank", self._rank)] if len(self._objectives) == 1 else []
        columns.append(("trial", lambda entry: str(entry.number)))
        for index, name in enumerate(self._objectives):
            columns.append((name, partial(_objective, index)))
        for name in self.extra[: layout.metrics]:
            columns.append((name, partial(self._metric, name)))
        return columns

    def _param_columns(self, layout: Layout) -> list[tuple[str, Cell]]:
        if layout.below:
            return []
        names = short_names(self._keys) if layout.short else {key: key for key in self._keys}
        return [(names[key], partial(_param, key)) for key in self._keys]

    def _params_below(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        for entry in self._shown:
            text = params_text(entry.params, short=True)
            grid.add_row(f" trial {entry.number}", Text(text, overflow="fold"))
        return grid

    def _title(self) -> str:
        return "the best trials" if len(self._objectives) == 1 else "the Pareto set"

    def _rank(self, entry: Entry) -> str:
        return str(self._shown.index(entry) + 1)

    def _metric(self, name: str, entry: Entry) -> str:
        return _optional(self._metrics[entry.number].get(name))

    def _baselines(self) -> Iterator[tuple[str, dict[str, float]]]:
        metrics = self._metrics[self._shown[0].number]
        for baseline, words in _BASELINES.items():
            names = {n: f"baseline/{baseline}/{n.replace('/', '_')}" for n in self._shown_names()}
            values = {name: metrics[key] for name, key in names.items() if key in metrics}
            if values:
                yield words, values

    def _shown_names(self) -> list[str]:
        return [*self._objectives, *self.extra]


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
    found = pareto(entries, directions) if several else ranked(entries, directions)
    shown = found[: OPTIMAL_ROWS if several else ROWS]
    if not shown:
        _say_nothing_completed(entries, console)
        return
    board = Leaderboard(shown, objectives)
    console.print()
    console.print(board.fitted(console), markup=False)
    if several and len(found) > len(shown):
        say(console, f"and {len(found) - len(shown)} more")
    for line in _explanation(objectives, board.extra):
        say(console, line)
    if board.seeds > 1:
        say(console, f"each value is the mean over {board.seeds} seeds")


def _say_nothing_completed(entries: Sequence[Entry], console: Console) -> None:
    say(console, why_none(entries))
    failed = [entry for entry in entries if entry.error and entry.outcome in (FAIL, RETRIED)]
    if failed:
        last = max(failed, key=lambda entry: entry.number)
        say(console, f"the last error, of trial {last.number}: {one_line(last.error or '')}")


def _changes_data(keys: Iterable[str]) -> bool:
    """Return whether each trial has a test set of its own, so that these are not to be compared."""
    return any(key.lstrip("+").split(".")[0] == "data" for key in keys)


def _objective(index: int, entry: Entry) -> str:
    return figure(values_of(entry)[index])


def _param(key: str, entry: Entry) -> str:
    if key not in entry.params:
        return ""
    return one_line(brief(redact_tree({key: entry.params[key]})[key]))


def _explanation(objectives: Sequence[str], extra: Sequence[str]) -> list[str]:
    lines = [f"{' and '.join(objectives)}: what trials were chosen by, so optimistic for the best"]
    if _REPORTED in extra:
        lines.append(f"{_REPORTED}: what to report; no trial was chosen by it")
    return lines


def _seconds(entry: Entry) -> str:
    return "" if entry.seconds is None else f"{entry.seconds:.1f}"


def _metrics(entry: Entry) -> dict[str, float]:
    return {} if entry.directory is None else mean_metrics(entry.directory)


def _seeds(entry: Entry) -> int:
    return 1 if entry.directory is None else len(folders(entry.directory))


def _optional(value: float | None) -> str:
    return "" if value is None else figure(value)
