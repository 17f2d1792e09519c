"""What is said of a sweep, in words, and what of it is told to the tracker when."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sinesweep.sweep.entry import FAIL, PRUNED, RUNNING, Entry
from sinesweep.sweep.note import REPORTED, Subject, text
from sinesweep.sweep.page import SweepPage
from sinesweep.tracking import record
from sinesweep.tracking.pages import NOTE_TAG
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_record import SweepRecord

MakeEntry = Callable[..., Entry]


def subject(folder: Path, **changes: Any) -> Subject:
    """Describe a sweep of the reference task in which nothing has happened."""
    given = {
        "question": None,
        "objectives": ["reference/val_mae"],
        "directions": ["minimize"],
        "total": 9,
        "folder": folder,
        "again": "python src/train.py -m sweeps=mine",
        "rerun": lambda entry: f"python src/train.py model.layers={entry.number}",
        **changes,
    }
    return Subject(**given)


def tell(entry: Entry, **metrics: float) -> Entry:
    """Write a trial's params and metrics, as its worker does."""
    assert entry.directory is not None
    own = Record(entry.directory)
    own.append(
        "begin",
        name="a",
        experiment="e",
        params={"scheduler._target_": "Constant"},
        tags={},
        datasets=[],
    )
    own.append_metrics({name.replace("__", "/"): value for name, value in metrics.items()}, 3)
    return entry


def test_the_answer_is_what_no_trial_was_chosen_by(tmp_path: Path, make_entry: MakeEntry) -> None:
    """The best trial stands beside the baselines with its reported figure, not the value."""
    best = tell(
        make_entry(1, 0.0123),
        reference__test_mae=0.0456,
        baseline__linear__reference_test_mae=0.789,
    )
    note = text(subject(tmp_path, question="Deep or wide?\nOr both?"), [make_entry(0, 0.5), best])

    assert note.startswith("**Question:** Deep or wide?\nOr both?\n**Answer:** trial-00001")
    assert "`model.layers=2 optimizer.lr=0.01`" in note
    assert f"{REPORTED} **0.0456** (linear map 0.789)" in note
    assert "0.0123" not in note
    assert "2 of 9 trials (2 complete)" in note
    assert "python src/train.py -m sweeps=mine" in note
    assert "python src/train.py model.layers=1" in note


def test_without_a_reported_figure_the_value_is_called_optimistic(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    """Another application has nothing but the value that trials were chosen by."""
    note = text(subject(tmp_path, objectives=["value"]), [make_entry(0, 0.25)])

    assert "value 0.25" in note
    assert "so its value is optimistic" in note


def test_several_objectives_are_a_table(tmp_path: Path, make_entry: MakeEntry) -> None:
    """The Pareto set is shown as a table; what is dominated is not."""
    entries = [make_entry(0, 1.0, 9.0), make_entry(1, 2.0, 3.0), make_entry(2, 2.0, 4.0)]
    several = subject(tmp_path, objectives=["mae", "cost"], directions=["minimize", "minimize"])
    note = text(several, entries)

    assert "a Pareto set of 2" in note
    assert "| trial | mae | cost | params |" in note
    assert "| trial-00001 | 2 | 3 | `model.layers=2 optimizer.lr=0.01` |" in note
    assert "trial-00002" not in note


def test_a_sweep_without_an_answer_says_why(tmp_path: Path, make_entry: MakeEntry) -> None:
    """Counts and the last error are told, without credentials, and no command of a best trial."""
    error = "no answer from http://ann:hunter2@host"
    entries = [
        make_entry(0, state=FAIL, error=error),
        make_entry(1, state=PRUNED),
        make_entry(2, state=RUNNING),
    ]
    note = text(subject(tmp_path, total=None, again="python a.py api_token=hunter2"), entries)

    assert "**Answer:** no trial has completed yet" in note
    assert "2 trials (1 pruned, 1 failed)" in note
    assert "**Last error,** of trial 0: `no answer from http://***@host`" in note
    assert "hunter2" not in note
    assert "Run the best again" not in note


def test_long_commands_are_broken_as_a_shell_takes_them(tmp_path: Path) -> None:
    """What is copied from the page is the same command; one too long is named by its file."""
    again = "python a.py " + " ".join(f"'key{number}=a b'" for number in range(20))
    block = text(subject(tmp_path, again=again), []).partition("```\n")[2].partition("\n```")[0]

    assert max(map(len, block.splitlines())) < 110
    assert shlex.split(block.replace("\\\n", "")) == shlex.split(again)
    assert "in sweep.yaml" in text(subject(tmp_path, again="python " + 900 * "x"), [])


def test_the_report_is_named_once_it_is_there(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A sweep that ends before its page was told again still names its report and pictures."""
    account = SweepRecord(tmp_path)
    account.begin(name="mine", experiment="e", params={}, tags={})
    page = SweepPage("mine", subject(tmp_path), account)
    entries = [tell(make_entry(0, 0.5))]
    page.refresh(entries)
    (tmp_path / "report.html").touch()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "best.png").touch()
    page.refresh(entries)

    notes = [
        event["tags"][NOTE_TAG] for event, _ in record.read(tmp_path) if event["kind"] == "tags"
    ]
    named = [next(line for line in note.splitlines() if "Artifacts" in line) for note in notes]
    assert named == [
        "**Artifacts:** trials.csv, best.yaml",
        "**Artifacts:** trials.csv, best.yaml, report.html, best.png",
    ]


def test_the_page_is_told_what_has_changed(tmp_path: Path, make_entry: MakeEntry) -> None:
    """Note and view are told once for each of their contents, and the best figure at each step."""
    account = SweepRecord(tmp_path)
    account.begin(name="mine", experiment="e", params={}, tags={})
    page = SweepPage("mine", subject(tmp_path), account)
    first = tell(make_entry(0, 0.5, params={"scheduler": "constant"}), reference__test_mae=0.3)
    for entries in ([], [first], [first], [first, make_entry(1, state=PRUNED)]):
        page.refresh(entries)

    told = [event for event, _ in record.read(tmp_path)][1:]
    assert [event["kind"] for event in told] == [
        "tags", "metrics", "view", "tags", "metrics", "tags",
    ]  # fmt: skip
    assert set(told[0]["tags"]) == {NOTE_TAG}
    assert [(told[i]["step"], told[i]["values"]) for i in (1, 4)] == [
        (1, {"best/reference/test_mae": 0.3}),
        (2, {"best/reference/test_mae": 0.3}),
    ]
    assert told[2]["params"] == ["scheduler._target_"]
    assert told[2]["metrics"] == ["value", REPORTED]
    assert told[2]["of_sweep"] == ["best/reference/test_mae", "best_value"]
