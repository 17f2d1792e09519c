from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from random import random

import pytest
import yaml
from omegaconf import OmegaConf
from runner import Runner

from sinesweep.sweep.pins import changing_place, with_overrides
from sinesweep.sweep.plan import DEFINITION_FILE, Plan

MakePlan = Callable[..., Plan]


@pytest.fixture(autouse=True)
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "-m", "a=1,2", "--config-name", "config"])


@pytest.mark.parametrize(
    ("key", "written", "prefix"),
    [
        ("hydra.sweep.dir", "there/${now:%Y-%m-%d}/x", "there/"),
        ("hydra.sweeper.root", "there/${now:%H-%M-%S-%f}", "there/"),
        ("hydra.sweeper.study_name", "s-${now:%H-%M-%S}", "s-"),
        ("hydra.sweeper.storage", "sqlite:///${now:%H}.db", "sqlite:///"),
        ("hydra.sweep.dir", "there/${chance:}", "there/"),
        ("hydra.sweep.dir", "there/${name}", "there/"),
    ],
)
def test_place_that_changes_is_pinned(
    make_plan: MakePlan, key: str, written: str, prefix: str
) -> None:
    """The command that continues a sweep names its place, and the sweep says so at its start."""
    OmegaConf.register_new_resolver("chance", lambda: str(random()), replace=True)
    plan = make_plan("a=1,2", f"{key}={written}", "name=${now:%H-%M}")
    (pin,) = plan.pins
    assert pin.key == key
    assert pin.value.startswith(prefix)
    assert "$" not in pin.value
    assert f"a=1,2 {pin.override} --config-name" in plan.command.text.replace("'", "")
    notice = changing_place(plan.pins)
    assert notice is not None
    assert f"{key} is {written}, which changes with each command" in notice
    assert f"by adding {pin.override}" in notice


def test_pinned_command_finds_the_same_folder(make_plan: MakePlan) -> None:
    """A command with the pins has the same name and folder, and needs no pins."""
    first = make_plan("a=1,2", "hydra.sweep.dir=there/${now:%f} x", "hydra.sweeper.study_name=s")
    again = make_plan(*first.command.arguments[2:4], "hydra.sweeper.study_name=s")
    assert (again.folder, again.name) == (first.folder, first.name)
    assert again.pins == ()
    assert again.definition == first.definition


def test_place_from_the_environment(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that depends on a variable is pinned, but nothing is said: it may stay the same."""
    monkeypatch.setenv("JOB", "7")
    plan = make_plan("a=1,2", "hydra.sweep.dir=there/${oc.env:JOB}")
    assert [pin.override for pin in plan.pins] == ["hydra.sweep.dir=there/7"]
    assert changing_place(plan.pins) is None


@pytest.mark.parametrize(
    "written",
    [
        "hydra.sweep.dir=there/${hydra.job.override_dirname}",
        "hydra.sweep.dir=there/${name}",
        "hydra.sweep.dir=there",
        "name=x",
    ],
)
def test_place_that_stays_is_not_pinned(make_plan: MakePlan, written: str) -> None:
    """What follows from the command line needs no pin."""
    plan = make_plan("a=1,2", written)
    assert plan.pins == ()
    assert plan.command.text == "python app.py -m a=1,2 --config-name config"


def test_tracking_root_is_pinned_too(make_plan: MakePlan) -> None:
    """A sweep is continued where it is recorded."""
    plan = make_plan(
        "a=1,2",
        "++tracking.root=runs/${now:%f}",
        "hydra.sweeper.tracking=${tracking}",
        "hydra.sweeper.root=${tracking.root}/sweeps",
    )
    assert [pin.key for pin in plan.pins] == ["hydra.sweeper.root", "tracking.root"]
    assert plan.folder.parent.parent == Path(plan.pins[1].value)


def test_password_in_the_storage_is_not_pinned(make_plan: MakePlan) -> None:
    """A command that is printed holds no password, so it cannot pin an address that does."""
    storage = "postgresql://me:hunter2@host/${now:%f}"
    plan = make_plan("a=1,2", f"hydra.sweeper.storage='{storage}'")
    assert plan.pins == ()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["app.py", "-m", "a=1"], ["app.py", "-m", "a=1", "b=2"]),
        (["app.py", "a=1", "-m"], ["app.py", "a=1", "b=2", "-m"]),
        (["app.py", "-m", "~a"], ["app.py", "-m", "~a", "b=2"]),
        (["app.py", "-m"], ["app.py", "-m", "b=2"]),
    ],
)
def test_overrides_stand_together(arguments: list[str], expected: list[str]) -> None:
    """Hydra reads overrides in one place of a command line."""
    assert with_overrides(arguments, ["b=2"]) == expected


@pytest.mark.slow
def test_saved_command_continues_a_sweep_in_a_dated_folder(runner: Runner) -> None:
    """The command in a sweep's files continues it, whatever the time is by then."""
    dated = "hydra.sweep.dir=dated/${now:%H-%M-%S-%f}"
    begun = runner.sweep("x=1,2,3", "hydra.sweeper.n_trials=2", "hydra.sweeper.workers=1", dated)
    assert begun.code == 0, begun.err
    assert "hydra.sweep.dir is dated/${now:%H-%M-%S-%f}, which changes" in begun.err
    (folder,) = (runner.folder / "dated").iterdir()
    command = yaml.safe_load((folder / DEFINITION_FILE).read_text())["command"]["arguments"]
    again = [word.replace("n_trials=2", "n_trials=3") for word in command[2:]]
    assert runner.sweep(*again).code == 0
    assert list((runner.folder / "dated").iterdir()) == [folder]
    assert len(list((folder / "trials").iterdir())) == 3
