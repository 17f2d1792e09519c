import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sinesweep.sweep.entry import FAIL, INTERRUPTED, Entry
from sinesweep.sweep.leaderboard import show_leaderboard
from sinesweep.sweep.summary import show_summary
from sinesweep.tracking.record import Record

MakeEntry = Callable[..., Entry]


def shown(
    entries: Sequence[Entry], objectives: Sequence[str] = ("val/mae",), width: int = 200
) -> str:
    output = io.StringIO()
    directions = ["minimize"] * len(objectives)
    show_leaderboard(entries, objectives, directions, Console(file=output, width=width))
    return output.getvalue()


def cells(text: str, first: str) -> list[str]:
    """Return the cells of the row that begins with a word."""
    for line in text.splitlines():
        row = [cell.strip() for cell in line.replace("┃", "│").split("│")][1:-1]
        if row and row[0] == first:
            return row
    raise AssertionError(f"no row begins with {first}:\n{text}")


def tell(entry: Entry, **metrics: float) -> Entry:
    assert entry.directory is not None
    Record(entry.directory).append_metrics(
        {name.replace("__", "/"): value for name, value in metrics.items()}, 0
    )
    return entry


def test_rows(make_entry: MakeEntry) -> None:
    """A row has rank, trial, value, each parameter and the time."""
    text = shown([make_entry(0, 0.2), make_entry(1, 0.1)])
    assert cells(text, "rank") == [
        "rank", "trial", "val/mae", "model.layers", "optimizer.lr", "seconds",
    ]  # fmt: skip
    assert cells(text, "1") == ["1", "1", "0.1", "2", "0.01", "4.1"]


def test_best_ten(make_entry: MakeEntry) -> None:
    """Ten trials are shown, however many there are."""
    text = shown([make_entry(number, number / 100) for number in range(1, 13)])
    assert cells(text, "10")[1] == "10"
    with pytest.raises(AssertionError, match="no row begins with 11"):
        cells(text, "11")


def test_reported_metrics(make_entry: MakeEntry) -> None:
    """What is reported stands in columns of its own, and is told from what was chosen by."""
    text = shown([tell(make_entry(0, 0.1), reference__test_mae=0.3, test__mae=0.2)])
    assert cells(text, "rank")[2:5] == ["val/mae", "reference/test_mae", "test/mae"]
    assert cells(text, "1")[2:5] == ["0.1", "0.3", "0.2"]
    assert "val/mae: what trials were chosen by, so optimistic for the best" in text
    assert "reference/test_mae: what to report; no trial was chosen by it" in text


def test_repeats(make_entry: MakeEntry) -> None:
    """Where trials are repeated, every metric is the mean over the seeds, and the table says so."""
    entry = tell(make_entry(0, 0.1), reference__test_mae=0.3, test__mae=0.2)
    assert entry.directory is not None
    for index, value in ((1, 0.4), (2, 0.8)):
        repeat = entry.directory / f"repeat-{index}"
        repeat.mkdir()
        tell(replace(entry, directory=repeat), reference__test_mae=value)
    text = shown([entry])
    assert cells(text, "rank")[2:5] == ["val/mae", "reference/test_mae", "model.layers"]
    assert cells(text, "1")[2:4] == ["0.1", "0.5"]
    assert "each value is the mean over 3 seeds" in text


def test_chosen_by_the_reported_metric(make_entry: MakeEntry) -> None:
    """A metric that trials were chosen by is not one to report."""
    entry = tell(make_entry(0, 0.3), reference__test_mae=0.3)
    text = shown([entry], ["reference/test_mae"])
    assert text.count("reference/test_mae") == 2
    assert "to report" not in text


def test_test_sets_that_differ(make_entry: MakeEntry) -> None:
    """Where the data is swept, MAEs on each trial's own test set are not put side by side."""
    entry = make_entry(0, 0.1, params={"data.decay.low": 0.1})
    text = shown([tell(entry, test__mae=0.2, reference__test_mae=0.3)])
    assert cells(text, "rank")[3:5] == ["reference/test_mae", "data.decay.low"]


def test_baselines(make_entry: MakeEntry) -> None:
    """The baselines of the best trial stand below its columns."""
    best = tell(
        make_entry(0, 0.1),
        reference__test_mae=0.3,
        baseline__linear__val_mae=0.5,
        baseline__linear__reference_test_mae=0.6,
        baseline__last_value__val_mae=0.7,
    )
    other = tell(make_entry(1, 0.2), baseline__linear__val_mae=9.0)
    text = shown([other, best])
    assert cells(text, "linear map")[:4] == ["linear map", "", "0.5", "0.6"]
    assert cells(text, "last value")[:4] == ["last value", "", "0.7", ""]
    assert "constant" not in text


def test_other_applications(make_entry: MakeEntry) -> None:
    """An application that logs nothing has no baselines, and nothing but its value."""
    text = shown([make_entry(0, 0.1, directory=None)], ["value"])
    assert "linear" not in text
    assert "report" not in text


