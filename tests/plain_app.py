"""Run the plain Hydra application of the compatibility tests as its user does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from runner import ROOT, environment

SOURCE = ROOT / "tests" / "compat" / "app"
LIMIT = 300  # seconds: an environment is made in it, too


def run(*command: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command; its code is the caller's to judge."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


class App:
    """A copy of the application, run from a folder that is not its own.

    Args:
        python: the interpreter.
        folder: for the application and what it writes.
    """

    def __init__(self, python: Path, folder: Path) -> None:
        self._python = python
        self.source = folder / "app"
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        shutil.copytree(SOURCE, self.source, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        """Run the application."""
        return run(self._python, self.source / "app.py", *overrides, folder=self.folder)

    def evaluate(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in the application's environment."""
        return run(self._python, "-c", code, folder=self.folder)
