"""Tracked hyperparameter sweeps for Hydra and Lightning."""

from sinesweep.errors import InputError
from sinesweep.sweep.trial import Trial, TrialPruned, current_trial

__version__ = "0.1.0"
__all__ = ["InputError", "Trial", "TrialPruned", "current_trial"]