def test_pareto_set(make_entry: MakeEntry) -> None:
    """With several objectives the Pareto-optimal trials are shown, without ranks."""
    entries = [make_entry(0, 0.1, 200.0), make_entry(1, 0.2, 300.0), make_entry(2, 0.3, 100.0)]
    text = shown(entries, ["val/mae", "parameters"])
    assert cells(text, "trial")[:3] == ["trial", "val/mae", "parameters"]
    assert cells(text, "2")[:3] == ["2", "0.3", "100"]
    with pytest.raises(AssertionError, match="no row begins with 1"):
        cells(text, "1")


def test_params_called_as_a_metric(make_entry: MakeEntry) -> None:
    """A parameter with the name of a column keeps its own values."""
    entry = make_entry(0, 0.1, params={"seconds": 7, "trial": 8, "val/mae": 9})
    assert cells(shown([entry]), "1") == ["1", "0", "0.1", "7", "8", "9", "4.1"]


def test_conditional_params(make_entry: MakeEntry) -> None:
    """A trial without some parameter has an empty cell."""
    entries = [make_entry(0, 0.1, params={"a": 1}), make_entry(1, 0.2, params={"b": 2})]
    assert cells(shown(entries), "2") == ["2", "1", "0.2", "", "2", "4.1"]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("count", [1, 3, 6, 12])
def test_width(make_entry: MakeEntry, width: int, count: int) -> None:
    """No table is wider than the terminal, and each parameter's value can be read in full."""
    params = {f"model.parameter_{index}": 0.1234 + index for index in range(count)}
    entry = make_entry(0, 0.123456, params=params)
    tell(entry, test__mae=0.2, reference__test_mae=0.3, baseline__last_value__val_mae=0.5)
    table = shown([entry], width=width).partition("val/mae:")[0]
    assert max(map(len, table.splitlines())) <= width
    assert all(f"{value:.4g}" in table for value in params.values())


def test_baselines_take_a_line_each(make_entry: MakeEntry) -> None:
    """A baseline's name is not broken where the table is compact."""
    best = tell(
        make_entry(0, 0.1),
        reference__test_mae=0.3,
        baseline__linear__val_mae=0.5,
        baseline__last_value__val_mae=0.7,
    )
    text = shown([best], width=60)
    assert "val/mae" not in text.partition("linear map")[0]  # titles are broken
    assert re.search(r"^ *linear map +0\.5 *$", text, re.MULTILINE)
    assert re.search(r"^ *last value +0\.7 *$", text, re.MULTILINE)


def test_credentials(make_entry: MakeEntry) -> None:
    """No cell shows a password."""
    params = {"db.password": "hunter2", "uri": "http://me:hunter2@host"}
    assert "hunter2" not in shown([make_entry(0, 0.1, params=params)])


def test_nothing_completed(make_entry: MakeEntry) -> None:
    """Without a completed trial there is no table."""
    assert shown([make_entry(0, state=FAIL)]) == "no trial was completed\n"


def test_last_error(make_entry: MakeEntry) -> None:
    """Without a completed trial the last error is shown, in one line without credentials."""
    failed = make_entry(0, state=FAIL, error="first")
    last = make_entry(1, state=FAIL, error="no\nhttp://me:hunter2@host")
    interrupted = make_entry(2, state=FAIL, outcome=INTERRUPTED, error="Ctrl-C")
    assert shown([failed, last, interrupted]).splitlines() == [
        "no trial was completed",
        "the last error, of trial 1: no http://***@host",
    ]


# the summary


def test_summary(make_entry: MakeEntry, tmp_path: Path) -> None:
    """Below the table: what there was, where it is, and how to go on."""
    output = io.StringIO()
    (tmp_path / "report.html").touch()
    show_summary(
        [make_entry(0, 0.1), make_entry(1, state=FAIL)],
        ["minimize"],
        seconds=125.0,
        folder=tmp_path,
        ui="sinesweep ui",
        command=lambda entry: f"python src/train.py {' '.join(entry.overrides)}",
        console=Console(file=output, width=40),
    )
    assert output.getvalue().splitlines() == [
        "trials        1 complete, 1 failed",
        "time          2 min 5 s",
        f"folder        {tmp_path}",
        f"report        {tmp_path / 'report.html'}",
        "compare       sinesweep ui",
        "run the best  python src/train.py model.layers=1 optimizer.lr=0.01",
    ]


def test_summary_of_nothing(tmp_path: Path) -> None:
    """Without a best trial and a tracker there is no command for them."""
    output = io.StringIO()
    show_summary(
        [],
        ["minimize"],
        seconds=1.0,
        folder=tmp_path,
        ui=None,
        command=lambda entry: "",
        console=Console(file=output),
    )
    assert output.getvalue().splitlines() == [
        "trials  none",
        "time    1.0 s",
        f"folder  {tmp_path}",
    ]
