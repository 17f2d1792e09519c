"""The schema of one run: types, ranges, and messages for whoever mistypes a key.

The defaults live in conf/; this file says what is allowed. A section whose ``_target_`` is the
user's own class is handed to that class with the user's own keys, unchecked.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sinesweep.errors import InputError

DAMPED_SINES = "sinesweep.task.datamodule.DampedSinesDataModule"
POST = "sinesweep.task.datamodule.PostDataModule"
FORECASTER = "sinesweep.task.module.Forecaster"

# What the reference task reports each epoch, and once at the end: what an objective can be.
EPOCH_METRICS = ("train/mae", "val/mae", "reference/val_mae")
FINAL_METRICS = ("test/mae", "reference/test_mae", "test/skill", "reference/skill")

# The arguments of pytorch_lightning.Trainer, listed so that a misspelt one is refused before
# Lightning is imported; a test compares them with the installed release.
TRAINER_ARGUMENTS = frozenset(
    (
        "accelerator",
        "strategy",
        "devices",
        "num_nodes",
        "precision",
        "fast_dev_run",
        "max_epochs",
        "min_epochs",
        "max_steps",
        "min_steps",
        "max_time",
        "limit_train_batches",
        "limit_val_batches",
        "limit_test_batches",
        "limit_predict_batches",
        "overfit_batches",
        "val_check_interval",
        "check_val_every_n_epoch",
        "num_sanity_val_steps",
        "log_every_n_steps",
        "accumulate_grad_batches",
        "gradient_clip_val",
        "gradient_clip_algorithm",
        "deterministic",
        "benchmark",
        "inference_mode",
        "use_distributed_sampler",
        "profiler",
        "detect_anomaly",
        "barebones",
        "sync_batchnorm",
        "reload_dataloaders_every_n_epochs",
        "model_registry",
    )
)
# Set by sinesweep itself: run directory, checkpoints, tracking and the screen have keys elsewhere.
TRAINER_RESERVED = frozenset(
    (
        "logger",
        "callbacks",
        "plugins",
        "enable_checkpointing",
        "enable_progress_bar",
        "enable_model_summary",
        "default_root_dir",
        "enable_autolog_hparams",
    )
)

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(min_length=1)]


class _Closed(BaseModel):
    """A section whose keys are all known here."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Open(BaseModel):
    """A section that also takes keys of the class it names."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class Range(_Closed):
    """A closed interval that values are drawn from uniformly; low = high holds them fixed."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, but low is {self.low:g}, high {self.high:g}")
        return self


class PeriodRange(Range):
    """Periods in steps: two samples a period are the least that a sine can be told from."""

    low: Annotated[float, Field(ge=2)]


class NonNegativeRange(Range):
    """A range without negative values."""

    low: NonNegative


class OwnClass(_Open):
    """A section for a class of the user's own."""

    target: Name = Field(alias="_target_")


class DampedSines(_Closed):
    """Keys of ``data=damped_sines``."""

    target: Name = Field(alias="_target_")
    num_series: Count
    val_series: Count
    test_series: Count
    period: PeriodRange
    decay: NonNegativeRange
    amplitude: NonNegativeRange
    phase: Range
    offset: Range
    noise: NonNegative
    noisy_targets: bool
    length: Count
    input_steps: Count
    output_steps: Count
    batch_size: Count
    seed: Seed

    @model_validator(mode="after")
    def _series_hold_the_window(self) -> DampedSines:
        window = self.input_steps + self.output_steps
        if window > self.length:
            raise ValueError(
                f"input_steps + output_steps <= length must hold, but {self.input_steps} + "
                f"{self.output_steps} > {self.length}: shorten them or raise data.length"
            )
        return self

    @model_validator(mode="after")
    def _patterns_differ(self) -> DampedSines:
        if self.amplitude.high == 0:
            raise ValueError("amplitude.high > 0 must hold, but is 0: every series would be flat")
        if all(r.low == r.high for r in (self.period, self.decay, self.phase)):
            raise ValueError(
                "one of period, decay and phase must have low < high, but all three are fixed: "
                "every series would have one pattern, and the test set would repeat the training"
            )
        return self


class PostData(_Closed):
    """Keys of ``data=post``."""

    target: Name = Field(alias="_target_")
    repeats: Count
    test_series: Count
    input_steps: Literal[50]
    output_steps: Literal[5]
    batch_size: Count
    seed: Seed


