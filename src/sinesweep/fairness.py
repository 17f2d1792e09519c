"""What a sweep of the reference task must not do: judge models by data that changes with them."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from sinesweep import config as schema
from sinesweep import preflight
from sinesweep.config import EPOCH_METRICS, FINAL_METRICS, Config, nearest
from sinesweep.errors import InputError
from sinesweep.schema import Trainer

PARAMETERS = "parameters"  # not a metric, but something to be traded against one

_FAIR = {
    "val/mae": "reference/val_mae",
    "test/mae": "reference/test_mae",
    "test/skill": "reference/skill",
}
# What a sweep is about, and where it is recorded.
_ONE_FOR_ALL = ("objective", "direction", "returns", "unfair", "resume", "tracking", "artifacts")
# Validation and test series do not depend on these.
_HARMLESS = ("data.num_series", "data.batch_size")


def check_sweep(
    configs: Sequence[DictConfig], swept: Sequence[str], directions: Sequence[str]
) -> None:
    """Refuse a sweep of ``python src/train.py`` that could not succeed, or would mislead.

    Args:
        configs: samples from the ends of the search space.
        swept: the keys that are swept.
        directions: of the values that the sweep expects.

    Raises:
        InputError: naming the key, the rule and the fix.
    """
    _refuse_sweeps_of_the_question(swept)
    for config in configs:
        overrides = OmegaConf.select(config, "hydra.overrides.task") or ()
        schema.refuse_without_effect(config, overrides)
    checked = [schema.parse(config) for config in configs]
    first = checked[0]
    if first.settings.resume is not None:
        raise InputError(
            f"resume: must name a run of its own, without -m, but is {first.settings.resume!r} in "
            "a sweep: repeat the sweep's command to continue the sweep, or leave -m out"
        )
    preflight.check(first)
    for config in checked:
        _refuse_several_processes(config.trainer)
    _check_directions(first, directions)
    _refuse_several_objectives(checked)
    for config in checked:
        refuse_contradiction(config, directions)
    if not first.settings.unfair:
        for name in first.settings.returned:
            _refuse_unfair(name, swept)


def _refuse_several_processes(trainer: Trainer) -> None:
    devices = trainer.devices
    if devices != "auto" and devices != 1 and not (isinstance(devices, list) and len(devices) == 1):
        raise InputError(
            "trainer.devices: must be 1 in a sweep, which has many trials at once instead, but is "
            f"{devices}: leave it out, or train one run without -m"
        )
    for key, value, one in (
        ("strategy", trainer.strategy, ("auto", "single_device")),
        ("num_nodes", trainer.num_nodes, (1,)),
    ):
        if value not in one:
            raise InputError(
                f"trainer.{key}: must be {one[0]} in a sweep, whose trials train in one process "
                f"each, but is {value}: leave it out, or train one run without -m"
            )
    if devices == "auto" and preflight.device_count(trainer.accelerator) > 1:
        raise InputError(
            "trainer.devices: must be 1 in a sweep, but auto takes all "
            f"{preflight.device_count(trainer.accelerator)} devices of this machine for each "
            "trial: give trainer.devices=1"
        )


def refuse_contradiction(config: Config, directions: Sequence[str]) -> None:
    """Refuse a run whose best epoch would be chosen against the sweep's direction.

    Args:
        config: of the run, or of a trial.
        directions: ``hydra.sweeper.direction`` or ``directions``, one for each returned metric.

    Raises:
        InputError: the direction of the run's objective is another one.
    """
    names, settings = config.settings.returned, config.settings
    if len(names) != len(directions) or settings.objective not in names:
        return
    asked = directions[names.index(settings.objective)]
    if asked != settings.direction:
        raise InputError(
            f"hydra.sweeper.direction: must be what direction says of {settings.objective}, which "
            f"chooses a run's best epoch, but is {asked!r}, and direction is "
            f"{settings.direction!r}: give direction={asked}, or leave hydra.sweeper.direction out"
        )


def _refuse_sweeps_of_the_question(swept: Sequence[str]) -> None:
    """Refuse to sweep what says how trials are judged and recorded: it is one for all of them."""
    for key in swept:
        name = key.partition("@")[0].replace("/", ".")
        if name.partition(".")[0] in _ONE_FOR_ALL:
            raise InputError(
                f"{name}: must be the same in every trial, since trials are judged and recorded "
                f"by it, but {name} is swept: give it one value, or run a sweep for each"
            )


def _refuse_several_objectives(configs: Sequence[Config]) -> None:
    first = configs[0].settings
    for config in configs:
        for key in ("objective", "returns"):
            one, other = getattr(first, key), getattr(config.settings, key)
            if one != other:
                raise InputError(
                    f"{key}: must be the same in every trial, but is {one!r} in one and {other!r} "
                    "in another: give it one value, or run a sweep for each"
                )


def changes_data(key: str) -> bool:
    """Return whether models are measured on other series where a key has another value."""
    return key.split(".")[0] == "data" and key not in _HARMLESS


def _check_directions(config: Config, directions: Sequence[str]) -> None:
    names = config.settings.returned
    if len(names) != len(directions):
        raise InputError(
            f"returns: must name a metric for each of the sweep's {len(directions)} directions, "
            f"but names {len(names)}: {', '.join(names)}"
        )
    if not config.own_task:
        return
    known = (*EPOCH_METRICS, *FINAL_METRICS, PARAMETERS)
    for name in names:
        if name not in known:
            raise InputError(
                f"returns: must be metrics that the task logs, but one is {name!r}"
                f"{nearest(name, known)}"
            )
    best = ["maximize" if name.endswith("skill") else "minimize" for name in names]
    key = "direction" if len(names) == 1 else "directions"
    for name, direction, right in zip(names, directions, best, strict=True):
        if direction != right:
            told = right if len(names) == 1 else f"[{','.join(best)}]"
            raise InputError(
                f"hydra.sweeper.{key}: must be {right} for {name}, but is {direction!r}: give "
                f"hydra.sweeper.{key}={told}"
            )


def _refuse_unfair(objective: str, swept: Sequence[str]) -> None:
    changing = [key for key in swept if changes_data(key)]
    if objective in _FAIR and changing:
        raise InputError(
            f"objective: must be measured on data that stays the same, but {changing[0]} is swept "
            f"and changes the series that {objective} is measured on: trials would be chosen for "
            f"easy data. Use objective={_FAIR[objective]}, or say unfair=true"
        )
