"""The checked form of ``hydra.sweeper``; its defaults are in the plugin's dataclass."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sinesweep.config import check_section
from sinesweep.errors import InputError
from sinesweep.redaction import is_storable, sanitize
from sinesweep.schema import LARGEST, LARGEST_INTEGER, Address, Folder, Name


def _number(kind: type[int] | type[float]) -> BeforeValidator:
    """Read a number that is written as text, as an environment variable's is."""

    def read(value: Any) -> Any:
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            return value

    return BeforeValidator(read)


Direction = Literal["minimize", "maximize"]
Directions = Annotated[list[Direction], Field(min_length=1)]
Whole = Annotated[int, _number(int), Field(le=LARGEST_INTEGER)]
Real = Annotated[float, _number(float), Field(le=LARGEST)]
Count = Annotated[Whole, Field(ge=1)]
Processes = Annotated[Whole, Field(le=4096)]
Seconds = Annotated[Real, Field(gt=0)]
Switch = Annotated[bool, Field(strict=False)]  # yes and no, on and off are said, too


def _folder_name(value: str) -> str:
    if "/" in value or value.startswith(".") or len(os.fsencode(value)) > _LONGEST_FOLDER:
        raise ValueError(
            f"must be one folder's name of at most {_LONGEST_FOLDER} bytes, without a slash and "
            "without a dot at its beginning"
        )
    return value


_LONGEST_FOLDER = 200
# So that a sweep cannot reach outside of its root.
FolderName = Annotated[Name, AfterValidator(_folder_name)]
# Keys of hydra-optuna-sweeper 1.0 to 1.2.
_RENAMED = {
    "search_space": "params, in the override grammar: params: {x: 'interval(0, 1)'}",
    "optuna_config": "direction, storage, study_name, n_trials, n_jobs and sampler, without "
    "optuna_config",
}
_ADDRESS = re.compile(r"auto|[^/:\s]+:\d{1,5}")
GRID = "sinesweep.sweep.sampling.Grid"
DEFAULT_SAMPLER = "optuna.samplers.TPESampler"  # what the plugin's preset tpe makes
DEFAULT_TRIALS = 20  # as hydra-optuna-sweeper has it, where there is no end of points


def _as_list(value: Any) -> Any:
    return value if value is None or isinstance(value, list) else [value]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Target(BaseModel):
    """A class by its ``_target_`` and that class's own arguments; null is left to its default."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    target: Name = Field(alias="_target_")

    @property
    def is_grid(self) -> bool:
        """Whether it is a sampler of every combination, which needs to know the space."""
        return self.target in (GRID, "optuna.samplers.GridSampler")

    @property
    def values(self) -> dict[str, Any]:
        """The section as Hydra instantiates it."""
        arguments = (self.model_extra or {}).items()
        # hydra-optuna-sweeper's grid is a partial, which waits for the space; it is known here.
        kept = {k: v for k, v in arguments if v is not None and k != "_partial_"}
        return {"_target_": self.target, **kept}


class TrackingSettings(BaseModel):
    """Which MLflow tracker takes the sweep; its trials have names of their own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    backend: Literal["mlflow", "none"] = "mlflow"
    uri: Address | None = None
    root: Folder = "mlruns"
    experiment: Name = "sinesweep"
    run_name: Name | None = None  # of a single run


def _whole_above_one(value: float) -> float:
    if value > 1 and value != int(value):
        raise ValueError("must be a whole number where it is above 1")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(
            "must be auto, or host:port of the cluster (with ray:// workers could not connect back)"
        )
    return value


Amount = Annotated[float, Field(gt=0, le=LARGEST_INTEGER), AfterValidator(_whole_above_one)]


class RaySettings(_Closed):
    """On which cluster workers are actors, and what each of them takes of it."""

    address: Annotated[str, AfterValidator(_address)] | None
    num_cpus: Amount
    num_gpus: Annotated[float, Field(ge=0, le=LARGEST_INTEGER), AfterValidator(_whole_above_one)]
    resources: Mapping[Name, Amount] | None
    runtime_env: Mapping[str, Any] | None

    @model_validator(mode="after")
    def _cpus_have_keys_of_their_own(self) -> RaySettings:
        if taken := sorted({"CPU", "GPU", "memory"} & (self.resources or {}).keys()):
            raise ValueError(
                f"resources must be custom ones, but name {', '.join(taken)}: use num_cpus and "
                "num_gpus"
            )
        return self

    @property
    def demand(self) -> dict[str, float]:
        """What a worker takes, by the names that Ray has for it."""
        found = {"CPU": self.num_cpus, "GPU": self.num_gpus, **(self.resources or {})}
        return {name: amount for name, amount in found.items() if amount}