class Optimizer(_Open):
    """A torch optimizer's class and arguments, without its parameters."""

    target: Name = Field(alias="_target_")
    partial: Literal[True] = Field(alias="_partial_")
    lr: Positive


class Scheduler(_Open):
    """A torch learning rate scheduler's class and arguments, without its optimizer."""

    target: Name = Field(alias="_target_")
    partial: Literal[True] = Field(alias="_partial_")


class StackedLSTMModel(_Closed):
    """Keys of ``model=stacked_lstm``."""

    target: Name = Field(alias="_target_")
    layers: Count
    width: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    initialization: Literal["pytorch", "keras"]
    output_steps: Count
    optimizer: Optimizer
    scheduler: Scheduler


class Trainer(_Open):
    """Arguments of pytorch_lightning.Trainer; those named here are checked."""

    max_epochs: Count
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] | list[Annotated[int, Field(ge=0)]]
    strategy: Name
    precision: Literal[
        "32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "transformer-engine"
    ]
    gradient_clip_val: NonNegative | None
    check_val_every_n_epoch: Count
    num_sanity_val_steps: Annotated[int, Field(ge=-1)]
    deterministic: bool | Literal["warn"]


class Tracking(_Closed):
    """Where the run is recorded."""

    backend: Literal["mlflow", "none"]
    uri: Name | None
    root: Name
    experiment: Name
    run_name: Name | None


class Artifacts(_Closed):
    """What is made once training has ended."""

    figures: bool
    model: bool


class Settings(_Closed):
    """The keys outside the sections."""

    seed: Seed
    objective: Name
    direction: Literal["minimize", "maximize"]
    threads: Count
    checkpoint_interval: NonNegative
    resume: Name | None


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
    values = _resolve(cfg)
    sections: dict[str, type[BaseModel]] = dict(_SECTIONS)
    for name in ("data", "model"):
        sections[name] = _schema_of(values, name)
    problems: list[str] = []
    checked = {name: _check(sections[name], values, name, problems) for name in sections}
    rest = {key: value for key, value in values.items() if key not in sections}
    settings = _check(Settings, {"": rest}, "", problems)
    problems += _trainer_problems(values)
    # A section that the model refers to is wrong once, under its own name.
    problems = [
        p for p in problems if p.removeprefix("model.") not in problems or p[:6] != "model."
    ]
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
    return config


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``"; did you mean X?"`` for the nearest known word, or the list of known ones."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {prefix}.{close[0]}?" if prefix else f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}" if known else ""


def unknown_key(full_key: str, siblings: Iterable[str]) -> str:
    """Return the message for a key that the configuration does not have."""
    parent, _, key = full_key.rpartition(".")
    return f"{full_key}: there is no such key{nearest(key, siblings, prefix=parent)}"


def _without_hydra(cfg: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def _resolve(cfg: DictConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'config'}: {error.msg or error}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _schema_of(values: Mapping[str, Any], section: str) -> type[BaseModel]:
    content = values.get(section)
    target = content.get("_target_") if isinstance(content, Mapping) else None
    return _BY_TARGET.get(str(target), OwnClass)


def _check(
    schema: type[BaseModel], values: Mapping[str, Any], section: str, problems: list[str]
) -> BaseModel | None:
    if section not in values:
        problems.append(f"{section}: this section is missing")
        return None
    try:
        return schema.model_validate(values[section])
    except ValidationError as error:
        problems += _say(error, schema, section)
        return None


def _say(error: ValidationError, schema: type[BaseModel], section: str) -> Iterator[str]:
    rules: dict[str, list[str]] = {}
    inputs: dict[str, Any] = {}
    for problem in error.errors():
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
            rule = problem["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
            rules.setdefault(key, []).append(rule)
            inputs[key] = problem["input"]
    for key, said in rules.items():
        value = inputs[key]
        suffix = "" if isinstance(value, Mapping) else f", but is {value!r}"
        alternatives = [said[0], *(rule.removeprefix("must ") for rule in said[1:])]
        yield f"{key}: {' or '.join(alternatives)}{suffix}"


def _keys(schema: type[BaseModel]) -> set[str]:
    keys: set[str] = set()
    for name, info in schema.model_fields.items():
        keys.add(info.alias or name)
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys |= _keys(inner)
    return keys


def _siblings(schema: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        inner = schema.model_fields[part].annotation
        assert isinstance(inner, type)
        assert issubclass(inner, BaseModel)
        schema = inner
    return [info.alias or name for name, info in schema.model_fields.items()]


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
        raise InputError(f"direction: {objective} is to {best}, but direction is {direction!r}")
