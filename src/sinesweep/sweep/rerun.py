"""The command that starts a sweep, and the one that runs a trial of it again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from sinesweep.command_line import CommandLine
from sinesweep.redaction import redacted_command
from sinesweep.sweep.entry import Entry

if TYPE_CHECKING:
    from sinesweep.sweep.plan import Plan

SINGLE = "hydra.mode=RUN"
_FLAGS = (("--config-path", "-cp"), ("--config-name", "-cn"), ("--config-dir", "-cd"))
# What is said of the sweep itself, and not of the application.
_OF_THE_SWEEP = ("hydra.mode", "hydra.sweep", "hydra.sweeper", "hydra.launcher", "hydra.run")
# Of the sweeper's keys, those that single runs read, too.
_OF_EACH_RUN = ("hydra.sweeper.redacted_keys", "hydra.sweeper.visible_keys")
_SWEEPER = "hydra/sweeper"


@dataclass(frozen=True)
class SweepCommand(CommandLine):
    """A command that starts a sweep.

    Attributes:
        single: overrides that each command for a single run of the application needs, too.
    """

    single: Sequence[str] = ()


def rerun_command(entry: Entry, command: SweepCommand) -> str:
    """Return the command that runs a trial by itself, quoted for a shell, without credentials.

    Args:
        entry: the trial.
        command: the sweep's. The flags that say where the configuration is are kept.
    """
    flags = config_flags(command.arguments[1:])
    return redacted_command([*command.program, *flags, *entry.overrides, *command.single])


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return those of a command's arguments that say where its configuration is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in _FLAGS:
        parser.add_argument(*names)
    known, _ = parser.parse_known_args(list(arguments))
    given = {name: getattr(known, name[2:].replace("-", "_")) for name, _ in _FLAGS}
    return [word for name, value in given.items() if value is not None for word in (name, value)]


def single_overrides(plan: Plan) -> tuple[str, ...]:
    """Return what a command for a single run of a sweep's application needs besides its trial.

    That is what was typed of Hydra's keys, except for those of the sweep alone; the sweeper, if
    keys of it are set in a file of the configuration or kept; and the mode, if a file asks for a
    sweep.
    """
    typed = list(plan.config.hydra.overrides.hydra)
    kept = [word for word in typed if not _is_of_sweep(word)]
    sweepers = [word for word in typed if _key(word).startswith(_SWEEPER)]
    point = next(iter(plan.space.corners()), {})
    for more in ([], sweepers):
        mode = _mode(plan, [*plan.space.overrides(point), *kept, *more])
        if mode is not None:
            break
    else:
        more, mode = [], RunMode.MULTIRUN  # the point is not complete: the function adds to it
    # The files that trials choose may differ in the mode that they ask for.
    chosen_by_trial = any(_is_group(plan, key) for key in plan.space.dimensions)
    force = [SINGLE] if mode == RunMode.MULTIRUN or chosen_by_trial else []
    return (*kept, *more, *force)


def _mode(plan: Plan, overrides: Sequence[str]) -> RunMode | None:
    """Return what Hydra does with a command line, or None if it refuses it."""
    try:
        config = plan.context.config_loader.load_configuration(
            plan.config.hydra.job.config_name, list(overrides), RunMode.RUN
        )
    except (HydraException, OmegaConfBaseException):
        return None
    return config.hydra.mode or RunMode.RUN


def _is_group(plan: Plan, key: str) -> bool:
    return bool(plan.context.config_loader.get_group_options(_key(key)))


def _is_of_sweep(override: str) -> bool:
    key = f"{_key(override).replace('/', '.')}."
    return key.removesuffix(".") not in _OF_EACH_RUN and any(
        key.startswith(f"{each}.") for each in _OF_THE_SWEEP
    )


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
