"""Data and model of a run, built from its configuration; what a class refuses is said by key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl

from sinesweep import seeds
from sinesweep.config import Config
from sinesweep.errors import InputError
from sinesweep.task.module import Forecaster
from sinesweep.training.blame import is_of_own_code


def build_data(config: Config) -> pl.LightningDataModule:
    """Make the data module.

    Raises:
        InputError: its class refuses its keys.
    """
    return _instantiate(config, "data", pl.LightningDataModule)


def build_module(config: Config) -> pl.LightningModule:
    """Make the model, its weights drawn from the run's seed.

    Raises:
        InputError: its class, or the optimizer's or the schedule's, refuses its keys.
    """
    pl.seed_everything(seeds.derive(config.settings.seed, "weights"), verbose=False)
    module = _instantiate(config, "model", pl.LightningModule)
    if isinstance(module, Forecaster):
        with refused_by("optimizer, scheduler"):
            module.configure_optimizers()
    return module


def _instantiate(config: Config, section: str, expected: type[Any]) -> Any:
    from hydra.utils import instantiate

    with refused_by(section):
        made = instantiate(config.values[section], _convert_="all")
    if not isinstance(made, expected):
        raise InputError(
            f"{section}._target_: must make a {expected.__name__}, but makes a "
            f"{type(made).__name__}"
        )
    return made


@contextmanager
def refused_by(section: str) -> Iterator[None]:
    """Turn what a class says of its arguments into a message about the section's keys.

    What the user's own code fails with is no message about keys: it is raised as it is.
    """
    from hydra.errors import InstantiationException
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except InstantiationException as error:
        cause = error.__cause__ or error
        if is_of_own_code(cause):
            raise cause from cause.__cause__
        raise InputError(f"{section}: {_first_lines(cause)}") from error
    except (
        TypeError,
        ValueError,
        RuntimeError,
        ImportError,
        MisconfigurationException,
    ) as error:
        if is_of_own_code(error):
            raise
        raise InputError(f"{section}: {_first_lines(error)}") from error


def _first_lines(error: BaseException) -> str:
    return " ".join(str(error).splitlines()[:2])
