"""What a run was made with: commit, versions, host, command."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from sinesweep import command_line

PACKAGES = (
    "sinesweep",
    "torch",
    "pytorch-lightning",
    "hydra-core",
    "numpy",
    "numba",
    "torchmetrics",
    "optuna",
    "mlflow",
)
THREADS_TAG = "sinesweep.threads"  # of the libraries below torch and NumPy


def tags() -> dict[str, str]:
    """Return tags that say where the numbers come from."""
    found = {f"sinesweep.version.{name}": version for name, version in versions().items()}
    found |= {
        "sinesweep.version.python": platform.python_version(),
        "sinesweep.host": socket.gethostname(),
        THREADS_TAG: threads(),
        "sinesweep.command": command(),
        "mlflow.source.name": sys.argv[0],
        "mlflow.source.type": "LOCAL",
    }
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain")
    if commit and changes is not None:
        found["mlflow.source.git.commit"] = commit
        found["sinesweep.git.dirty"] = str(bool(changes)).lower()
    return found


@cache
def versions() -> Mapping[str, str]:
    """Return the installed versions of the packages that decide the numbers."""
    # Cached, as git's answers are: a worker's code does not change from trial to trial.
    installed: dict[str, str] = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def threads() -> str:
    """Return how many threads linear algebra takes here: sums are rounded by how they are split."""
    return os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count() or 1)


def command() -> str:
    """Return the command line of this process, without credentials."""
    return command_line.typed().text


@cache
def _git(*arguments: str) -> str | None:
    folder = Path(sys.argv[0]).resolve().parent
    try:
        done = subprocess.run(
            # Without optional locks git leaves no index.lock behind if the disk is full.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
