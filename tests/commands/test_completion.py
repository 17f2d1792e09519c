"""Tab completion, and what the commands that look at sweeps need."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Runner

from sinesweep import runs
from sinesweep.commands import completion
from sinesweep.sweep import archive

pytestmark = pytest.mark.xdist_group("looking")

MakeSweep = Callable[..., Path]

_WITHOUT = """
import sys
for name in ("torch", "pytorch_lightning", "mlflow", "pandas", "matplotlib", "plotly"):
    sys.modules[name] = None  # importing it fails
from sinesweep.commands import main
for words in ("list", "show plain", "show plain --json", "compare plain/0 plain/1",
              "export plain --output without.zip"):
    assert main([*words.split(), "--root", "multirun"]) == 0, words
"""


def proposed(runner: Runner, line: str) -> list[str]:
    """Return what a shell proposes where Tab is pressed at the end of a line."""
    answer = runner.folder / "answer"
    done = runner.evaluate(
        "from sinesweep.commands import main; main()",
        _ARGCOMPLETE="1",
        _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
    )
    assert done.code == 0, done.err
    return [word.strip() for word in answer.read_text().split("\v")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sinesweep sho", ["show"]),
        ("sinesweep show --root multirun pl", ["plain"]),
        ("sinesweep compare --root multirun plain/", ["plain/0", "plain/1", "plain/2", "plain/3"]),
        ("sinesweep rerun --root multirun plain 3", ["3"]),
        ("sinesweep promote multirun/plain --trial 2", ["2"]),
        ("sinesweep replicate --root multirun pla --each ", ["x"]),
        ("sinesweep predict --root multirun --run pl", ["plain/"]),
    ],
)
def test_a_shell_asks(plain: Runner, line: str, words: list[str]) -> None:
    """Commands, sweeps under the root that was typed, and their trials are proposed."""
    assert proposed(plain, line) == words


def test_names(make_sweep: MakeSweep, begin_run: Callable[..., Path], tmp_path: Path) -> None:
    """What is proposed are the sweeps and runs that the commands find."""
    for name in ("second", "first"):
        make_sweep(name, 0.1)
    begin_run("20260101-000000-aaaabbbb")
    options = argparse.Namespace(root=tmp_path)
    assert completion.sweeps("", options) == [each.name for each in archive.folders(tmp_path)]
    assert completion.sweeps_and_runs("", options) == [
        *completion.sweeps("", options),
        *(each.name for each in runs.folders(tmp_path)),
    ]
    assert completion.sweeps_and_runs("f", options) == ["first"]
    assert completion.sweeps_and_runs("first/", options) == ["first/0"]


def test_help_says_how(plain: Runner) -> None:
    """How it is switched on stands where commands are listed."""
    done = plain.sinesweep("--help")
    assert 'eval "$(register-python-argcomplete sinesweep)"' in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_nothing_heavy_is_needed(plain: Runner) -> None:
    """A plain application's sweep is looked at without torch, Lightning, MLflow or pandas."""
    done = plain.evaluate(_WITHOUT)
    assert (done.code, done.err) == (0, "")