class Settings(_Closed):
    """Keys of ``hydra.sweeper``; see the plugin's dataclass for what they mean."""

    sampler: Target
    pruner: Target
    direction: Annotated[Directions | None, BeforeValidator(_as_list)]
    directions: Directions | None
    params: Mapping[str, Any] | None
    custom_search_space: Name | None
    repeats: Count
    seed_key: Name
    deduplicate: Switch
    n_trials: Count | None
    timeout: Seconds | None
    terminator: Target | None
    workers: Annotated[Processes, Field(ge=1)] | None
    slots: Annotated[Whole, Field(ge=1, le=65536)]
    fused: Name | None
    unfused: Literal["serial", "refuse"]
    n_jobs: Annotated[Processes, Field(ge=-1)] | None
    backend: Literal["local", "ray", "inline"]
    ray: RaySettings
    on_failure: Literal["continue", "abort"]
    retries: Annotated[Whole, Field(ge=0)]
    max_failure_rate: Annotated[Real, Field(ge=0, le=1)]
    trial_timeout: Seconds | None
    study_name: FolderName | None
    storage: Address | Target | None
    lease: Seconds
    root: Folder
    tracking: TrackingSettings | None
    stream: Switch
    report: Switch
    preload: list[Name]
    redacted_keys: list[Name]
    visible_keys: list[Name]
    check: Name | None

    @model_validator(mode="after")
    def _repeats_are_not_pruned(self) -> Settings:
        if len(self.objectives) > 1 and not self.pruner.target.endswith("NopPruner"):
            raise ValueError(
                "pruner: must be none where a function has several objectives: Optuna cannot tell "
                "which of them to prune by; use hydra/sweeper/pruner=none"
            )
        return self

    @model_validator(mode="after")
    def _directions_agree(self) -> Settings:
        one, several = self.direction, self.directions
        if one is None or several is None or one == several:
            return self
        # One direction may be that of a run, whose objective is among the values that it returns.
        if len(one) > 1 or len(several) == 1 or one[0] not in several:
            raise ValueError(
                f"direction: must agree with directions, but direction is {_shown(one)} and "
                f"directions is {_shown(several)}: give hydra.sweeper.direction={_shown(several)} "
                "alone"
            )
        return self

    @model_validator(mode="after")
    def _inline_runs_one_trial_at_a_time(self) -> Settings:
        if self.backend != "inline":
            return self
        rule = "with backend=inline, which runs one trial after another in the command's process"
        for key, value in (("workers", self.asked or 1), ("slots", self.slots)):
            if value != 1:
                raise ValueError(
                    f"{key}: must be 1 {rule}, but is {value}: give hydra.sweeper.{key}=1"
                )
        if self.trial_timeout is not None:
            raise ValueError(
                f"trial_timeout: must be null {rule} and cannot kill that, but is "
                f"{self.trial_timeout:g}: give hydra.sweeper.trial_timeout=null"
            )
        return self

    @property
    def objectives(self) -> tuple[Direction, ...]:
        """A direction for each value that the function returns."""
        return tuple(self.directions or self.direction or ("minimize",))

    @property
    def asked(self) -> int | None:
        """How many workers are asked for, or None: as many as there is room for."""
        return self.workers or (self.n_jobs if self.n_jobs and self.n_jobs > 0 else None)

    @property
    def processes(self) -> int:
        """How many workers to start."""
        if self.backend == "inline":
            return 1
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.asked or cores or 1

    @property
    def is_tracked(self) -> bool:
        """Whether a tracker takes the sweep."""
        return self.tracking is not None and self.tracking.backend == "mlflow"


def _shown(directions: Sequence[str]) -> str:
    return directions[0] if len(directions) == 1 else f"[{','.join(directions)}]"


def parse(settings: Mapping[str, Any]) -> Settings:
    """Check what Hydra composed under ``hydra.sweeper``.

    Raises:
        InputError: naming each wrong key with its rule and value.
    """
    try:
        plain = {key: _plain(value) for key, value in settings.items()}
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'hydra.sweeper'}: {error.msg or error}") from error
    _refuse_unstorable(plain, "hydra.sweeper")
    _refuse_old_names(plain)
    return check_section(Settings, plain, "hydra.sweeper")


def _refuse_unstorable(value: Any, key: str) -> None:
    """Refuse text that folders, databases and tables cannot take.

    Raises:
        InputError: naming its key.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _refuse_unstorable(inner, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_unstorable(inner, key)
    elif isinstance(value, str) and not is_storable(value):
        raise InputError(
            f"{sanitize(key)}: must be text without control characters and undecodable bytes, but "
            f"is {sanitize(value)!r}"
        )


def _refuse_old_names(keys: dict[str, Any]) -> None:
    """Take out keys of older releases of hydra-optuna-sweeper, and say what replaces those in use.

    Raises:
        InputError: naming the key and the one that replaced it.
    """
    for old, new in _RENAMED.items():
        if keys.pop(old, None) is not None:
            raise InputError(
                f"hydra.sweeper.{old}: is a key of an older hydra-optuna-sweeper, which later "
                f"releases and sinesweep call {new}"
            )


def _plain(value: Any) -> Any:
    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value
