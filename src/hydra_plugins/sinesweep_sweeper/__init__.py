"""Registers ``hydra/sweeper=sinesweep`` with Hydra, which imports this package at every start.

So nothing here may be heavy: Optuna, and the sweep itself, are imported when a sweep begins. The
sweeper's class is not named here: Hydra 1.3 would list it twice.
"""

from hydra_plugins.sinesweep_sweeper._config import register

register()
