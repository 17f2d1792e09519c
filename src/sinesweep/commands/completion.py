"""Tab completion: names of sweeps, trials and runs, found without reading what they hold.

A shell asks at each key press, so nothing is imported for it but argcomplete.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable
from pathlib import Path

HOW = """tab completion:
  bash, zsh: eval "$(register-python-argcomplete sinesweep)"
  fish:      register-python-argcomplete --shell fish sinesweep | source
  in the shell's own start-up file to have it always"""

Completer = Callable[..., list[str]]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a command line could go on, and end the process; or return."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def offer(action: argparse.Action, completer: Completer) -> None:
    """Let a completer propose an argument's values."""
    action.completer = completer  # pyright: ignore[reportAttributeAccessIssue] # argcomplete's way


def sweeps(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of sweeps under ``--root`` that begin so."""
    return [folder.name for folder in _sweeps(parsed_args.root) if folder.name.startswith(prefix)]


def trials(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the numbers of the trials of the sweep that was typed before."""
    found = sorted(number for each in _named(parsed_args) for number in _trials(each))
    return [str(number) for number in found if str(number).startswith(prefix)]


def swept_keys(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the keys that the sweep that was typed before varies.

    They are read from its table of trials: what reads its other files takes long to import.
    """
    return [key for each in _named(parsed_args) for key in _keys(each) if key.startswith(prefix)]


def trials_and_runs(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of runs, and of sweeps as the beginning of ``SWEEP/NUMBER``."""
    found = sweeps_and_runs(prefix, parsed_args)
    if "/" in prefix:
        return found
    whole = {folder.name for folder in _sweeps(parsed_args.root)}
    return [f"{name}/" if name in whole else name for name in found]


def sweeps_and_runs(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """Return the names of sweeps and of runs, and those of trials once a sweep is named."""
    root = parsed_args.root
    sweep, slash, number = prefix.partition("/")
    if slash:
        found = (trial for each in _sweeps(root) if each.name == sweep for trial in _trials(each))
        return [f"{sweep}/{trial}" for trial in sorted(found) if str(trial).startswith(number)]
    runs = sorted(path.parent.name for path in (root / "runs").glob("*/record.jsonl"))
    return [
        *sweeps(prefix, parsed_args),
        *(name for name in runs if name.startswith(prefix)),
    ]


def _sweeps(root: Path) -> list[Path]:
    """Return what :func:`sinesweep.sweep.archive.folders` yields, without importing it."""
    found = [*(root / "sweeps").glob("*/sweep.yaml"), *root.glob("*/sweep.yaml")]
    return sorted((path.parent for path in found), key=lambda folder: folder.name)


def _named(options: argparse.Namespace) -> list[Path]:
    """Return the folder of the sweep that was typed, by name or by its path."""
    typed = getattr(options, "sweep", None)
    if not typed:
        return []
    if (Path(typed) / "sweep.yaml").exists():
        return [Path(typed)]
    known = _sweeps(options.root)
    exact = [folder for folder in known if folder.name == typed]
    found = exact or [folder for folder in known if folder.name.startswith(typed)]
    return found if len(found) == 1 else []


def _keys(sweep: Path) -> list[str]:
    path = sweep / "trials.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        titles = next(csv.reader(file), [])
    keys = (title.removeprefix("params.") for title in titles if title.startswith("params."))
    return [key.lstrip("+") for key in keys]


def _trials(sweep: Path) -> list[int]:
    return [int(path.name) for path in (sweep / "trials").glob("*") if path.name.isdigit()]
