"""``sinesweep rerun``."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from runner import Runner, environment

from sinesweep.commands import main
from sinesweep.sweep.archive import Archive
from sinesweep.winner.comparison import Evaluation, changes, differences

pytestmark = pytest.mark.xdist_group("winner")
PASSWORD = "+db.password=hunter2"


@pytest.mark.slow
def test_a_training_is_the_same_to_the_last_bit(
    trained: Archive, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A trial that was trained beside another one comes out the same by itself."""
    assert main(["rerun", "--root", str(root), "depth", "1"]) == 0
    out = capfd.readouterr().out
    assert "equal bit for bit: 53 metrics at every step, val/mae = " in out
    (folder,) = (root / "runs").iterdir()
    assert f"trial 1 of depth, again: {folder}" in out


def test_a_function_under_all_its_seeds(plain: Archive, capfd: pytest.CaptureFixture[str]) -> None:
    """What is compared is the mean that the sweep was told."""
    assert main(["rerun", str(plain.folder), "0", "--", PASSWORD]) == 0
    out = capfd.readouterr().out
    assert f"equal bit for bit: value = {((0.1 - 1) ** 2 + 0.3) + 0.5!r}" in out
    assert "hunter2" not in out
    assert "(not recorded)" not in out
    assert out.endswith("of the trial were not recorded, so are not compared\n")
    written = [path for path in (plain.directory / "outputs").rglob("*.yaml") if path.is_file()]
    assert {path.name for path in written} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert not [path for path in written if "hunter2" in path.read_text()]


def test_a_difference_is_shown(plain: Archive, capfd: pytest.CaptureFixture[str]) -> None:
    """The number then and now is shown."""
    assert main(["rerun", str(plain.folder), "1", "--", PASSWORD, "y=2"]) == 1
    assert "  value: 0.8 -> 2.5  (2.1e+00 of it)" in capfd.readouterr().out


def test_a_function_that_fails_again(plain: Archive, capfd: pytest.CaptureFixture[str]) -> None:
    """Its own error is on the screen, and nothing is compared."""
    extra = ["misbehave=raise", "when=3"]
    assert main(["rerun", str(plain.folder), "2", "--", PASSWORD, *extra]) == 1
    assert "sinesweep: trial 2 failed again" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["0", "--", "y=2"],
            r"db.password: must be given again, .*: "
            r"sinesweep rerun \S+/multirun/bowl 0 -- y=2 '\+db\.password=\*\*\*'   \(with",
        ),
        (["7"], "trial 7: must be one of the sweep bowl, from 0 to 2"),
        (["0", "--", "password"], "'password': must be an override, key=value, but is none"),
    ],
)
def test_refused(
    plain: Archive, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be run again is refused with the way out, and nothing is run."""
    calls = (plain.directory / "calls.txt").read_text()
    assert main(["rerun", str(plain.folder), *arguments]) == 2
    assert re.search(message, capfd.readouterr().err)
    assert (plain.directory / "calls.txt").read_text() == calls


def test_differences_are_bits() -> None:
    """Numbers that print alike differ, nan is itself, and a missing number is a difference."""
    nan = float("nan")
    then = Evaluation({("a", 0): 0.1 + 0.2, ("a", 1): nan, ("b", None): 1.0})
    now = Evaluation({("a", 0): 0.3, ("a", 1): nan, ("c", 0): 2.0})
    found = differences(then, now, whole=True)
    assert [(d.name, d.then, d.now) for d in found] == [
        ("a", 0.1 + 0.2, 0.3), ("b", 1.0, None), ("c", None, 2.0),
    ]  # fmt: skip


def test_a_pruned_trial_is_compared_as_far_as_it_went() -> None:
    """What the trial would still have told is no difference."""
    then = Evaluation({("val/mae", 0): 0.5})
    now = Evaluation({("val/mae", 0): 0.5, ("val/mae", 1): 0.4})
    assert differences(then, now, whole=False) == []


def test_changes() -> None:
    """What was recorded of code, versions, data, device and configuration is compared."""
    then = Evaluation(
        {},
        {
            "sinesweep.version.torch": "2.12",
            "sinesweep.fingerprint.training": "a",
            "sinesweep.threads": "1",
            "sinesweep.run": "x",
        },
        {"seed": 0, "tracking.root": "here"},
    )
    now = Evaluation(
        {},
        {
            "sinesweep.version.torch": "2.13",
            "sinesweep.fingerprint.training": "a",
            "sinesweep.device": "cpu AVX2",
            "sinesweep.threads": 1,
            "sinesweep.git.dirty": "true",
            "sinesweep.run": "y",
        },
        {"seed": 1, "tracking.root": "there"},
    )
    assert changes(then, now) == [
        "torch: 2.12 -> 2.13",
        "device: (not recorded) -> cpu AVX2",
        "uncommitted changes: (not recorded) -> true",
        "seed: 0 -> 1",
        "code: there were uncommitted changes, of which no record is kept",
    ]


@pytest.mark.slow
def test_only_the_run_that_was_started_is_compared(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A configuration that asks for a sweep does not make the command start another sweep."""
    files = tmp_path / "files" / "experiment"
    files.mkdir(parents=True)
    (files / "search.yaml").write_text("# @package _global_\nhydra: {mode: MULTIRUN}\n")
    runner = Runner(tmp_path)
    options = ["hydra.sweeper.workers=1", "hydra.sweeper.study_name=bowl"]
    flags = ["--config-dir", "files"]
    done = runner.sweep(*flags, "+experiment=search", "x=0.1,3", *options)
    assert done.code == 0, done.err
    folder = tmp_path / "multirun" / "bowl"
    assert main(["rerun", str(folder), "1"]) == 0
    assert "equal bit for bit: value = 4.0" in capfd.readouterr().out
    assert [path.name for path in (tmp_path / "multirun").iterdir()] == ["bowl"]
    (line,) = [each for each in done.out.splitlines() if each.startswith("run the best")]
    _, command = line.split("run the best", 1)
    subprocess.run(shlex.split(command), cwd=tmp_path, env=environment(), check=True)
    assert [path.name for path in (tmp_path / "multirun").iterdir()] == ["bowl"]
