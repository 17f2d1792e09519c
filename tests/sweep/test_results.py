import csv
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sinesweep.sweep import results as module
from sinesweep.sweep.entry import DROPPED, FAIL, PRUNED, REUSED, RUNNING, Entry
from sinesweep.sweep.repeats import Repeats
from sinesweep.sweep.results import (
    BEST_FILE,
    OPTIMIZATION_FILE,
    TRIALS_FILE,
    Results,
    update_run_ids,
)
from sinesweep.tracking.record import Record

MakeEntry = Callable[..., Entry]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path, ["minimize"])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / TRIALS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def command(entry: Entry) -> str:
    return shlex.join(["python", "src/train.py", *entry.overrides])


def deliver(entry: Entry, run_id: str) -> None:
    assert entry.directory is not None
    (entry.directory / "delivery.json").write_text(json.dumps({"run_id": run_id}))


def leave_outcome(entry: Entry, checkpoint: str | None) -> None:
    assert entry.directory is not None
    content = {"kind": "COMPLETE", "values": [0.1], "error": None, "checkpoint": checkpoint}
    (entry.directory / "outcome.json").write_text(json.dumps(content))


def record_of(entry: Entry) -> Record:
    assert entry.directory is not None
    return Record(entry.directory)


def leave_best_checkpoint(entry: Entry) -> Path:
    assert entry.directory is not None
    path = entry.directory / "checkpoints" / "best.ckpt"
    path.parent.mkdir()
    path.touch()
    return path


# trials.csv


