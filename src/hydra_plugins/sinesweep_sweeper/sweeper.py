"""The sweeper as Hydra sees it: a thin shell that imports the sweep when there is one."""

from __future__ import annotations

import sys
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SinesweepSweeper(Sweeper):
    """Runs a function of a configuration over a search space; see :class:`SinesweepConf`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over."""
        self.hydra_context = hydra_context
        self.config = config
        self._task_function = task_function

    def sweep(self, arguments: list[str]) -> None:
        """Run the sweep that the arguments ask for, and leave with its exit code if it failed."""
        from sinesweep.output import protect_output

        protect_output()
        from sinesweep.sweep.command import run

        assert self.config is not None
        assert self.hydra_context is not None
        code = run(self._settings, arguments, self.config, self.hydra_context, self._task_function)
        if code:
            sys.exit(code)
