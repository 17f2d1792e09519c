import shlex
from collections.abc import Callable

import pytest

from sinesweep.sweep.entry import Entry
from sinesweep.sweep.rerun import rerun_command

MakeEntry = Callable[..., Entry]


def test_command(make_entry: MakeEntry) -> None:
    """The script is run with the trial's overrides, and without what made the sweep."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["x=1", "trainer=fast"]),
        ["src/train.py", "-m", "x=1,2", "hydra.sweeper.n_trials=4", "trainer=fast"],
    )
    assert command == "python src/train.py x=1 trainer=fast"


def test_quotes(make_entry: MakeEntry) -> None:
    """A shell takes every override as it is."""
    overrides = ["key='a b'", "list=[1,2]", "+new={a:1}", "~gone"]
    command = rerun_command(make_entry(0, 0.1, overrides=overrides), ["app.py", "-m"])
    assert shlex.split(command)[2:] == overrides


@pytest.mark.parametrize(
    "flags", [["--config-name", "other"], ["--config-name=other"], ["-cn=other"]]
)
def test_other_configuration(make_entry: MakeEntry, flags: list[str]) -> None:
    """A configuration that was chosen by a flag is chosen again, however that was written."""
    command = rerun_command(
        make_entry(0, 0.1, overrides=["x=1"]), ["app.py", "-m", *flags, "x=1,2"]
    )
    assert command == "python app.py --config-name other x=1"


def test_credentials(make_entry: MakeEntry) -> None:
    """A password is not shown."""
    command = rerun_command(make_entry(0, 0.1, overrides=["db.password=hunter2"]), ["app.py"])
    assert "hunter2" not in command
