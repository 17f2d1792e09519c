"""Look at a sweep from outside: its study, its calls, its processes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from runner import Runner

LIMIT = 60  # seconds: no wait hangs a test


def sweep_folder(root: Path) -> Path:
    """Return the folder of the only sweep."""
    (folder,) = root.iterdir()
    return folder


def trials_of(folder: Path) -> list[FrozenTrial]:
    """Return every trial of a sweep's study."""
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def states_of(folder: Path) -> list[str]:
    """Return the trials' states by number."""
    return [trial.state.name for trial in trials_of(folder)]


def outcome_of(trial: FrozenTrial) -> str:
    """Return what became of a trial, in more words than Optuna's where there are."""
    return trial.user_attrs.get("sinesweep.outcome", trial.state.name)


def calls_of(folder: Path) -> list[tuple[float, float, int, int]]:
    """Return (x, y, seed, process) of every call of the plain application."""
    path = folder / "calls.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(float(x), float(y), int(seed), int(pid)) for x, y, seed, pid in map(str.split, lines)]


def rounds_of(folder: Path) -> list[tuple[str, int, list[int]]]:
    """Return what trials that were trained together have noted, event by event.

    ``round`` with the process and who took part, ``ended`` with the process and the trial,
    ``asked`` with the trial and which were known to be complete.
    """
    path = folder / "rounds.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    words = [line.split() for line in lines]
    return [(event, int(who), [int(each) for each in rest]) for event, who, *rest in words]


def folder_of(runner: Runner) -> Path:
    """Return the folder of a runner's only sweep of the plain application."""
    return sweep_folder(runner.folder / "multirun")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a sweep to end; return its exit code and what it printed."""
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fail when it does not come."""
    give_up = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < give_up, "what was waited for did not come"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def processes_in(session: int) -> list[int]:
    """Return the living processes of a session's or the nursery's making, by their parents."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_alive(int(entry.name)):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(fields[1])
    found, frontier = [], [session]
    while frontier:
        children = [pid for pid, parent in parents.items() if parent in frontier]
        found += children
        frontier = children
    return found


def kill(pid: int, number: int) -> None:
    """Send a signal."""
    os.kill(pid, number)
