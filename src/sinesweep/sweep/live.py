"""The live view of a sweep on a terminal: progress, the best so far, a row for each worker."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sinesweep.output import stream_handlers
from sinesweep.sweep.entry import (
    COMPLETE,
    FAIL,
    INTERRUPTED,
    PRUNED,
    RETRIED,
    REUSED,
    RUNNING,
    Entry,
)
from sinesweep.sweep.screen import Subject, View, short_path
from sinesweep.sweep.tally import WORDS, Running, Tally
from sinesweep.sweep.wording import figure, params_text, seconds_text, values_text

_REFRESH = 0.25  # seconds
_HEAD_LINES = 6  # what is shown besides the workers, and a line for the shell
_WIDEST_BAR = 40
_STYLES = {
    COMPLETE: "green",
    PRUNED: "yellow",
    FAIL: "red",
    RETRIED: "red",
    INTERRUPTED: "yellow",
    REUSED: "cyan",
    RUNNING: "bold",
}


class LiveView(View):
    """Redraws a few lines at the bottom of the terminal; what is printed goes above them.

    Args:
        subject: the sweep.
        console: a terminal.
        tally: where the sweep stands.
    """

    def __init__(self, subject: Subject, console: Console, tally: Tally) -> None:
        super().__init__(subject, console, tally)
        self._live = Live(console=console, auto_refresh=False)
        self._drawn = 0.0
        self._log_streams: list[tuple[logging.StreamHandler[Any], Any]] = []
        self._closed = False

    def tick(self) -> None:
        """Redraw, a few times a second."""
        if self._closed or time.monotonic() - self._drawn < _REFRESH:
            return
        if not self._live.is_started:
            self._open()
        self._draw(Group(self._head(), self._workers()))

    def close(self) -> None:
        """Leave the last counts on the screen, without the workers."""
        if self._closed:
            return
        self._closed = True
        if self._live.is_started:
            self._draw(self._head())
            self._live.stop()
        for handler, stream in self._log_streams:
            handler.setStream(stream)

    def _show_end(self, entry: Entry, running: Running | None) -> None:  # noqa: ARG002 # its row is gone
        cause = self._cause(entry)
        if cause is not None:
            text = f"trial {entry.number}  {WORDS[entry.outcome]}  "
            params = params_text(entry.params, short=True)
            # Said here, for a text's own wish not to be wrapped is lost on the way.
            line = Text(text + params, style="red")
            self._console.print(line, no_wrap=True, overflow="ellipsis")
            self._console.print(Padding(Text(cause), (0, 0, 0, 2)))

    def _open(self) -> None:
        originals = (sys.stdout, sys.stderr)
        self._live.start()
        # A handler writes to the stream that it was made with, below the lines' cursor.
        for handler in stream_handlers():
            if handler.stream in originals:
                proxy = sys.stdout if handler.stream is originals[0] else sys.stderr
                self._log_streams.append((handler, handler.stream))
                handler.setStream(proxy)

    def _draw(self, lines: RenderableType) -> None:
        self._live.update(lines, refresh=True)
        self._drawn = time.monotonic()

    def _head(self) -> RenderableType:
        lines: list[RenderableType] = [self._progress(), self._counts()]
        if self._tally.best:
            lines.append(self._best())
        return Group(*lines)

    def _progress(self) -> RenderableType:
        tally, total = self._tally, self._subject.n_trials
        times = f"{seconds_text(tally.elapsed(), 0)} so far"
        if not self._closed and (left := tally.left()) is not None:
            times += f", about {seconds_text(left, 0)} left"
        if total is None:
            return _line(Text(f"{tally.done} done  {times}"))
        grid = Table.grid(padding=(0, 1), expand=False)
        grid.add_column(width=min(_WIDEST_BAR, self._console.width // 3))
        grid.add_column(no_wrap=True)
        grid.add_row(
            ProgressBar(total=total, completed=tally.done), f"{tally.done}/{total}  {times}"
        )
        return grid

    def _counts(self) -> RenderableType:
        counts = self._tally.counts()
        parts = [Text(f"{n} {word}", style=_STYLES[outcome]) for n, word, outcome in counts]
        parts.append(Text(short_path(self._subject.folder), style="dim"))
        return _line(Text("  ").join(parts))

    def _best(self) -> RenderableType:
        best = self._tally.best[-1]
        assert best.values is not None
        if len(self._subject.directions) > 1:
            count = len(self._tally.best)
            return _line(Text(f"Pareto set of {count} trial{'s' * (count != 1)}"))
        values = values_text(best.values, self._subject.objectives)
        params = params_text(best.params, short=True)
        return _line(Text.assemble((f"best {values}", "bold"), f"  trial {best.number}  {params}"))

    def _workers(self) -> RenderableType:
        running = sorted(self._tally.running.values(), key=lambda each: each.worker)
        idle = sorted(set(range(self._subject.workers)) - {each.worker for each in running})
        room = max(1, self._console.height - _HEAD_LINES)
        rows = [self._row(each) for each in running[:room]]
        rows += [[f"worker {worker}", "idle"] for worker in idle[: max(0, room - len(running))]]
        if len(running) > room:
            rows.append([f"and {len(running) - room} more"])
        return Group(*_aligned(rows))

    def _row(self, running: Running) -> list[str]:
        report = ""
        if running.value is not None:
            report = f"step {running.step}: {figure(running.value)}"
        return [
            f"worker {running.worker}",
            f"trial {running.entry.number}",
            seconds_text(self._tally.time_of(running), 0),
            report,
            params_text(running.entry.params, short=True),
        ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[Text]:
    """Return a line for each row, its cells under one another; only its end may be cut."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    padded = [
        [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)] for row in rows
    ]
    return [_line(Text("  ".join(row).rstrip())) for row in padded]


def _line(text: Text) -> Text:
    text.no_wrap = True
    text.overflow = "ellipsis"
    return text
