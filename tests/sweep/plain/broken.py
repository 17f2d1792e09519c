"""Fused forms that are wrong in themselves, as the environment says."""

import os
from typing import Any

from sinesweep import Trial


def refusal(config: Any) -> None:
    """Nothing cannot be trained."""


class Strange:
    """Tells of a trial that it was never given."""

    def admit(self, config: Any, trial: Trial, directory: Any) -> None:
        """Take a trial in."""

    def advance(self) -> dict[int | None, Any]:
        """Train a round."""
        return {77: 0.0}


class Clinging(Strange):
    """Trains a round of each trial, and goes on with those that have ended."""

    def __init__(self) -> None:
        self._trials: list[Trial] = []
        self._ended: list[Trial] = []

    def admit(self, config: Any, trial: Trial, directory: Any) -> None:
        """Take a trial in."""
        self._trials.append(trial)

    def advance(self) -> dict[int | None, Any]:
        """Train a round."""
        for trial in self._ended:
            trial.report(1.0, step=0)
            assert not trial.should_prune()
        self._ended += self._trials
        ended, self._trials = self._trials, []
        return {trial.number: 0.0 if trial.number else ValueError("gone") for trial in ended}


def make() -> Strange:
    """Return the training, or not."""
    if os.environ["BROKEN"] == "make":
        raise ImportError("no accelerator")
    return Clinging() if os.environ["BROKEN"] == "clinging" else Strange()
