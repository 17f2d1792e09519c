"""One run, checked: the composed configuration against the schema, and what is said of mistakes."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sinesweep.errors import InputError
from sinesweep.redaction import learn_tree
from sinesweep.schema import (
    TRAINER_ARGUMENTS,
    TRAINER_RESERVED,
    Artifacts,
    DampedSines,
    Optimizer,
    OwnClass,
    PostData,
    Scheduler,
    Settings,
    StackedLSTMModel,
    Tracking,
    Trainer,
)

DAMPED_SINES = "sinesweep.task.datamodule.DampedSinesDataModule"
POST = "sinesweep.task.datamodule.PostDataModule"
FORECASTER = "sinesweep.task.module.Forecaster"

# What the reference task reports each epoch, and once at the end: what an objective can be.
EPOCH_METRICS = ("train/mae", "val/mae", "reference/val_mae")
_OF_VALIDATION = ("val/", "val_", "valid/", "valid_", "validation/", "reference/val_")
FINAL_METRICS = ("test/mae", "reference/test_mae", "test/skill", "reference/skill")


@dataclass(frozen=True)
class Config:
    """One run, checked.

    Attributes:
        settings: the keys outside the sections.
        trainer, tracking, artifacts: the sections of those names.
        values: every key, resolved: what ``data``, ``model`` and the rest are built from.
        params: dotted key to value, each key once (a section that another one refers to is listed
            under its own name only).
    """

    settings: Settings
    trainer: Trainer
    tracking: Tracking
    artifacts: Artifacts
    values: Mapping[str, Any]
    params: Mapping[str, Any]

    @property
    def own_task(self) -> bool:
        """Whether data and model are the reference task's, so that its metrics are known."""
        return (
            self.values["data"]["_target_"] in (DAMPED_SINES, POST)
            and self.values["model"]["_target_"] == FORECASTER
        )


Schema = TypeVar("Schema", bound=BaseModel)

_SECTION_TYPES = ("model_type", "model_attributes_type", "dict_type", "mapping_type")
_SUBJECT = re.compile(r"^(Input|Value|String|List|Tuple|Mapping|Dictionary) should")
_NOT_FOUND = re.compile(r"Interpolation key '(.+?)' not found")
_LONGEST_SHOWN = 200  # characters

_SECTIONS: dict[str, type[BaseModel]] = {
    "optimizer": Optimizer,
    "scheduler": Scheduler,
    "trainer": Trainer,
    "tracking": Tracking,
    "artifacts": Artifacts,
}
_BY_TARGET: dict[str, type[BaseModel]] = {
    DAMPED_SINES: DampedSines,
    POST: PostData,
    FORECASTER: StackedLSTMModel,
}


def parse(cfg: DictConfig) -> Config:
    """Check a composed configuration and freeze it.

    Raises:
        InputError: naming each wrong key with its rule and value.
    """
    cfg = _without_hydra(cfg)
    there = set(cfg)
    if missing := [name for name in (*_SECTIONS, "data", "model") if name not in there]:
        raise InputError("\n".join(map(missing_section, missing)))
    values = _resolve(cfg)
    learn_tree(values)
    sections: dict[str, type[BaseModel]] = dict(_SECTIONS)
    for name in ("data", "model"):
        sections[name] = _schema_of(values, name)
    problems: list[str] = []
    checked = {
        name: _check(sections[name], values, name, problems, repeated=_repeated(cfg, name))
        for name in sections
    }
    rest = {key: value for key, value in values.items() if key not in sections}
    settings = _check(Settings, {"": rest}, "", problems)
    problems += _trainer_problems(values)
    if problems:
        raise InputError("\n".join(problems))
    assert isinstance(settings, Settings)
    config = Config(
        settings=settings,
        trainer=checked["trainer"],  # pyright: ignore[reportArgumentType] # its section's schema
        tracking=checked["tracking"],  # pyright: ignore[reportArgumentType]
        artifacts=checked["artifacts"],  # pyright: ignore[reportArgumentType]
        values=values,
        params=dict(_flatten(cfg)),
    )
    _check_objective(config)
    _check_validated(config)
    return config


