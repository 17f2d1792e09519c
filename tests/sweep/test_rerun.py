import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from sinesweep.sweep.entry import Entry
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.rerun import SweepCommand, rerun_command, single_overrides

MakeEntry = Callable[..., Entry]
MakePlan = Callable[..., Plan]


def test_command(make_entry: MakeEntry) -> None:
    """The script is run with the trial's overrides, and without what made the sweep."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["x=1", "trainer=fast"]),
        SweepCommand(["src/train.py", "-m", "x=1,2", "hydra.sweeper.n_trials=4", "trainer=fast"]),
    )
    assert command == "python src/train.py x=1 trainer=fast"


def test_command_has_the_typed_interpreter(make_entry: MakeEntry) -> None:
    """The interpreter with its options is the one that started the sweep."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["x=1"]),
        SweepCommand(["pkg.app", "-m", "x=1,2"], [".venv/bin/python", "-X", "dev", "-m"]),
    )
    assert command == ".venv/bin/python -X dev -m pkg.app x=1"


def test_quotes(make_entry: MakeEntry) -> None:
    """A shell takes every override as it is."""
    overrides = ["key='a b'", "list=[1,2]", "+new={a:1}", "~gone"]
    command = rerun_command(make_entry(0, 0.1, overrides=overrides), SweepCommand(["app.py", "-m"]))
    assert shlex.split(command)[2:] == overrides


@pytest.mark.parametrize(
    "flags", [["--config-name", "other"], ["--config-name=other"], ["-cn=other"]]
)
def test_other_configuration(make_entry: MakeEntry, flags: list[str]) -> None:
    """A configuration that was chosen by a flag is chosen again, however that was written."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["x=1"]), SweepCommand(["app.py", "-m", *flags, "x=1,2"])
    )
    assert command == "python app.py --config-name other x=1"


def test_credentials(make_entry: MakeEntry) -> None:
    """A password is not shown."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["db.password=hunter2"]), SweepCommand(["app.py"])
    )
    assert "hunter2" not in command


def test_command_of_an_ordinary_application_needs_nothing_else(make_plan: MakePlan) -> None:
    """No override is added if the trial's own make a single run."""
    plan = make_plan("a=1,2", "hydra.sweeper.n_trials=2", "hydra.mode=MULTIRUN")
    assert single_overrides(plan) == ()


def test_command_forces_a_single_run_if_the_configuration_asks_for_a_sweep(
    application: Path, make_plan: MakePlan
) -> None:
    """``hydra.mode: MULTIRUN`` in the primary configuration is overridden."""
    with (application / "config.yaml").open("a") as file:
        file.write("\n  mode: MULTIRUN\n")
    assert single_overrides(make_plan("a=1,2")) == ("hydra.mode=RUN",)


@pytest.mark.parametrize(
    "override", ["+experiment=search", "+experiment=search,other", "+experiment=other,search"]
)
def test_command_forces_a_single_run_if_a_chosen_file_asks_for_a_sweep(
    application: Path, make_plan: MakePlan, override: str
) -> None:
    """``hydra.mode: MULTIRUN`` in a file of a group is overridden, fixed or swept."""
    (application / "experiment").mkdir()
    for name, mode in (("search", "MULTIRUN"), ("other", "null")):
        path = application / "experiment" / f"{name}.yaml"
        path.write_text(f"# @package _global_\nhydra: {{mode: {mode}}}\n")
    plan = make_plan(override, "a=1,2", "hydra.mode=MULTIRUN")
    assert single_overrides(plan) == ("hydra.mode=RUN",)


def test_command_keeps_the_sweeper_that_the_configuration_sets_keys_of(
    application: Path, make_plan: MakePlan
) -> None:
    """A file that sets ``hydra.sweeper.n_trials`` cannot be composed without that sweeper."""
    path = application / "config.yaml"
    path.write_text(path.read_text().replace("  - override hydra/sweeper: sinesweep\n", ""))
    plan = make_plan("hydra/sweeper=sinesweep", "hydra.sweeper.workers=2", "a=1,2")
    assert single_overrides(plan) == ("hydra/sweeper=sinesweep",)


def test_command_keeps_what_was_typed_of_the_job(make_plan: MakePlan) -> None:
    """Hydra's keys that change how the function runs are kept, those of the sweep are not."""
    plan = make_plan(
        "a=1,2", "hydra.job.chdir=true", "hydra.sweep.dir=here", "hydra.sweeper.workers=2"
    )
    assert single_overrides(plan) == ("hydra.job.chdir=true",)


def test_command_keeps_the_keys_that_are_hidden_or_shown(make_plan: MakePlan) -> None:
    """A single run of the sweep's application hides what the sweep hides."""
    lists = ("hydra.sweeper.redacted_keys=[b]", "hydra.sweeper.visible_keys=[tokens]")
    assert single_overrides(make_plan("a=1,2", "hydra.sweeper.workers=2", *lists)) == lists


def test_kept_keys_bring_the_sweeper_that_has_them(application: Path, make_plan: MakePlan) -> None:
    """Where the configuration chooses no sweeper, the lists of keys cannot be composed without."""
    path = application / "config.yaml"
    text = path.read_text().replace("  - override hydra/sweeper: sinesweep\n", "")
    path.write_text(text.partition("hydra:\n")[0])
    visible = "hydra.sweeper.visible_keys=[tokens]"
    plan = make_plan("hydra/sweeper=sinesweep", "a=1,2", visible)
    assert single_overrides(plan) == (visible, "hydra/sweeper=sinesweep")
