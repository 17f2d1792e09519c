"""Sweeps whose trials share workers: how to ask for them, and what became of the trials."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.trial import FrozenTrial
from runner import ONE, Runner
from watching import folder_of, outcome_of

FUSED = "hydra.sweeper.fused=rounds"


def slots(count: int) -> tuple[str, str, str]:
    """Return the overrides that have so many trials share one worker."""
    return ONE, FUSED, f"hydra.sweeper.slots={count}"


def error_of(trial: FrozenTrial) -> str:
    """Return why a trial failed."""
    return trial.user_attrs["sinesweep.error"]


def outcomes(trials: list[FrozenTrial]) -> Mapping[float, list[str]]:
    """Return what became of each x, attempt by attempt."""
    found: dict[float, list[str]] = {}
    for trial in trials:
        found.setdefault(trial.params["x"], []).append(outcome_of(trial))
    return found


def log_of(runner: Runner, number: int) -> str:
    """Return what a trial printed."""
    return (folder_of(runner) / "trials" / str(number) / "trial.log").read_text()
