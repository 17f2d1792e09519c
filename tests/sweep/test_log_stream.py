from collections.abc import Callable

import pytest

from sinesweep.sweep.entry import RUNNING, Entry
from sinesweep.sweep.log_stream import LOG_FILE, LogStream

MakeEntry = Callable[..., Entry]


@pytest.fixture
def entry(make_entry: MakeEntry) -> Entry:
    return make_entry(12, state=RUNNING)


@pytest.fixture
def stream(entry: Entry) -> LogStream:
    followed = LogStream()
    followed.started(entry)
    return followed


def write(entry: Entry, text: str) -> None:
    assert entry.directory is not None
    with (entry.directory / LOG_FILE).open("a", newline="") as file:
        file.write(text)


def test_no_log_yet(stream: LogStream) -> None:
    """A trial that has printed nothing has no lines."""
    assert list(stream.lines()) == []


def test_new_lines(stream: LogStream, entry: Entry) -> None:
    """Each line is shown once, under its trial's name, with its indentation."""
    write(entry, "one\n")
    assert list(stream.lines()) == ["trial-00012 | one"]
    write(entry, "\n  two\n")
    assert list(stream.lines()) == ["trial-00012 | ", "trial-00012 |   two"]
    assert list(stream.lines()) == []


def test_part_of_a_line(stream: LogStream, entry: Entry) -> None:
    """A line is shown when it is whole."""
    write(entry, "one\ntw")
    assert list(stream.lines()) == ["trial-00012 | one"]
    write(entry, "o\n")
    assert list(stream.lines()) == ["trial-00012 | two"]


def test_end(stream: LogStream, entry: Entry) -> None:
    """At a trial's end the rest of its log is shown, whole or not, and nothing afterwards."""
    write(entry, "one\ntw")
    assert list(stream.ended(entry)) == ["trial-00012 | one", "trial-00012 | tw"]
    write(entry, "more\n")
    assert list(stream.lines()) == []


def test_trial_that_was_not_followed(make_entry: MakeEntry) -> None:
    """The end of a trial that never began here shows nothing."""
    assert list(LogStream().ended(make_entry(0, 0.1))) == []


def test_progress_bars(stream: LogStream, entry: Entry) -> None:
    """Of a line that was written over, the last state is shown."""
    write(entry, "10%\r50%\r100%\nnext\r\n")
    assert list(stream.lines()) == ["trial-00012 | 100%", "trial-00012 | next"]


def test_terminal_codes_and_credentials(stream: LogStream, entry: Entry) -> None:
    """Nothing in a log moves the cursor of the user's terminal, or shows a password."""
    write(entry, "\x1b[2J\x1b[31mred\x1b[0m\x07 http://me:hunter2@host\n")
    assert list(stream.lines()) == ["trial-00012 | red  http://***@host"]
