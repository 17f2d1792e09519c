"""A sweep on the screen, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import PLAIN, Runner

from sinesweep.commands import main
from sinesweep.files import take_lock

pytestmark = pytest.mark.xdist_group("looking")

MakeSweep = Callable[..., Path]
Shown = Callable[..., str]


@pytest.fixture
def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Show a sweep under ``tmp_path``."""

    def run(*arguments: str) -> str:
        assert main(["show", "--root", str(tmp_path), *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_a_plain_applications_sweep(plain: Runner) -> None:
    """It says what was asked, what came of it, why trials failed, and how to go on."""
    done = plain.sinesweep("show", "plain", "--root", "multirun")
    lines = done.out.splitlines()
    assert lines[:4] == [
        "sweep plain: complete, 4/4 trials done",
        "asks for  minimize value",
        "over      x=0,1,2,3",
        "fixed     misbehave=raise when=2",
    ]
    assert "│    1 │     1 │     0 │ 1 │" in done.out
    assert "1 failure, the most frequent first" in lines
    assert "  1 x ValueError: it broke at https://***@example.org/  (trial 2)" in lines
    assert "trials        3 complete, 1 failed" in lines
    assert "folder        multirun/plain" in lines
    assert f"run the best  {sys.executable} {PLAIN} x=1 misbehave=raise when=2" in lines
    assert (
        f"its command   {sys.executable} {PLAIN} -m x=0,1,2,3 misbehave=raise when=2 " in done.out
    )
    assert (done.code, done.err) == (0, "")


def test_frequent_failures_first(make_sweep: MakeSweep, shown: Shown) -> None:
    """Failures with one cause are one line, and rare causes are cut off."""
    causes = [f"cause {n}" for n in range(6) for _ in range(6 - n)]
    make_sweep("one", 0.5, *causes)
    text = shown("one").partition("21 failures, the most frequent first\n")[2].splitlines()
    assert text[0] == "  6 x cause 0  (trials 1, 2, 3, 4, 5, 6)"
    assert text[1].startswith("  5 x cause 1  ")
    assert text[5] == "  and 1 cause more: trials.csv has all"


def test_a_sweep_that_runs(make_sweep: MakeSweep, shown: Shown) -> None:
    """While it runs, it says which process runs it, not how to continue it."""
    path = make_sweep("one", 0.5, "RUNNING", total=9, state="RUNNING") / "sweep.lock"
    path.write_text("process 7 on here since now (python app.py)\n")
    lock = take_lock(path)
    assert lock is not None
    with lock:
        lines = shown("one").splitlines()
    assert lines[0] == "sweep one: running, 1/9 trials done"
    assert "trials        1 complete, 1 running" in lines
    assert lines[-1] == "run by        process 7 on here since now"


def test_a_sweep_that_was_killed(make_sweep: MakeSweep, shown: Shown) -> None:
    """What its process left open is called so, and its command continues it from its folder."""
    make_sweep("one", "RUNNING", state="RUNNING")
    lines = shown("one").splitlines()
    assert lines[0] == "sweep one: interrupted, 0 trials done"
    assert "no trial was completed" in lines
    assert "trials    1 left open" in lines
    assert lines[-1] == "continue  cd /where/it/was/typed && python app.py -m 'x=interval(0, 99)'"


def test_several_objectives(make_sweep: MakeSweep, shown: Shown) -> None:
    """Of a Pareto set each trial's command is in a file."""
    make_sweep("one", (1.0, 2.0), (2.0, 1.0), (3.0, 3.0), objectives=["val/mae", "size"])
    text = shown("one")
    assert "asks for  minimize val/mae, minimize size" in text
    assert "run one      its command is in " in text


def test_trials_that_violate_a_constraint_are_counted(make_sweep: MakeSweep, shown: Shown) -> None:
    """The overview says, as the summary does, how many trials cannot be the best."""
    make_sweep("one", 0.5, 0.7, 0.9, violating=[0, 2])
    make_sweep("other", 0.5)
    assert "infeasible    2 of the complete ones violate a constraint" in shown("one").splitlines()
    assert "infeasible" not in shown("other")


def test_where_the_report_is(make_sweep: MakeSweep, shown: Shown) -> None:
    """The report is named where there is one."""
    folder = make_sweep("one", 0.5)
    assert "report  " not in shown("one")
    (folder / "report.html").touch()
    assert f"report        {folder}/report.html" in shown("one")
    assert json.loads(shown("one", "--json"))["report"] == f"{folder}/report.html"


def test_json(make_sweep: MakeSweep, tell: Callable[..., Path], shown: Shown) -> None:
    """For scripts it is one object; what is no number in JSON is null, passwords are hidden."""
    folder = make_sweep("one", 0.5, "lost at http://me:hunter2@host", choices=["hunter2"])
    tell(folder / "trials" / "0", {"train/mae": float("nan"), "reference/test_mae": 0.25})
    text = shown("one", "--json")
    found = json.loads(text)
    assert "hunter2" not in text
    assert (found["format"], found["name"], found["state"]) == (1, "one", "complete")
    assert found["space"] == {"x": "interval(0, 99)"}
    assert found["reference_test_mae"] == 0.25
    first, second = found["trials"]
    assert set(first) == {
        "number", "state", "outcome", "values", "params", "overrides", "metrics", "start",
        "constraints", "seconds", "error", "origin", "directory", "run_id", "checkpoint", "command",
    }  # fmt: skip
    assert first["values"] == [0.5]
    assert first["params"] == {"x": 0.0, "db.password": "***"}
    assert first["metrics"] == {"train/mae": None, "reference/test_mae": 0.25}
    assert first["directory"] == f"{folder}/trials/0"
    assert (second["state"], second["values"]) == ("FAIL", None)
    assert second["error"] == "lost at http://***@host"


def test_unknown_sweep(
    make_sweep: MakeSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt name is refused with the nearest one."""
    make_sweep("depth_width")
    assert main(["show", "dept_width", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"sinesweep: sweep 'dept_width': there is no such sweep under {tmp_path}; "
        "did you mean depth_width?\n"
    )


def test_a_sweep_without_a_study(
    make_sweep: MakeSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep that was killed before its study was there is told, and nothing is created."""
    folder = make_sweep("one")
    (folder / "study.journal").unlink()
    before = sorted(folder.iterdir())
    assert main(["show", "one", "--root", str(tmp_path)]) == 2
    assert "must have a study, but has none yet" in capsys.readouterr().err
    assert sorted(path for path in folder.iterdir() if path.name != "sweep.lock") == before


@pytest.mark.parametrize("content", [b"", b"garbage\n"])
def test_a_lost_study_is_not_begun_again(
    make_sweep: MakeSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """Where trials have run, the advice is what the sweep's own command accepts."""
    folder = make_sweep("one", 0.5)
    (folder / "study.journal").write_bytes(content)
    assert main(["show", "one", "--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"must have a study, but {folder / 'study.journal'} has lost it: bring the study" in said
    assert "hydra.sweeper.study_name=one-2" in said
    assert "begins it again" not in said


def test_a_study_behind_a_password(
    make_sweep: MakeSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where only the sweep's own command knows the address, the table is named instead."""
    path = make_sweep("one") / "sweep.yaml"
    path.write_text(path.read_text().replace("storage: null", "storage: mysql://me:***@host/db"))
    assert main(["show", "one", "--root", str(tmp_path)]) == 2
    assert f"read {path.parent / 'trials.csv'} instead" in capsys.readouterr().err
