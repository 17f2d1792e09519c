"""Data and model of a run, built from its configuration; what a class refuses is said by key."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from sinesweep import modules, seeds
from sinesweep.config import Config, shown
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
        with refused_by("optimizer", config.values):
            optimizer = module.make_optimizer()
        with refused_by("scheduler", config.values):
            module.make_scheduler(optimizer)
    return module


def _instantiate(config: Config, section: str, expected: type[Any]) -> Any:
    from hydra.utils import instantiate

    with refused_by(section, config.values):
        made = instantiate(config.values[section], _convert_="all")
    if not isinstance(made, expected):
        raise InputError(
            f"{section}._target_: must make a {expected.__name__}, but makes a "
            f"{type(made).__name__}"
        )
    return made


@contextmanager
def refused_by(section: str, values: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Turn what a class says of its arguments into a message about the section's keys.

    What the user's own code fails with is no message about keys: it is raised as it is.

    Args:
        section: what the class is made of.
        values: every key of the configuration, if the section has a ``_target_``.
    """
    from hydra.errors import InstantiationException
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except InstantiationException as error:
        cause = error.__cause__ or error
        if is_of_own_code(cause):
            raise cause from cause.__cause__
        raise InputError(_refusal(section, values, cause)) from error
    except (
        TypeError,
        ValueError,
        RuntimeError,
        ImportError,
        MisconfigurationException,
    ) as error:
        if is_of_own_code(error):
            raise
        raise InputError(_refusal(section, values, error)) from error


def _refusal(section: str, values: Mapping[str, Any] | None, error: BaseException) -> str:
    text = _first_lines(error)
    if values is None:
        return f"{section}: {text}"
    if isinstance(error, (ImportError, ValueError)):
        for key, target in _targets(section, values):
            if problem := _missing(target):
                return (
                    f"{key}: must name a class or a function that Python can import, but is "
                    f"{shown(target)} ({problem}): correct the name, or put the module into one of "
                    f"the folders that are searched, after Python's own: {_searched()}"
                )
    keys, target = values[section], values[section]["_target_"]
    named = [
        f"{section}.{key}"
        for key in keys
        if not key.startswith("_") and re.search(rf"\b{re.escape(key)}\b", text, re.IGNORECASE)
    ]
    if not named:
        return (
            f"{section}: {target} refuses its keys ({text}): give the keys that it takes, each "
            f"with +{section}.KEY=..., and remove others with ~{section}.KEY"
        )
    given = ", ".join(f"{key}={shown(keys[key.partition('.')[2]])}" for key in named)
    return (
        f"{', '.join(named)}: {target} refuses {given} ({text}): give another value, or remove the "
        f"key with ~{named[0]}"
    )


def _targets(section: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of each ``_target_`` in a section."""
    for key, value in values[section].items():
        if key == "_target_":
            yield f"{section}.{key}", str(value)
        elif isinstance(value, Mapping):
            repeats = value == values.get(key)  # a section of its own, which this one refers to
            for inner, target in _targets(key, {key: value}):
                yield inner if repeats else f"{section}.{inner}", target


def _missing(target: str) -> str | None:
    """Return what is missing of a dotted name, or None if Python finds it."""
    try:
        pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        return str(error)
    return None


def _searched() -> str:
    return ", ".join(modules.added() or [str(Path.cwd())])


def _first_lines(error: BaseException) -> str:
    return " ".join(str(error).splitlines()[:2])
