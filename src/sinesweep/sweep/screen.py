"""A view of a running sweep, whatever it looks like, and how text is printed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sinesweep.redaction import redact
from sinesweep.sweep.entry import DROPPED, FAIL, RETRIED, Entry
from sinesweep.sweep.tally import Running, Tally
from sinesweep.sweep.wording import counted, one_line

_HAS_A_CAUSE = (FAIL, RETRIED)


@dataclass(frozen=True)
class Subject:
    """The sweep that is looked at.

    Attributes:
        name: the sweep's.
        folder: where it is.
        objectives: what each value is called.
        directions: ``minimize`` or ``maximize`` for each objective.
        n_trials: how many trials it has in all, or None.
        workers: how many processes run trials.
        finished: what had ended before.
        slots: how many trials each of the workers runs at once.
    """

    name: str
    folder: Path
    objectives: Sequence[str]
    directions: Sequence[str]
    n_trials: int | None
    workers: int
    finished: Sequence[Entry] = ()
    slots: int = 1


class View(ABC):
    """Shows a sweep; called from the control loop, and never from anywhere else.

    Args:
        subject: the sweep.
        console: where to.
        tally: where the sweep stands.
    """

    def __init__(self, subject: Subject, console: Console, tally: Tally) -> None:
        self._subject = subject
        self._console = console
        self._tally = tally
        total = subject.n_trials
        trials = "trials without a set number" if total is None else counted(total, "trial")
        workers = counted(subject.workers, "worker")
        if subject.slots > 1:
            workers += f" with {subject.slots} slots"
        self.message(f"sweep {subject.name}: {trials}, {workers}, {short_path(subject.folder)}")
        if tally.done:
            of = "" if subject.n_trials is None else f"{tally.done} of "
            self.message(f"continuing: {of}{counted(subject.n_trials or tally.done, 'trial')} done")

    def started(self, entry: Entry, worker: int) -> None:
        """A worker has been given a trial."""
        self._tally.started(entry, worker)

    def reported(self, entry: Entry, value: float, step: int) -> None:
        """A trial has reported a value."""
        self._tally.reported(entry, value, step)

    def ended(self, entry: Entry) -> None:
        """A trial has ended; why it failed is shown at once."""
        running = self._tally.ended(entry)
        if entry.outcome != DROPPED:
            self._show_end(entry, running)

    def message(self, text: str) -> None:
        """Show something that the user should know."""
        say(self._console, redact(text))

    @abstractmethod
    def tick(self) -> None:
        """A moment has passed."""

    @abstractmethod
    def close(self) -> None:
        """Show no more; a second call does nothing."""

    @abstractmethod
    def _show_end(self, entry: Entry, running: Running | None) -> None: ...

    def _cause(self, entry: Entry) -> str | None:
        if entry.outcome not in _HAS_A_CAUSE or not entry.error:
            return None
        return one_line(entry.error)


def plain_console() -> Console:
    """Return a console that prints text as it is."""
    return Console(highlight=False, markup=False, emoji=False)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a text, without what the output's encoding cannot say: it must not end the sweep."""
    known = text.encode(console.encoding, "replace").decode(console.encoding)
    console.print(known, style=style, soft_wrap=True, markup=False, highlight=False)


def short_path(path: Path) -> str:
    """Return a path as the user would type it from here."""
    absolute = os.path.abspath(path)  # noqa: PTH100 # links are left as they are
    relative = os.path.relpath(absolute)
    return absolute if relative.startswith("..") else relative
