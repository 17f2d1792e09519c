"""What running trials print, a whole line at a time, each under its trial's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sinesweep.sweep.entry import Entry
from sinesweep.sweep.wording import printable

LOG_FILE = "trial.log"


class LogStream:
    """Follows the logs of the trials that are running."""

    def __init__(self) -> None:
        self._offsets: dict[int, int] = {}
        self._entries: dict[int, Entry] = {}

    def started(self, entry: Entry) -> None:
        """Follow a trial."""
        self._offsets[entry.number], self._entries[entry.number] = 0, entry

    def ended(self, entry: Entry) -> Iterator[str]:
        """Yield what is left of a trial's log, and follow it no more."""
        if entry.number in self._offsets:
            yield from self._lines(entry, is_over=True)
            del self._offsets[entry.number], self._entries[entry.number]

    def lines(self) -> Iterator[str]:
        """Yield the lines that were finished since the last call."""
        for entry in self._entries.values():
            yield from self._lines(entry)

    def _lines(self, entry: Entry, *, is_over: bool = False) -> Iterator[str]:
        assert entry.directory is not None
        path = Path(entry.directory) / LOG_FILE
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offsets[entry.number])
            content = file.read()
        whole = len(content) if is_over else content.rfind(b"\n") + 1
        self._offsets[entry.number] += whole
        if not whole:
            return
        text = content[:whole].decode(errors="replace").removesuffix("\n")
        for line in text.split("\n"):
            yield f"{entry.name} | {printable(_last_state(line))}"


def _last_state(line: str) -> str:
    """Return what a line shows after a progress bar has written it over."""
    return line.rstrip("\r").rpartition("\r")[2].expandtabs()
