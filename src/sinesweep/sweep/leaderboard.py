"""The end of a sweep on the screen: its best trials beside the baselines, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from sinesweep.redaction import redact, redact_tree
from sinesweep.sweep.entry import DROPPED, Entry
from sinesweep.sweep.ranking import chosen, pareto, ranked, values_of
from sinesweep.sweep.screen import plain_console, say, short_path
from sinesweep.sweep.tally import WORDS
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
Cell = Callable[[Entry], str]


@dataclass(frozen=True)
class Layout:
    """How much room a leaderboard takes.

    Attributes:
        compact: titles are broken, and columns have no lines between them.
        short: parameters are called by the last part of their key.
        together: all parameters are in one column, which may take several lines.
        metrics: how many of the metrics besides the objectives are shown.
    """

    compact: bool = False
    short: bool = False
    together: bool = False
    metrics: int = len(_ALSO_SHOWN)


# The first that fits the terminal is taken, or the last.
_LAYOUTS = (
    Layout(),
    Layout(short=True),
    Layout(short=True, compact=True),
    Layout(short=True, compact=True, metrics=1),
    Layout(short=True, compact=True, metrics=1, together=True),
)


class Leaderboard:
    """The best trials as a table.

    Args:
        shown: the trials, the best first.
        objectives: what each value is called.
    """

    def __init__(self, shown: Sequence[Entry], objectives: Sequence[str]) -> None:
        self._shown = shown
        self._objectives = objectives
        self._metrics = {entry.number: _last_values(entry) for entry in shown}
        found = {name for metrics in self._metrics.values() for name in metrics}
        self.extra = [n for n in _ALSO_SHOWN if n in found and n not in objectives]

    def fitted(self, console: Console) -> Table:
        """Return the table in the widest layout that fits."""
        for layout in _LAYOUTS:
            table = self.table(layout)
            unlimited = console.options.update(max_width=10_000)
            if console.measure(table, options=unlimited).maximum <= console.width:
                return table
        return self.table(_LAYOUTS[-1])

    def table(self, layout: Layout) -> Table:
        """Return the table in one layout."""
        several = len(self._objectives) > 1
        columns = {} if several else {"rank": self._rank}
        columns["trial"] = lambda entry: str(entry.number)
        for index, name in enumerate(self._objectives):
            columns[name] = partial(_objective, index)
        for name in self.extra[: layout.metrics]:
            columns[name] = partial(self._metric, name)
        numbers = len(columns)
        columns |= self._params(layout)
        columns["seconds"] = lambda e: "" if e.seconds is None else f"{e.seconds:.1f}"

        table = _empty(layout, "the Pareto set" if several else "the best trials")
        for index, title in enumerate(columns):
            left = layout.together and index == numbers
            shown = title.replace("/", "/\n") if layout.compact and index < numbers else title
            table.add_column(shown, justify="left" if left else "right")
        for entry in self._shown:
            table.add_row(*(cell(entry) for cell in columns.values()))
        table.add_section()
        for words, values in self._baselines():
            first = words.replace(" ", "\n") if layout.compact else words
            table.add_row(first, *(_optional(values.get(title)) for title in list(columns)[1:]))
        return table

    def _rank(self, entry: Entry) -> str:
        return str(self._shown.index(entry) + 1)

    def _metric(self, name: str, entry: Entry) -> str:
        return _optional(self._metrics[entry.number].get(name))

    def _params(self, layout: Layout) -> dict[str, Cell]:
        if layout.together:
            return {"parameters ": lambda entry: params_text(entry.params, short=True)}
        keys = all_keys(entry.params for entry in self._shown)
        names = short_names(keys) if layout.short else {key: key for key in keys}
        # A parameter may be called as a metric is: the space tells their columns apart.
        return {f"{names[key]} ": partial(_param, key) for key in keys}

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
    shown = pareto(entries, directions) if several else ranked(entries, directions)[:ROWS]
    if not shown:
        say(console, "no trial was completed")
        return
    board = Leaderboard(shown, objectives)
    console.print()
    console.print(board.fitted(console), markup=False)
    for line in _explanation(objectives, board.extra):
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


def _empty(layout: Layout, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    if layout.compact:
        table.box, table.pad_edge = box.SIMPLE_HEAD, False
        table.padding = (0, 1, 0, 0)
    return table


def _objective(index: int, entry: Entry) -> str:
    return figure(values_of(entry)[index])


def _param(key: str, entry: Entry) -> str:
    if key not in entry.params:
        return ""
    return one_line(brief(redact_tree({key: entry.params[key]})[key]))


def _explanation(objectives: Sequence[str], extra: Sequence[str]) -> list[str]:
    lines = [
        f"{' and '.join(objectives)}: what trials were chosen by, so the best one's is optimistic"
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
