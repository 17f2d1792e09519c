import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from sinesweep.sweep.entry import (
    DROPPED,
    FAIL,
    INTERRUPTED,
    PRUNED,
    RETRIED,
    REUSED,
    RUNNING,
    Entry,
)
from sinesweep.sweep.live import LiveView
from sinesweep.sweep.view import PlainView, Subject, View, make_view

MakeEntry = Callable[..., Entry]
MakeView = Callable[..., tuple[View, io.StringIO]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plain(tmp_path: Path) -> MakeView:
    def make(*finished: Entry, n_trials: int | None = 40, objectives: int = 1) -> tuple:
        names = ["val/mae", "parameters"][:objectives]
        directions = ["minimize"] * objectives
        subject = Subject("quick", tmp_path, names, directions, n_trials, 2, finished)
        output = io.StringIO()
        return make_view(subject, Console(file=output, width=80)), output

    return make


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeView]:
    """A view on a terminal that redraws at every tick."""
    monkeypatch.setattr("sinesweep.sweep.live._REFRESH", 0.0)

    def make(*finished: Entry, width: int = 80, height: int = 24, workers: int = 2) -> tuple:
        subject = Subject("quick", tmp_path, ["val/mae"], ["minimize"], 40, workers, finished)
        output = Terminal()
        console = Console(
            file=output, width=width, height=height, force_terminal=True, color_system=None
        )
        made.append(make_view(subject, console))
        return made[-1], output

    made: list[View] = []
    yield make
    for view in made:
        view.close()


def last_line(output: io.StringIO) -> str:
    return output.getvalue().splitlines()[-1]


def frame(view: View, output: io.StringIO) -> list[str]:
    """Return the lines that one redrawing draws."""
    output.seek(0)
    output.truncate()
    view.tick()
    text = output.getvalue().replace("\x1b[2K", "").replace("\x1b[1A", "").replace("\x1b[?25l", "")
    return text.replace("\r", "").splitlines()


# which view


def test_view_of_a_pipe(plain: MakeView) -> None:
    """Where the output is no terminal, lines are printed."""
    view, _ = plain()
    assert isinstance(view, PlainView)


def test_view_of_a_terminal(live: MakeView) -> None:
    """A terminal has the live view."""
    view, _ = live()
    assert isinstance(view, LiveView)


def test_forced_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours that are forced on a log do not bring cursor movements into it."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    subject = Subject("quick", tmp_path, ["val/mae"], ["minimize"], 40, 2)
    assert isinstance(make_view(subject, Console(file=io.StringIO())), PlainView)


# plain lines


def test_first_line(plain: MakeView, tmp_path: Path) -> None:
    """The first line says what is run, and where."""
    _, output = plain()
    assert output.getvalue() == f"sweep quick: 40 trials, 2 workers, {tmp_path}\n"


def test_one_trial(plain: MakeView) -> None:
    """One trial is not called many."""
    _, output = plain(n_trials=1)
    assert output.getvalue().startswith("sweep quick: 1 trial, 2 workers, ")


def test_no_number_of_trials(plain: MakeView) -> None:
    """Where the number of trials is not known, the first line says so."""
    _, output = plain(n_trials=None)
    assert output.getvalue().startswith("sweep quick: trials without a set number, 2 workers, ")


def test_continued_sweep(plain: MakeView, make_entry: MakeEntry) -> None:
    """A continued sweep says how far it is."""
    _, output = plain(make_entry(0, 0.1), make_entry(1, state=FAIL))
    assert last_line(output) == "continuing: 2 of 40 trials done"


