"""Random numbers of a trial whose function sets no seed.

Workers are forked from one process, and run one trial after another. Without this, trials would
share random numbers, or depend on the trials before them.
"""

from __future__ import annotations

import random
import sys
from typing import Any

from sinesweep import seeds


def trial_seed(sweep: str, number: int, index: int) -> int:
    """Derive the seed of one evaluation of a trial.

    Args:
        sweep: the sweep's name.
        number: the trial's number.
        index: of the evaluation, where a trial is evaluated under several seeds.
    """
    return seeds.derive(0, "trial", sweep, number, index)


def seed_generators(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch. Neither library is imported."""
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "manual_seed"):  # a stand-in may have its name
        torch.manual_seed(seed)
