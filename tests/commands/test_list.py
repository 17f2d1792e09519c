"""The list of sweeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from runner import Runner

from sinesweep.commands import main
from sinesweep.files import take_lock
from sinesweep.winner.unpruned import NopPruner

pytestmark = pytest.mark.xdist_group("looking")

MakeSweep = Callable[..., Path]
Listed = Callable[..., str]


@pytest.fixture
def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Listed:
    """List the sweeps under ``tmp_path``."""

    def run(*arguments: str) -> str:
        assert main(["list", "--root", str(tmp_path), *arguments]) == 0
        return capsys.readouterr().out

    return run


def rows(text: str) -> dict[str, list[str]]:
    """Return the words of each row by the first of them."""
    split = (line.replace("│", " ").split() for line in text.splitlines())
    return {cells[0]: cells[1:] for cells in split if cells}


def test_rows(make_sweep: MakeSweep, tell: Callable[..., Path], listed: Listed) -> None:
    """A row says how far a sweep is, its best value, what that is of, and what to report."""
    folder = make_sweep("first", 0.3, 0.1, "no", "PRUNED", total=6, state="INTERRUPTED")
    tell(folder / "trials" / "1", {"reference/test_mae": 0.2})
    make_sweep("second", objectives=["val/mae", "parameters"])
    make_sweep("third", (1.0, 2.0), (2.0, 1.0), objectives=["val/mae", "parameters"])
    text = listed()
    assert rows(text)["first"][:5] == ["interrupted", "4/6", "0.1", "val/mae", "0.2"]
    assert rows(text)["second"][:2] == ["complete", "0"]
    assert rows(text)["third"][:5] == ["complete", "2", "2", "Pareto", "set"]


@pytest.mark.parametrize(
    ("width", "cells", "missing"),
    [
        (30, [], "state, done, best, of, reference/test_mae, last active"),
        (60, ["complete"], "done, best, of, reference/test_mae, last active"),
        (80, ["complete", "1/1000", "0.2"], "best, of, last active"),
        (120, ["complete", "1/1000", "0.1235", "reference/val_mae", "0.2"], None),
    ],
)
def test_width(
    make_sweep: MakeSweep,
    tell: Callable[..., Path],
    listed: Listed,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    cells: list[str],
    missing: str | None,
) -> None:
    """A narrow terminal has whole names, and a line that names the columns that are left out."""
    name = "layers-width-lr-decay-" + 20 * "x"
    folder = make_sweep(name, 0.123456, total=1000, objectives=["reference/val_mae"])
    tell(folder / "trials" / "0", {"reference/test_mae": 0.2})
    monkeypatch.setenv("COLUMNS", str(width))
    table, *note = listed().partition("one of them:")[0].split("not shown at ")
    assert note == ([f"{width} characters: {missing}; see --json\n"] if missing else [])
    assert max(map(len, table.splitlines())) <= max(width, len(name) + 2)
    assert rows(table)[name][:5] == cells


def test_what_replicate_made(make_sweep: MakeSweep, listed: Listed, tmp_path: Path) -> None:
    """Sweeps of seeds are counted, and listed only where one asks for them."""
    make_sweep("mine", 0.1)
    path = make_sweep("seeds", 0.1) / "sweep.yaml"
    content = yaml.safe_load(path.read_text())
    pruner = f"{NopPruner.__module__}.{NopPruner.__name__}"
    content["command"]["arguments"].append(f"hydra.sweeper.pruner._target_={pruner}")
    path.write_text(yaml.safe_dump(content))
    assert "seeds" not in rows(listed())
    hint = f"not listed: 1 sweep of replicate's: sinesweep list --all --root {tmp_path}\n"
    assert hint in listed()
    assert [each["name"] for each in json.loads(listed("--json"))] == ["mine"]
    assert {"mine", "seeds"} <= set(rows(listed("--all")))


def test_newest_first(make_sweep: MakeSweep, listed: Listed) -> None:
    """The sweep that was active last comes first, whatever it is called."""
    for name in ("b", "c", "a"):
        make_sweep(name, 0.1)
    names = [each["name"] for each in json.loads(listed("--json"))]
    assert names == ["a", "c", "b"]


def test_running_and_killed(make_sweep: MakeSweep, listed: Listed) -> None:
    """A sweep runs while its process has its lock; without, it was interrupted."""
    make_sweep("killed", 0.1, "RUNNING", state="RUNNING")
    lock = take_lock(make_sweep("alive", 0.1, "RUNNING", state="RUNNING") / "sweep.lock")
    assert lock is not None
    with lock:
        text = listed()
    assert rows(text)["alive"][:2] == ["running", "1"]
    assert rows(text)["alive"][-1] == "now"
    assert rows(text)["killed"][:2] == ["interrupted", "1"]


def test_json(make_sweep: MakeSweep, listed: Listed) -> None:
    """For scripts a sweep is an object with these keys."""
    folder = make_sweep("first", 0.25, "no", total=3)
    (found,) = json.loads(listed("--json"))
    assert found.pop("seconds") >= 0
    assert found.pop("active")[:2] == "20"
    assert found.pop("counts") == {
        "complete": 1, "pruned": 0, "fail": 1, "retried": 0, "interrupted": 0, "reused": 0,
        "running": 0, "waiting": 0,
    }  # fmt: skip
    assert found == {
        "name": "first",
        "folder": str(folder),
        "state": "complete",
        "done": 2,
        "total": 3,
        "objectives": [{"name": "val/mae", "direction": "minimize"}],
        "best": [{"trial": 0, "values": [0.25]}],
        "reference_test_mae": None,
    }


def test_nothing_there(tmp_path: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sweep one line says how to begin, or where an application's own are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").mkdir()
    assert listed("--root", "nowhere") == (
        "no sweep under nowhere: begin one with  "
        "python app.py -m hydra/sweeper=sinesweep KEY=VALUE,VALUE\n"
    )
    assert json.loads(listed("--json", "--root", "nowhere")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["nowhere"]
    (tmp_path / "multirun" / "one").mkdir(parents=True)
    (tmp_path / "multirun" / "one" / "sweep.yaml").touch()
    assert "sinesweep list --root multirun" in listed("--root", "nowhere")


def test_nothing_there_yet_for_the_reference_task(
    tmp_path: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout the hint names a sweep of the reference task."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "src" / "train.py").touch()
    assert "begin one with  python src/train.py -m sweeps=quick\n" in listed("--root", "nowhere")


def test_a_sweep_that_cannot_be_read(make_sweep: MakeSweep, listed: Listed) -> None:
    """A folder of another version is named with its cause, and hides no other sweep."""
    make_sweep("good", 0.1)
    (make_sweep("bad") / "sweep.yaml").write_text("study: {name: bad}")
    text = listed()
    assert "good" in rows(text)
    assert "bad cannot be read: " in text
    assert "delete the file and repeat the command that began the sweep" in text
    assert [set(each) for each in json.loads(listed("--json"))][1] == {"folder", "unreadable"}


def test_an_applications_own_root(plain: Runner) -> None:
    """The folder that an application calls hydra.sweeper.root is a root, too."""
    done = plain.sinesweep("list", "--root", "multirun")
    assert rows(done.out)["plain"][:4] == ["complete", "4/4", "0", "value"]