def test_completed_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A completed trial is a line with its value and where the sweep stands."""
    view, output = plain(make_entry(7, 0.0098))
    view.ended(make_entry(12, 0.01234, params={"model.layers": 3, "model.width": 32}))
    assert last_line(output) == (
        "trial 12  complete  val/mae 0.01234  model.layers=3 model.width=32  4.1 s"
        "  (2/40, best 0.0098 of trial 7)"
    )


def test_infeasible_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A trial that violates a constraint says so beside its value, and is not the best."""
    view, output = plain(make_entry(7, 0.5))
    view.ended(make_entry(12, 0.1, params={"x": 1}, constraints={"size": 0.1, "time": -1.0}))
    assert last_line(output) == (
        "trial 12  complete  val/mae 0.1 (infeasible)  x=1  4.1 s  (2/40, best 0.5 of trial 7)"
    )


def test_pruned_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A pruned trial shows what it was pruned for."""
    view, output = plain(n_trials=None)
    view.started(make_entry(0, state=RUNNING), 0)
    view.reported(make_entry(0, state=RUNNING), 0.5, 3)
    view.ended(make_entry(0, state=PRUNED, params={"x": 1}))
    assert last_line(output) == "trial 0  pruned  val/mae 0.5 at step 3  x=1  4.1 s  (1)"


def test_failed_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A failed trial is followed by its cause, in one line without credentials."""
    view, output = plain()
    error = "RuntimeError: no\nhttp://me:hunter2@host"
    view.ended(make_entry(0, state=FAIL, params={"x": 1}, error=error))
    assert output.getvalue().splitlines()[-2:] == [
        "trial 0  failed  x=1  4.1 s  (1/40)",
        "  RuntimeError: no http://***@host",
    ]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [(RETRIED, "failed, to be run again"), (INTERRUPTED, "interrupted")],
)
def test_trial_that_is_run_again(
    plain: MakeView, make_entry: MakeEntry, outcome: str, words: str
) -> None:
    """A trial that is run again says so, and is not counted."""
    view, output = plain()
    view.ended(make_entry(0, state=FAIL, outcome=outcome, params={"x": 1}))
    assert last_line(output) == f"trial 0  {words}  x=1  4.1 s  (0/40)"


def test_reused_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A point that was evaluated before shows the value that it had."""
    view, output = plain(make_entry(0, 0.1))
    view.ended(make_entry(1, 0.1, outcome=REUSED, params={"x": 1}, seconds=None))
    assert last_line(output) == "trial 1  reused  val/mae 0.1  x=1  (1/40, best 0.1 of trial 0)"


def test_dropped_trial(plain: MakeView, make_entry: MakeEntry) -> None:
    """A trial that never began is not shown."""
    view, output = plain()
    before = output.getvalue()
    view.ended(make_entry(0, state=FAIL, outcome=DROPPED, error="the sweep was killed"))
    assert output.getvalue() == before


def test_several_objectives(plain: MakeView, make_entry: MakeEntry) -> None:
    """With several objectives every value is shown, and how many trials are optimal."""
    view, output = plain(objectives=2)
    view.ended(make_entry(0, 0.1, 21157.0, params={"x": 1}))
    assert last_line(output) == (
        "trial 0  complete  val/mae 0.1  parameters 21,157  x=1  4.1 s  (1/40, Pareto set 1)"
    )


def test_text_that_the_output_cannot_say(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A letter that the output's encoding lacks does not end the sweep."""
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    subject = Subject("quick", tmp_path, ["val/mae"], ["minimize"], 40, 2)
    view = make_view(subject, Console(file=output, width=80))
    view.ended(make_entry(0, state=FAIL, error="schön"))
    assert raw.getvalue().endswith(b"  sch?n\n")


def test_brackets_are_no_markup(plain: MakeView, make_entry: MakeEntry) -> None:
    """Square brackets are shown as they are."""
    view, output = plain()
    view.ended(make_entry(0, state=FAIL, error="KeyError: [red]"))
    view.message("[bold]stopping[/bold]")
    assert output.getvalue().splitlines()[-2:] == ["  KeyError: [red]", "[bold]stopping[/bold]"]


# the live view


