"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from sinesweep.commands import completion
from sinesweep.config import shown
from sinesweep.errors import InputError
from sinesweep.files import path_problem

DEFAULT_ROOT = Path("mlruns")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Take ``--root`` and ``--uri``: where runs are, and where their tracker is."""
    add_root(parser)
    parser.add_argument("--uri", help="the tracker's address; default: as for training")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Take ``--root``: where runs and sweeps are."""
    parser.add_argument(
        "--root", type=_existing_folder, default=DEFAULT_ROOT, help="default: mlruns"
    )


def _existing_folder(text: str) -> Path:
    folder = Path(text)
    if path_problem(folder) or not folder.is_dir():
        raise argparse.ArgumentTypeError(f"must be a folder that exists, but {shown(text)} is none")
    return folder


def refuse_unusable(options: argparse.Namespace) -> None:
    """Refuse names and paths that no file system can take: each is looked for as a folder's.

    Raises:
        InputError: naming the rule.
    """
    for key, value in vars(options).items():
        for text in value if isinstance(value, list) else [value]:
            # An override and an address are no path.
            if key in ("overrides", "typed", "uri") or not isinstance(text, (str, Path)):
                continue
            if problem := path_problem(text):
                raise InputError(f"{shown(str(text))}: {problem}")


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
