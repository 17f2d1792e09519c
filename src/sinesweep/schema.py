"""The sections of a run's configuration: which keys there are, their types and ranges.

The defaults live in conf/; this file says what is allowed. A section whose ``_target_`` is the
user's own class is handed to that class with the user's own keys, unchecked.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sinesweep.files import path_problem

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

# No setting is larger; beyond it, libraries fail with messages of their own.
LARGEST = 1e15
LARGEST_INTEGER = 2**31 - 1


def _printable(value: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        raise ValueError("must have no control characters and no undecodable bytes")
    return value


def _usable_path(value: str) -> str:
    if problem := path_problem(_printable(value)):
        raise ValueError(problem)
    return value


Count = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(min_length=1, max_length=250), AfterValidator(_printable)]
Address = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_printable)]
Folder = Annotated[str, Field(min_length=1), AfterValidator(_usable_path)]


WholeNumber = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
# Of the batches of a set: so many, or a fraction of them.
Batches = WholeNumber | Fraction
SomeBatches = Count | Annotated[float, Field(gt=0, le=1)]


def _time(value: object) -> object:
    units = {"weeks", "days", "hours", "minutes", "seconds"}
    numbers: list[object] = []
    if isinstance(value, str) and re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value):
        numbers = [float(part) for part in value.split(":")]
    elif isinstance(value, Mapping) and value.keys() <= units:
        numbers = list(value.values())
    is_long = all(type(n) in (int, float) and 0 <= n <= LARGEST for n in numbers) and any(numbers)  # pyright: ignore[reportOperatorIssue]
    if not is_long:
        raise ValueError(
            "must be longer than 0, as in 00:01:30:00 (days, hours, minutes, seconds) or "
            "{minutes: 90}"
        )
    return value


Duration = Annotated[str | dict[str, int | float], AfterValidator(_time)]


class _Closed(BaseModel):
    """A section whose keys are all known here."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Open(BaseModel):
    """A section that also takes keys of the class it names."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _numbers_are_bounded(self) -> _Open:
        for key, number in _numbers(self.model_extra or {}):
            if not (math.isfinite(number) and abs(number) <= LARGEST):
                raise ValueError(
                    f"{key} must be a finite number of at most {LARGEST:g}, but is {number}"
                )
        return self


def _numbers(section: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    """Yield the numbers in a section, those in its lists among them, each with its key."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", number) for inner, number in _numbers(value))
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, (int, float)):
                yield key, each


class Range(_Closed):
    """A closed interval that values are drawn from uniformly; low = high holds them fixed."""

    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, but low is {self.low:g}, high {self.high:g}")
        return self


class PeriodRange(Range):
    """Periods in steps: two samples a period are the least that a sine can be told from."""

    low: Annotated[float, Field(ge=2, le=LARGEST)]


class NonNegativeRange(Range):
    """A range without negative values."""

    low: NonNegative


class OwnClass(BaseModel):
    """A section for a class of the user's own, whose keys are that class's business."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
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
    lr: Annotated[float, Field(gt=0, le=1e38)]  # as far as single precision reaches
    eps: Fraction | None = None
    epsilon: Fraction | None = None
    weight_decay: NonNegative | None = None


class Scheduler(_Open):
    """A torch learning rate scheduler's class and arguments, without its optimizer."""

    target: Name = Field(alias="_target_")
    partial: Literal[True] = Field(alias="_partial_")
    # torch divides by these in the first epoch.
    step_size: Count | None = None
    t_max: Count | None = Field(default=None, alias="T_max")


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
    num_sanity_val_steps: Annotated[int, Field(ge=-1, le=LARGEST_INTEGER)]
    deterministic: bool | Literal["warn"]
    accumulate_grad_batches: Count = 1
    barebones: Literal[False] = False
    benchmark: bool | None = None
    detect_anomaly: bool = False
    fast_dev_run: bool | Count = False
    gradient_clip_algorithm: Literal["norm", "value"] | None = None
    inference_mode: bool = True
    limit_predict_batches: Batches | None = None
    limit_test_batches: Batches | None = None
    limit_train_batches: SomeBatches | None = None
    limit_val_batches: Batches | None = None
    log_every_n_steps: WholeNumber | None = None
    max_steps: Count | Literal[-1] = -1
    max_time: Duration | None = None
    min_epochs: Count | None = None
    min_steps: Count | None = None
    model_registry: Name | None = None
    num_nodes: Count = 1
    overfit_batches: Batches = 0
    profiler: Name | None = None
    reload_dataloaders_every_n_epochs: WholeNumber = 0
    sync_batchnorm: bool = False
    use_distributed_sampler: bool = True
    val_check_interval: SomeBatches | Duration | None = None


class Tracking(_Closed):
    """Where the run is recorded."""

    backend: Literal["mlflow", "none"]
    uri: Address | None
    root: Folder
    experiment: Name
    run_name: Name | None


class Artifacts(_Closed):
    """What is made once training has ended, and for which of a sweep's trials."""

    figures: bool
    model: bool
    trials: Literal["all", "none"] | Count


class Settings(_Closed):
    """The keys outside the sections."""

    seed: Seed
    objective: Name
    direction: Literal["minimize", "maximize"]
    returns: Annotated[list[Name], Field(min_length=1)] | None
    unfair: bool
    threads: Annotated[int, Field(ge=1, le=1024)]
    checkpoint_interval: NonNegative
    together: bool
    resume: Name | None

    @property
    def returned(self) -> list[str]:
        """The metrics that a sweep is told, in order."""
        return self.returns or [self.objective]
