"""Samplers of the application's own, which misbehave."""

import os
import signal
from typing import Any

from optuna.samplers import RandomSampler


class Failing(RandomSampler):
    """Proposes each trial's own number, until the third is asked for."""

    def sample_independent(self, study: Any, trial: Any, *args: Any) -> int:
        if trial.number == 2:
            raise RuntimeError("no more ideas")
        return trial.number


class Interrupting(RandomSampler):
    """Is interrupted while it is made."""

    def __init__(self) -> None:
        super().__init__()
        os.kill(os.getpid(), signal.SIGINT)