def test_frame(live: MakeView, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The terminal shows progress, counts, the best trial, and what each worker does."""
    view, output = live(make_entry(0, 0.25), workers=2)
    view.started(make_entry(1, state=RUNNING), 1)
    view.reported(make_entry(1, state=RUNNING), 0.5, 3)
    progress, counts, best, *workers = frame(view, output)
    assert "1/40" in progress
    assert "left" in progress
    assert counts.startswith("1 complete  1 running")
    assert best == "best val/mae 0.25  trial 0  layers=1 lr=0.01"
    assert workers == [
        "worker 1  trial 1  0 s  step 3: 0.5  layers=2 lr=0.01",
        "worker 0  idle",
    ]


@pytest.mark.parametrize("width", [30, 80, 140])
def test_frame_fits(live: MakeView, make_entry: MakeEntry, width: int) -> None:
    """No line is wider than the terminal, and there are no more of them than it is high."""
    view, output = live(width=width, height=12, workers=16)
    params = {f"group.parameter_{index}": 0.123456 for index in range(20)}
    view.ended(make_entry(99, 0.1, params=params))
    for worker in range(16):
        view.started(make_entry(worker, state=RUNNING, params=params), worker)
    lines = frame(view, output)
    assert max(map(len, lines)) <= width
    assert len(lines) < 12
    assert lines[-1] == "and 10 more"


def test_failure_on_a_terminal(live: MakeView, make_entry: MakeEntry) -> None:
    """A failure is shown above the live lines, with its cause."""
    view, output = live()
    view.ended(make_entry(0, state=FAIL, error="RuntimeError: no"))
    assert "trial 0  failed  layers=1 lr=0.01" in output.getvalue()
    assert last_line(output).rstrip() == "  RuntimeError: no"


def test_failure_with_long_parameters(live: MakeView, make_entry: MakeEntry) -> None:
    """Parameters that do not fit are cut; the cause is shown in full."""
    view, output = live(width=60)
    params = {f"group.parameter_{index}": 0.123456 for index in range(20)}
    before = len(output.getvalue())
    view.ended(make_entry(0, state=FAIL, params=params, error="word " * 20))
    trial, *cause = output.getvalue()[before:].splitlines()
    assert len(trial) <= 60
    assert " ".join(cause).split() == ["word"] * 20


def test_nothing_to_wait_for_at_the_end(live: MakeView, make_entry: MakeEntry) -> None:
    """A sweep that was stopped does not say how long the rest would take."""
    view, output = live(make_entry(0, 0.25))
    view.tick()
    before = len(output.getvalue())
    view.close()
    assert "1/40" in output.getvalue()[before:]
    assert "left" not in output.getvalue()[before:]


def test_redrawn_at_most_four_times_a_second(
    live: MakeView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick soon after another draws nothing."""
    view, output = live()
    monkeypatch.setattr("sinesweep.sweep.live._REFRESH", 0.25)
    view.tick()
    before = output.getvalue()
    view.tick()
    assert output.getvalue() == before


def test_closed_view(live: MakeView) -> None:
    """The cursor is shown again, closing twice does nothing, and no tick draws any more."""
    view, output = live()
    view.tick()
    view.close()
    before = output.getvalue()
    assert "\x1b[?25h" in before
    view.close()
    view.tick()
    assert output.getvalue() == before


def test_closed_before_it_was_drawn(live: MakeView) -> None:
    """A view that never drew leaves the terminal as it is."""
    view, output = live()
    before = output.getvalue()
    view.close()
    assert output.getvalue() == before


def test_log_lines_go_above(live: MakeView, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged meanwhile goes above the live lines, and afterwards where it went before."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    handler = logging.StreamHandler(stream)
    logging.root.addHandler(handler)
    try:
        view, output = live()
        view.tick()
        logging.root.warning("seen")
        view.close()
        assert "seen" in output.getvalue()
        assert handler.stream is stream
    finally:
        logging.root.removeHandler(handler)