def check_section(schema: type[Schema], values: Mapping[str, Any], section: str) -> Schema:
    """Check one section by itself.

    Raises:
        InputError: naming each wrong key with its rule and value.
    """
    problems: list[str] = []
    checked = _check(schema, {section: values}, section, problems)
    if problems:
        raise InputError("\n".join(problems))
    assert isinstance(checked, schema)
    return checked


def refuse_without_effect(cfg: DictConfig, overrides: Iterable[str]) -> None:
    """Refuse an override such as ``model={}``: Hydra merges it, which leaves the section as it is.

    Raises:
        InputError: naming the key.
    """
    suspects = [each for each in overrides if "{}" in each.replace(" ", "")]
    for override in OverridesParser.create().parse_overrides(suspects) if suspects else ():
        key = override.key_or_group.replace("/", ".")
        for emptied in _emptied(key, override.value()):
            found = OmegaConf.select(cfg, emptied, throw_on_resolution_failure=False)
            if isinstance(found, DictConfig) and len(found):
                raise InputError(
                    f"{emptied}: must have keys, but is {{}}, which Hydra merges with what is "
                    "there, so that nothing changes: leave it out, or give keys"
                )


def _emptied(key: str, value: object) -> Iterator[str]:
    """Yield the keys of the empty sections in an override's value."""
    if isinstance(value, Mapping):
        if not value:
            yield key
        for inner, each in value.items():
            yield from _emptied(f"{key}.{inner}", each)


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``"; did you mean X?"`` for the nearest known word, or the list of known ones."""
    known, word = sorted(known), word[:_LONGEST_SHOWN]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    close = close or [each for each in known if word and each.startswith(word)]
    if close:
        return f"; did you mean {prefix}.{close[0]}?" if prefix else f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def unknown_key(full_key: str, siblings: Iterable[str]) -> str:
    """Return the message for a key that the configuration does not have."""
    parent, _, key = full_key.rpartition(".")
    return f"{full_key}: there is no such key{nearest(key, siblings, prefix=parent)}"


def missing_section(name: str) -> str:
    """Return the message for a section that the configuration does not have."""
    return f"{name}: this section is missing: leave ~{name} out, or give the section"


def unresolved(error: OmegaConfBaseException) -> str:
    """Return the message for a value that cannot be resolved."""
    key, text = error.full_key or "config", str(error.msg or error).splitlines()[0]
    if not (found := _NOT_FOUND.search(text)):
        return f"{key}: {text}"
    wanted = found[1]
    return (
        f"{key}: {text}: give {wanted} a value (leave ~{wanted} out), or give {key} a value of its "
        "own"
    )


def _without_hydra(cfg: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(unresolved(error)) from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _schema_of(values: Mapping[str, Any], section: str) -> type[BaseModel]:
    content = values.get(section)
    target = content.get("_target_") if isinstance(content, Mapping) else None
    return _BY_TARGET.get(str(target), OwnClass)


def _repeated(cfg: DictConfig, section: str) -> set[str]:
    """Return the keys that only repeat another section, which is checked under its own name."""
    node = cfg.get(section)
    if not isinstance(node, DictConfig):
        return set()
    raw = OmegaConf.to_container(node, resolve=False)
    assert isinstance(raw, dict)
    return {str(key) for key, value in raw.items() if key in _SECTIONS and value == f"${{{key}}}"}


def _check(
    schema: type[BaseModel],
    values: Mapping[str, Any],
    section: str,
    problems: list[str],
    repeated: Container[str] = (),
) -> BaseModel | None:
    try:
        return schema.model_validate(values[section])
    except ValidationError as error:
        wrong = [problem for problem in error.errors() if _top(problem) not in repeated]
        problems += _say(wrong, schema, section)
        return None


def _top(problem: ErrorDetails) -> str:
    return str(problem["loc"][0]) if problem["loc"] else ""


def _say(wrong: Iterable[ErrorDetails], schema: type[BaseModel], section: str) -> Iterator[str]:
    rules: dict[str, list[str]] = {}
    inputs: dict[str, Any] = {}
    for problem in wrong:
        # The branches of a union (int, list, "auto") carry no key of their own.
        path = [str(part) for part in problem["loc"] if str(part) in _keys(schema)]
        key = ".".join([section, *path] if section else path)
        if problem["type"] == "extra_forbidden":
            *parents, key = [str(part) for part in problem["loc"]]
            yield unknown_key(
                ".".join(filter(None, [section, *parents, key])), _siblings(schema, parents)
            )
        elif problem["type"] == "missing":
            missing = [section, *map(str, problem["loc"])]
            yield f"{'.'.join(filter(None, missing))}: this key is missing"
        else:
            rules.setdefault(key, []).append(rule(problem))
            inputs[key] = problem["input"]
    for key, said in rules.items():
        value = inputs[key]
        is_said = isinstance(value, Mapping) or ", but " in said[-1]
        suffix = "" if is_said else f", but is {shown(value)}"
        alternatives = [said[0], *(other.removeprefix("must ") for other in said[1:])]
        yield f"{key}: {' or '.join(alternatives)}{suffix}"


def rule(problem: ErrorDetails) -> str:
    """Return the rule that a value breaks, without the names of classes and patterns."""
    if problem["type"] in _SECTION_TYPES:
        return "must be a section of keys"
    text = problem["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    return _SUBJECT.sub("must", text, count=1)


def shown(value: object) -> str:
    """Return a value for a message, which a long one is not to fill."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}... ({len(text)} long)"


