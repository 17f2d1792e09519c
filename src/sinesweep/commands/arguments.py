"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from sinesweep.commands import completion

DEFAULT_ROOT = Path("mlruns")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Take ``--root`` and ``--uri``: where runs are, and where their tracker is."""
    add_root(parser)
    parser.add_argument("--uri", help="the tracker's address; default: as for training")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Take ``--root``: where runs and sweeps are."""
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="default: mlruns")


def root_flag(root: Path) -> str:
    """Return what to type after a command for it to look there, too."""
    return "" if root == DEFAULT_ROOT else f" --root {shlex.quote(str(root))}"


def add_run(parser: argparse.ArgumentParser, words: str) -> None:
    """Take ``--run``, to be found with :func:`sinesweep.winner.finding.find_run`."""
    completion.offer(parser.add_argument("--run", help=words), completion.trials_and_runs)


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Take ``SWEEP``, to be found with :func:`sinesweep.sweep.archive.find`."""
    action = parser.add_argument(
        "sweep", metavar="SWEEP", help="a sweep's name, its beginning, or a folder"
    )
    completion.offer(action, completion.sweeps)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Take ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
