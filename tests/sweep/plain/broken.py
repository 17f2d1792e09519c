"""A fused form that is wrong in itself."""

import os
from typing import Any

from sinesweep import Trial


def refusal(config: Any) -> None:
    """Nothing cannot be trained."""


class Strange:
    """Tells of a trial that it was never given."""

    def admit(self, config: Any, trial: Trial, directory: Any) -> None:
        """Take a trial in."""

    def advance(self) -> dict[int, float]:
        """Train a round."""
        return {77: 0.0}


def make() -> Strange:
    """Return the training, or not."""
    if os.environ["BROKEN"] == "make":
        raise ImportError("no accelerator")
    return Strange()
