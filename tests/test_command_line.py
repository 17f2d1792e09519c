"""The command line as the user typed it."""

from __future__ import annotations

import sys

import pytest

from sinesweep import command_line

SCRIPT = ["src/train.py", "-m", "x=1,2"]
MODULE = ["/srv/pkg/app.py", "-m", "x=1,2"]


@pytest.mark.parametrize(
    ("typed", "arguments", "printed"),
    [
        (
            [".venv/bin/python", *SCRIPT],
            SCRIPT,
            ".venv/bin/python src/train.py -m x=1,2",
        ),
        (
            ["python3.11", "-X", "dev", "-Wignore", "-I", *SCRIPT],
            SCRIPT,
            "python3.11 -X dev -Wignore -I src/train.py -m x=1,2",
        ),
        (
            ["my python", "my app.py", "name='a b'"],
            ["my app.py", "name='a b'"],
            """'my python' 'my app.py' 'name='"'"'a b'"'"''""",
        ),
        (["python", "-m", "pkg.app", *MODULE[1:]], MODULE, "python -m pkg.app -m x=1,2"),
        (["python", "-um", "pkg.app", *MODULE[1:]], MODULE, "python -um pkg.app -m x=1,2"),
        (["python", "-mpkg.app", *MODULE[1:]], MODULE, "python -m pkg.app -m x=1,2"),
        (["python", "-m", "pkg"], ["/srv/pkg/__main__.py"], "python -m pkg"),
        (
            ["python", "-m", "pytest", "-q", "tests"],  # the program was changed by a caller
            SCRIPT,
            "python src/train.py -m x=1,2",
        ),
        (["python"], ["src/train.py"], "python src/train.py"),
    ],
)
def test_printed_command_has_the_typed_interpreter(
    monkeypatch: pytest.MonkeyPatch, typed: list[str], arguments: list[str], printed: str
) -> None:
    """The interpreter, its options and a module are printed as the user typed them."""
    monkeypatch.setattr(sys, "orig_argv", typed)
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_line.typed().text == printed


def test_printed_command_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a command is redacted."""
    monkeypatch.setattr(sys, "argv", ["app.py", "db.password=hunter2"])
    assert "hunter2" not in command_line.typed().text
