"""Registers ``hydra/sweeper=sinesweep`` with Hydra, which imports this package at every start.

So nothing here may be heavy: Optuna, and the sweep itself, are imported when a sweep begins.
"""

from hydra_plugins.sinesweep_sweeper.config import register
from hydra_plugins.sinesweep_sweeper.sweeper import SinesweepSweeper

__all__ = ["SinesweepSweeper"]

register()
