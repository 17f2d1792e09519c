"""Stands in for the class of hydra-optuna-sweeper where that package is not installed.

Files that were written for it name the class by ``_target_``, or the group's file by
``override hydra/sweeper: optuna``. Hydra would say that there is no such plugin, or no such file.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

_PACKAGE = "hydra_plugins.hydra_optuna_sweeper"
_NAME = "OptunaSweeper"
TARGET = f"{_PACKAGE}.optuna_sweeper.{_NAME}"
EXIT_INPUT = 2


def is_needed() -> bool:
    """Return whether hydra-optuna-sweeper is missing."""
    return find_spec(_PACKAGE) is None


if is_needed():

    class OptunaSweeper(Sweeper):
        """Says what to change for the sweep to be run by sinesweep."""

        def __init__(self, **_: Any) -> None:
            self._config: DictConfig | None = None

        def setup(
            self,
            *,
            hydra_context: HydraContext,  # noqa: ARG002 # Hydra's interface
            task_function: TaskFunction,  # noqa: ARG002
            config: DictConfig,
        ) -> None:
            """Take the configuration alone."""
            self._config = config

        def sweep(self, arguments: list[str]) -> None:  # noqa: ARG002
            """Say what to change, and leave with the exit code of wrong input."""
            assert self._config is not None
            print(f"sinesweep: {_message(self._config)}", file=sys.stderr)  # noqa: T201
            sys.exit(EXIT_INPUT)

    # Hydra looks a plugin up by __module__ and __name__, and then imports it by __module__ and
    # __qualname__: the first is the name in the user's file, the second is where the class is.
    OptunaSweeper.__module__, OptunaSweeper.__name__ = TARGET.split(".", 1)
    OptunaSweeper.__qualname__ = f"{__name__}.{_NAME}".split(".", 1)[1]


def _message(config: DictConfig) -> str:
    """Return what to change, where it is written."""
    kept = "; the other keys of hydra.sweeper keep their meaning"
    if config.hydra.runtime.choices.get("hydra/sweeper") == "optuna":
        return (
            "hydra/sweeper: must be sinesweep, but is optuna, whose package hydra-optuna-sweeper "
            "is not installed: write '- override /hydra/sweeper: sinesweep' in the defaults list, "
            f"or add hydra/sweeper=sinesweep to the command{kept}"
        )
    return (
        f"hydra.sweeper._target_: must be left to hydra/sweeper=sinesweep, but is {TARGET}, whose "
        f"package hydra-optuna-sweeper is not installed: remove the line{_place(config)}{kept}"
    )


def _place(config: DictConfig) -> str:
    for source in config.hydra.runtime.config_sources:
        folder = Path(source.path)
        for path in sorted(folder.rglob("*.yaml")) if source.schema == "file" else ():
            if _NAME in path.read_text(encoding="utf-8", errors="replace"):
                return f" from {path}"
    return ""
