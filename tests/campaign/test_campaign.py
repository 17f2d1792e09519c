"""A thousand generated command lines: each is accepted, or refused with one message."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_lines import Line, lines
from hypothesis import HealthCheck, Phase, given, seed, settings
from runner import Runner, environment

_COUNT = 1000
_LONGEST_MESSAGE = 6000  # characters
_ZYGOTE = Path(__file__).parent / "zygote.py"
_MESSAGE = re.compile(r"^(?:sinesweep: |[\w. -]+: error: |package \')", re.MULTILINE)

Run = Callable[[Line], dict[str, Any]]


@pytest.fixture
def finished(runner: Runner) -> Path:
    """Return the root of a finished sweep."""
    done = runner.sweep("x=1,2", "hydra.sweeper.study_name=finished", "hydra.sweeper.workers=1")
    assert done.code == 0, done.err
    return runner.folder / "multirun"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Iterator[Run]:
    """Run a command line in a folder of its own, in a process whose imports are paid."""
    folder = tmp_path / "here"
    zygote = subprocess.Popen(
        [sys.executable, str(_ZYGOTE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )

    def run_line(line: Line) -> dict[str, Any]:
        folder.mkdir()
        (folder / "given").mkdir()
        if line.program == "sinesweep":
            shutil.copytree(finished, folder / "multirun")
        for name, text in line.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        request = {"program": line.program, "arguments": line.arguments, "folder": str(folder)}
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        zygote.stdin.write(json.dumps(request) + "\n")
        zygote.stdin.flush()
        answer = json.loads(zygote.stdout.readline())
        shutil.rmtree(folder)
        return answer

    yield run_line
    zygote.communicate()


def _problem(line: Line, answer: dict[str, Any]) -> str | None:
    """Return which rule a command broke, or None."""
    code, said = answer["code"], answer["err"]
    # What Hydra refuses before the sweeper is called, it reports in its own way.
    if line.program == "plain" and code == 1 and "/src/sinesweep/" not in said:
        return f"creates {answer['new']}" if answer["new"] else None
    if "Traceback (most recent call last)" in said + answer["out"]:
        return "prints a traceback"
    if code not in (0, 2):
        return f"ends with {code}"
    if code == 0:
        return "accepts what is wrong" if line.is_wrong else None
    if answer["new"]:
        return f"creates {answer['new']}"
    if len(_MESSAGE.findall(said)) != 1:
        return f"prints {len(_MESSAGE.findall(said))} messages"
    return "prints too much" if len(said) > _LONGEST_MESSAGE else None


@pytest.mark.slow
def test_generated_command_lines_are_accepted_or_refused_with_one_message(run: Run) -> None:
    """Wrong input ends with exit code 2, one message, no traceback and no new file."""
    problems: list[str] = []
    done = 0

    @seed(int(os.environ.get("CAMPAIGN_SEED", "1")))
    @settings(
        max_examples=_COUNT,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(lines())
    def campaign(line: Line) -> None:
        nonlocal done
        done += 1
        answer = run(line)
        if problem := _problem(line, answer):
            shown = " ".join(each[:200] for each in line.arguments)
            problems.append(
                f"{line.program} {shown} {str(line.files)[:200] if line.files else ''}\n"
                f"  {problem}: {answer['err'][-600:]}"
            )

    campaign()
    assert done == _COUNT
    assert not problems, f"{len(problems)} of {done}:\n" + "\n".join(problems)