def _keys(schema: type[BaseModel]) -> set[str]:
    keys: set[str] = set()
    for name, info in schema.model_fields.items():
        keys.add(info.alias or name)
        if inner := _section(info.annotation):
            keys |= _keys(inner)
    return keys


def _siblings(schema: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = schema.model_fields.get(part)
        schema = (field and _section(field.annotation)) or schema  # else a branch of a union
    return [info.alias or name for name, info in schema.model_fields.items()]


def _section(annotation: object) -> type[BaseModel] | None:
    """Return the section that a key holds, also if the key may be null."""
    for each in (annotation, *typing.get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _trainer_problems(values: Mapping[str, Any]) -> Iterator[str]:
    for key in values.get("trainer") or {}:
        if key in TRAINER_RESERVED:
            yield f"trainer.{key}: sinesweep sets this argument itself; remove the key"
        elif key not in TRAINER_ARGUMENTS:
            yield unknown_key(f"trainer.{key}", TRAINER_ARGUMENTS)


def _flatten(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in node:
        name = f"{prefix}{key}"
        value = node[key]
        if isinstance(value, DictConfig):
            if not OmegaConf.is_interpolation(node, str(key)):
                yield from _flatten(value, f"{name}.")
        elif OmegaConf.is_config(value):
            yield name, OmegaConf.to_container(value, resolve=True)
        else:
            yield name, value


def _check_validated(config: Config) -> None:
    """Refuse an objective of validations if there are none, and batches that cannot be fixed."""
    trainer, objective = config.trainer, config.settings.objective
    is_validated = objective.startswith(_OF_VALIDATION) and not trainer.fast_dev_run
    if is_validated and trainer.check_val_every_n_epoch > trainer.max_epochs:
        raise InputError(
            "trainer.check_val_every_n_epoch: must be at most max_epochs for the objective "
            f"{objective}, which validations log, but {trainer.check_val_every_n_epoch} > "
            f"{trainer.max_epochs}"
        )
    if is_validated and trainer.limit_val_batches == 0:
        raise InputError(
            f"trainer.limit_val_batches: must be more than 0 for the objective {objective}, which "
            "validations log: leave the key out, or choose another objective"
        )
    if trainer.overfit_batches and config.values["data"]["_target_"] in (DAMPED_SINES, POST):
        raise InputError(
            "trainer.overfit_batches: must be 0 with the data of the reference task, whose batches "
            "differ in each epoch: to fit a few series, lower the number of series or repeats"
        )


def _check_objective(config: Config) -> None:
    objective, direction = config.settings.objective, config.settings.direction
    if not config.own_task:
        return
    if objective not in EPOCH_METRICS + FINAL_METRICS:
        raise InputError(
            f"objective: must be a metric that the task logs, but is {objective!r}"
            f"{nearest(objective, EPOCH_METRICS + FINAL_METRICS)}"
        )
    best = "maximize" if objective.endswith("skill") else "minimize"
    if direction != best:
        raise InputError(
            f"direction: must be {best} for {objective}, but is {direction!r}: give "
            f"direction={best}"
        )
