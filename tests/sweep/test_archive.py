from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.sweep import archive
from sinesweep.sweep.plan import SWEEP_LOCK, Plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def root(tmp_path: Path, make_plan: MakePlan) -> Path:
    """A root with the sweeps ``first`` and ``second``, of which no trial began."""
    for name in ("first", "second"):
        folder = tmp_path / "sweeps" / name
        folder.mkdir(parents=True)
        plan = make_plan(
            "a=2,1", "b=3", f"hydra.sweep.dir={folder}", f"hydra.sweeper.study_name={name}"
        )
        plan.save_definition()
    return tmp_path


def test_what_a_folder_says(root: Path) -> None:
    """A sweep is read as it was begun."""
    found = archive.find(root, "first")
    assert (found.name, found.folder) == ("first", root / "sweeps" / "first")
    assert found.definition["space"] == {"a": "2,1"}
    assert list(found.directions) == ["minimize"]
    assert list(found.objectives) == ["value"]
    assert "b=3" in found.fixed
    assert found.directory == Path.cwd()


def test_found_by_its_beginning_or_path(root: Path) -> None:
    """A name may be cut short, and a folder may be anywhere."""
    assert archive.find(root, "sec").name == "second"
    assert archive.find(Path("nowhere"), str(root / "sweeps" / "first")).name == "first"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("frist", "sweep 'frist': there is no such sweep under .*; did you mean first?"),
        ("", "sweep '': must name one sweep, but begins first, second"),
    ],
)
def test_refused_names(root: Path, name: str, message: str) -> None:
    """An unknown name is refused with the nearest one, an ambiguous one with all of them."""
    with pytest.raises(InputError, match=message):
        archive.find(root, name)


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        (b"\xff", "'utf-8' codec can't decode"),
        (b"study: [", "while parsing a flow"),
        (b"study: {}\n", "KeyError"),
        (b"study: 1\n", "study is 1"),
    ],
)
def test_damaged_definition(root: Path, damage: bytes, detail: str) -> None:
    """The file, the cause and the remedy are named; the file's content is not repeated."""
    path = root / "sweeps" / "first" / "sweep.yaml"
    content = path.read_bytes()
    path.write_bytes(damage + content if damage == b"\xff" else damage)
    with pytest.raises(InputError, match="delete the file and repeat the command") as refused:
        archive.find(root, "first")
    assert str(path) in str(refused.value)
    assert detail in str(refused.value)
    assert "b=3" not in str(refused.value)


@pytest.mark.parametrize("state", ["COMPLETE", "FAIL", "INTERRUPTED"])
def test_state_that_was_saved(root: Path, state: str) -> None:
    """A sweep whose command has ended is as that ended."""
    archive.save_state(root / "sweeps" / "first", state, 7)
    found = archive.find(root, "first")
    assert (found.state, found.total) == (state, 7)


def test_state_of_a_sweep_that_runs_or_was_killed(root: Path) -> None:
    """Only a sweep whose lock is held runs."""
    folder = root / "sweeps" / "first"
    archive.save_state(folder, "RUNNING", None)
    lock = take_lock(folder / SWEEP_LOCK)
    assert lock is not None
    with lock:
        assert archive.read(folder).state == "RUNNING"
    assert archive.read(folder).state == "INTERRUPTED"