def test_columns(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The table has the columns that users rely on, in their order."""
    results.write_trials([make_entry(0, 0.1)])
    assert (tmp_path / TRIALS_FILE).read_text().splitlines()[0] == (
        "number,state,value,params.model.layers,params.optimizer.lr,"
        "duration_seconds,directory,run_id,checkpoint,error"
    )


def test_columns_of_several_objectives(make_entry: MakeEntry, tmp_path: Path) -> None:
    """Several objectives have a numbered column each."""
    Results(tmp_path, ["minimize", "maximize"]).write_trials([make_entry(0, 0.1, 7.0)])
    (row,) = rows(tmp_path)
    assert (row["value_0"], row["value_1"]) == ("0.1", "7.0")


def test_row(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A row says all about its trial, with a value that reads back to the last bit."""
    entry = make_entry(3, 1 / 3, params={"optimizer.lr": 1e-3})
    deliver(entry, "abc")
    results.write_trials([entry])
    (row,) = rows(tmp_path)
    assert row == {
        "number": "3",
        "state": "COMPLETE",
        "value": repr(1 / 3),
        "params.optimizer.lr": "0.001",
        "duration_seconds": "4.125",
        "directory": str(tmp_path / "trials" / "3"),
        "run_id": "abc",
        "checkpoint": "",
        "error": "",
    }


def test_metrics_of_ended_trials_are_columns(
    results: Results, make_entry: MakeEntry, tmp_path: Path
) -> None:
    """The last value of each recorded metric, with any name, stands beside the trial's value."""
    first, second = make_entry(0, 0.1), make_entry(1, 0.2)
    told = [{"val/mae": 0.3, "a,b": 1.0}, {"val/mae": 0.1}, {"value": 0.1}]
    for step, values in enumerate(told):
        record_of(first).append_metrics(values, step)
    record_of(second).append_metrics({"late": float("nan")}, 0)
    record_of(make_entry(2, state=RUNNING)).append_metrics({"early": 1.0}, 0)
    results.write_trials([first])
    results.write_trials([first, second, make_entry(2, state=RUNNING)])

    found = [{k: v for k, v in row.items() if k.startswith("metrics.")} for row in rows(tmp_path)]
    nothing = {"metrics.a,b": "", "metrics.late": "", "metrics.val/mae": ""}
    assert found == [
        nothing | {"metrics.a,b": "1.0", "metrics.val/mae": "0.1"},
        nothing | {"metrics.late": "nan"},
        nothing,
    ]
    titles = list(rows(tmp_path)[0])
    assert titles.index("metrics.a,b") == titles.index("params.optimizer.lr") + 1


def test_report_of_a_trial_without_a_record_is_a_column(
    results: Results, make_entry: MakeEntry, tmp_path: Path
) -> None:
    """A function of a sweep that is not tracked records nothing, and may report to the pruner."""
    pruned = make_entry(1, state=PRUNED, reported=0.7)
    results.write_trials([make_entry(0, 0.1, reported=0.5), pruned, make_entry(2, 0.3)])
    assert [row["metrics.objective"] for row in rows(tmp_path)] == ["0.5", "0.7", ""]


def test_metrics_are_means_over_the_seeds(
    results: Results, make_entry: MakeEntry, tmp_path: Path
) -> None:
    """As a trial's value is."""
    entry = make_entry(0, 0.1)
    assert entry.directory is not None
    for name, value in ((".", 1.0), ("repeat-1", 2.0)):
        (entry.directory / name).mkdir(exist_ok=True)
        Record(entry.directory / name).append_metrics({"mae": value}, 0)
    results.write_trials([entry])
    assert rows(tmp_path)[0]["metrics.mae"] == "1.5"


def test_params_that_not_every_trial_has(
    results: Results, make_entry: MakeEntry, tmp_path: Path
) -> None:
    """Each parameter of any trial has a column, in the order in which they first appear."""
    results.write_trials([make_entry(0, 0.1, params={"b": 1})])
    results.write_trials([make_entry(0, 0.1, params={"b": 1}), make_entry(1, 0.1, params={"a": 2})])
    assert [(row["params.b"], row["params.a"]) for row in rows(tmp_path)] == [("1", ""), ("", "2")]
    assert list(rows(tmp_path)[0])[3:5] == ["params.b", "params.a"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("a, b", "a, b"),
        ([1, 2], "[1, 2]"),
        ("1", "'1'"),
        ("null", "'null'"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (math.nan, "nan"),
    ],
)
def test_params_are_spelled_as_hydra_does(
    results: Results, make_entry: MakeEntry, tmp_path: Path, value: Any, text: str
) -> None:
    """A parameter's value is written as it is on the command line."""
    results.write_trials([make_entry(0, 0.1, params={"key": value})])
    assert rows(tmp_path)[0]["params.key"] == text


def test_running_and_failed_trials(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Trials without a value have none, and a failed one has its error, even over lines."""
    failed = make_entry(0, state=FAIL, error='RuntimeError: "a", b\nand more')
    results.write_trials([failed, make_entry(1, state=RUNNING)])
    first, second = rows(tmp_path)
    assert (first["value"], first["error"]) == ("", 'RuntimeError: "a", b\nand more')
    assert (second["state"], second["duration_seconds"]) == ("RUNNING", "")


def test_dropped_trials(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A trial that never began is no row."""
    results.write_trials([make_entry(0, state=FAIL, outcome=DROPPED), make_entry(1, 0.1)])
    assert [row["number"] for row in rows(tmp_path)] == ["1"]


def test_named_checkpoint(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The checkpoint is the one that the trial named, whatever else lies in its folder."""
    entry = make_entry(0, 0.1)
    leave_best_checkpoint(entry)
    leave_outcome(entry, "/weights.npz")
    results.write_trials([entry])
    assert rows(tmp_path)[0]["checkpoint"] == "/weights.npz"


def test_best_checkpoint(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Where the trial named none, it is the one of the best epoch."""
    entry = make_entry(0, 0.1)
    path = leave_best_checkpoint(entry)
    leave_outcome(entry, None)
    results.write_trials([entry])
    assert rows(tmp_path)[0]["checkpoint"] == str(path)


def test_reused_trial(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A trial that took over values points at the trial that found them."""
    first = make_entry(0, 0.1, params={"x": 1})
    deliver(first, "abc")
    leave_outcome(first, "/weights.npz")
    reused = make_entry(2, 0.1, params={"x": 1}, outcome=REUSED, directory=None)
    results.write_trials([first, make_entry(1, 0.2, params={"x": 2}), reused])
    row = rows(tmp_path)[2]
    assert row["directory"] == str(first.directory)
    assert (row["run_id"], row["checkpoint"]) == ("abc", "/weights.npz")


def test_no_part_is_left(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The table is replaced at once, and nothing else stays in the folder."""
    results.write_trials([make_entry(0, 0.1)])
    results.write_trials([make_entry(0, 0.1), make_entry(1, 0.1)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials", TRIALS_FILE]


def test_credentials(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Neither an error nor a parameter shows a password."""
    params = {"db.password": "hunter2", "uri": "http://me:hunter2@host"}
    results.write_trials([make_entry(0, state=FAIL, params=params, error="no http://me:hunter2@h")])
    assert "hunter2" not in (tmp_path / TRIALS_FILE).read_text()


def test_late_run_id(
    results: Results, make_entry: MakeEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run id that the tracker gives after the trial's end is found a while later."""
    entry = make_entry(0, 0.1)
    results.write_trials([entry])
    deliver(entry, "abc")
    monkeypatch.setattr(module, "_PATIENCE", 0.0)
    results.write_trials([entry])
    assert rows(tmp_path)[0]["run_id"] == "abc"


def test_final_run_ids(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The last table has every run id that is known by then."""
    entry = make_entry(0, 0.1)
    results.write_trials([entry])
    deliver(entry, "abc")
    results.write_trials([entry], final=True)
    assert rows(tmp_path)[0]["run_id"] == "abc"


def test_changed_trial(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A row follows what becomes of its trial."""
    entry = make_entry(0, state=RUNNING)
    results.write_trials([entry])
    results.write_trials([replace(entry, state=FAIL, outcome=FAIL, error="first")])
    results.write_trials([replace(entry, state=FAIL, outcome=FAIL, error="second")])
    assert rows(tmp_path)[0]["error"] == "second"


def test_unchanged_table(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A table that would say the same is not written again."""
    results.write_trials([make_entry(0, 0.1)])
    os.utime(tmp_path / TRIALS_FILE, (0, 0))
    results.write_trials([make_entry(0, 0.1)])
    assert (tmp_path / TRIALS_FILE).stat().st_mtime == 0


def test_ended_trials_are_read_once(
    results: Results, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a trial that has ended and has a run id is not looked into again."""
    entry = make_entry(0, 0.1)
    deliver(entry, "abc")
    results.write_trials([entry])

    def refuse(directory: Path | None) -> None:
        raise AssertionError(f"{directory} was read again")

    monkeypatch.setattr(module, "run_id", refuse)
    monkeypatch.setattr(module, "find_checkpoint", refuse)
    results.write_trials([entry], final=True)


# best.yaml


def test_best(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The file names the best trial and what makes it."""
    entries = [make_entry(0, 0.2), make_entry(1, 0.1)]
    deliver(entries[1], "abc")
    results.write_best(entries, command)
    assert yaml.safe_load((tmp_path / BEST_FILE).read_text()) == {
        "trial": 1,
        "value": 0.1,
        "overrides": ["model.layers=2", "optimizer.lr=0.01"],
        "directory": str(tmp_path / "trials" / "1"),
        "run_id": "abc",
        "checkpoint": None,
    }


def test_command_of_the_best(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Its first line is the command, and a shell takes it as it is written."""
    results.write_best([make_entry(0, 0.1, overrides=["key='a b'", "list=[1,2]"])], command)
    line = (tmp_path / BEST_FILE).read_text().splitlines()[0]
    assert shlex.split(line.removeprefix("# "))[2:] == ["key='a b'", "list=[1,2]"]


def test_best_of_means(make_entry: MakeEntry, tmp_path: Path) -> None:
    """Where a value is a mean over seeds, these are named, and there is a command for each."""
    best = make_entry(0, 0.1, overrides=["a=1", "seed=5", "b=2"])
    Results(tmp_path, ["minimize"], Repeats("seed", (5, 6, 7))).write_best([best], command)
    text = (tmp_path / BEST_FILE).read_text()
    assert [line for line in text.splitlines() if "train.py" in line] == [
        "# python src/train.py a=1 seed=5 b=2",
        "# python src/train.py a=1 b=2 seed=6",
        "# python src/train.py a=1 b=2 seed=7",
    ]
    assert yaml.safe_load(text)["seeds"] == [5, 6, 7]


def test_pareto_optimal_trials(make_entry: MakeEntry, tmp_path: Path) -> None:
    """With several objectives the file lists the Pareto-optimal trials, each with its command."""
    entries = [make_entry(0, 0.1, 2.0), make_entry(1, 0.2, 3.0), make_entry(2, 0.3, 1.0)]
    Results(tmp_path, ["minimize", "minimize"]).write_best(entries, command)
    text = (tmp_path / BEST_FILE).read_text()
    assert [(e["trial"], e["values"]) for e in yaml.safe_load(text)] == [
        (0, [0.1, 2.0]),
        (2, [0.3, 1.0]),
    ]
    assert text.count("# python src/train.py") == 2


def test_command_over_lines(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """A line end in the command does not end the comment."""
    results.write_best([make_entry(0, 0.1)], lambda entry: "python 'a\nb: c'")
    assert "b" not in yaml.safe_load((tmp_path / BEST_FILE).read_text())


def test_credentials_of_the_best(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Overrides and command are written without passwords."""
    results.write_best([make_entry(0, 0.1, overrides=["db.password=hunter2"])], command)
    assert "hunter2" not in (tmp_path / BEST_FILE).read_text()


def test_nothing_completed(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Without a completed trial there is nothing to write."""
    results.write_best([make_entry(0, state=FAIL)], command)
    results.write_optimization_results([make_entry(0, state=FAIL)])
    assert not (tmp_path / BEST_FILE).exists()
    assert not (tmp_path / OPTIMIZATION_FILE).exists()


# optimization_results.yaml


def test_optimization_results(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """The file reads to the letter as hydra-optuna-sweeper writes it."""
    params = {"x": -5.5, "layers": 3, "name": "1e-3", "flag": True, "none": None}
    results.write_optimization_results([make_entry(0, 0.25, params=params)])
    assert (tmp_path / OPTIMIZATION_FILE).read_text() == (
        "name: optuna\nbest_params:\n  x: -5.5\n  layers: 3\n  name: '1e-3'\n  flag: true\n"
        "  none: null\nbest_value: 0.25\n"
    )


def test_solutions(make_entry: MakeEntry, tmp_path: Path) -> None:
    """With several objectives it has a list of solutions."""
    entries = [make_entry(0, 0.1, 2.0, params={"x": 1}), make_entry(1, 0.2, 1.0, params={"x": 2})]
    Results(tmp_path, ["minimize", "minimize"]).write_optimization_results(entries)
    assert (tmp_path / OPTIMIZATION_FILE).read_text() == (
        "name: optuna\nsolutions:\n- params:\n    x: 1\n  values:\n  - 0.1\n  - 2.0\n"
        "- params:\n    x: 2\n  values:\n  - 0.2\n  - 1.0\n"
    )


def test_light_imports() -> None:
    """The files are written without Optuna, MLflow or torch."""
    code = (
        "import sys, sinesweep.sweep.results, sinesweep.sweep.view, sinesweep.sweep.summary\n"
        "import sinesweep.sweep.leaderboard\n"
        "assert not {'optuna', 'mlflow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_id_of_the_best_trial_reaches_the_table(
    tmp_path: Path, make_entry: Callable[..., Entry]
) -> None:
    """An id that best.yaml had first is in the table as well, as soon as it is looked for again."""
    entries = [make_entry(0, 0.1), make_entry(1, 0.2)]
    results = Results(tmp_path, ["minimize"])
    results.write_trials(entries)
    (tmp_path / "trials" / "0" / "delivery.json").write_text('{"run_id": "abc"}')
    results.write_best(entries, lambda entry: "run")
    results.write_trials(entries, final=True)
    assert [row["run_id"] for row in rows(tmp_path)] == ["abc", ""]


def test_run_ids_that_came_after_the_sweep(
    tmp_path: Path, make_entry: Callable[..., Entry]
) -> None:
    """Tables of a sweep that has ended get new ids, and nothing else in them changes."""
    entries = [make_entry(0, 0.1, error="a, b\nc"), make_entry(1, 0.2)]
    results = Results(tmp_path, ["minimize"])
    results.write_trials(entries)
    results.write_best(entries, lambda entry: "python app.py x=1")
    before = [(tmp_path / name).read_text() for name in (TRIALS_FILE, BEST_FILE)]
    for number in (0, 1):
        state = tmp_path / "trials" / str(number) / "delivery.json"
        state.write_text(json.dumps({"run_id": f"id{number}"}))
    assert update_run_ids(tmp_path) == [tmp_path / TRIALS_FILE, tmp_path / BEST_FILE]
    assert [row["run_id"] for row in rows(tmp_path)] == ["id0", "id1"]
    assert yaml.safe_load((tmp_path / BEST_FILE).read_text())["run_id"] == "id0"
    after = [(tmp_path / name).read_text() for name in (TRIALS_FILE, BEST_FILE)]
    assert after[1].replace("id0", "null") == before[1]
    assert after[0].replace("id0", "").replace("id1", "") == before[0]
    assert update_run_ids(tmp_path) == []


def test_undecodable_bytes(results: Results, make_entry: MakeEntry, tmp_path: Path) -> None:
    """Bytes that are no text, in an error, a parameter or a path, end no table."""
    bad = "bad \udcff\x00"
    checkpoint = tmp_path / "trials" / "0" / "outcome.json"
    entry = make_entry(0, 0.1, params={"name": bad}, overrides=[f"name={bad}"], error=bad)
    checkpoint.write_text(json.dumps({"kind": "COMPLETE", "values": [0.1], "checkpoint": bad}))
    results.write_trials([entry])
    results.write_best([entry], command)
    results.write_optimization_results([entry])
    (row,) = rows(tmp_path)
    assert row["params.name"] == row["error"] == row["checkpoint"] == r"bad \udcff\x00"
    assert yaml.safe_load((tmp_path / BEST_FILE).read_text())["value"] == 0.1
