"""What the user sees of a running sweep: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console

from sinesweep.sweep.entry import PRUNED, Entry
from sinesweep.sweep.live import LiveView
from sinesweep.sweep.screen import Subject, View, plain_console, say
from sinesweep.sweep.tally import WORDS, Running, Tally
from sinesweep.sweep.wording import figure, params_text, seconds_text, values_text

__all__ = ["PlainView", "Subject", "View", "make_view"]


class PlainView(View):
    """A line for each trial that has ended, and one more for why it failed."""

    def tick(self) -> None:
        """Nothing changes without an event."""

    def close(self) -> None:
        """Every line is out already."""

    def _show_end(self, entry: Entry, running: Running | None) -> None:
        parts = [
            f"trial {entry.number}",
            WORDS[entry.outcome],
            self._value(entry, running),
            params_text(entry.params),
            "" if entry.seconds is None else seconds_text(entry.seconds),
            f"on {entry.host}" if entry.host and running is None else "",
            f"({self._standing()})",
        ]
        say(self._console, "  ".join(part for part in parts if part))
        if cause := self._cause(entry):
            say(self._console, f"  {cause}")

    def _value(self, entry: Entry, running: Running | None) -> str:
        if entry.values is not None:
            text = values_text(entry.values, self._subject.objectives)
            return text if entry.is_feasible else f"{text} (infeasible)"
        if entry.outcome == PRUNED and running and running.value is not None:
            name = self._subject.objectives[0]
            return f"{name} {figure(running.value)} at step {running.step}"
        return ""

    def _standing(self) -> str:
        tally, total = self._tally, self._subject.n_trials
        done = f"{tally.done}" if total is None else f"{tally.done}/{total}"
        if not tally.best:
            return done
        if len(self._subject.directions) > 1:
            return f"{done}, Pareto set {len(tally.best)}"
        (best,) = tally.best
        assert best.values is not None
        return f"{done}, best {figure(best.values[0])} of trial {best.number}"


def make_view(
    subject: Subject, console: Console | None = None, *, shares_terminal: bool = False
) -> View:
    """Return a live view where the output is a terminal that can show one, or plain lines.

    Args:
        subject: the sweep.
        console: where to; standard output, if there is none.
        shares_terminal: whether trials use the terminal, which a live view would redraw.
    """
    console = console or plain_console()
    places = subject.workers * subject.slots
    tally = Tally(subject.directions, subject.n_trials, places, subject.finished)
    # Not rich's own judgement: variables can force its colours, not cursor movements, on a log.
    if console.file.isatty() and not console.is_dumb_terminal and not shares_terminal:
        return LiveView(subject, console, tally)
    return PlainView(subject, console, tally)
