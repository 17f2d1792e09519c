"""The checked form of ``hydra.sweeper``; its defaults are in the plugin's dataclass."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sinesweep.config import check_section
from sinesweep.errors import InputError

Direction = Literal["minimize", "maximize"]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]
# One folder's name, so that a sweep cannot reach outside of its root.
FolderName = Annotated[str, Field(pattern=r"^[^/.][^/]*$", max_length=200)]
GRID = "sinesweep.sweep.sampling.Grid"
DEFAULT_SAMPLER = "optuna.samplers.TPESampler"  # what the plugin's preset tpe makes
DEFAULT_TRIALS = 20  # as hydra-optuna-sweeper has it, where there is no end of points


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


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
    """Which MLflow tracker takes the sweep; other keys of the application's section are its own."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)
    backend: Literal["mlflow", "none"] = "mlflow"
    uri: Name | None = None
    root: Name = "mlruns"
    experiment: Name = "sinesweep"


class Settings(_Closed):
    """Keys of ``hydra.sweeper``; see the plugin's dataclass for what they mean."""

    sampler: Target
    pruner: Target
    direction: Annotated[list[Direction], BeforeValidator(_as_list), Field(min_length=1)]
    directions: Annotated[list[Direction], Field(min_length=1)] | None
    params: Mapping[str, Any] | None
    custom_search_space: Name | None
    repeats: Count
    seed_key: Name
    deduplicate: bool
    n_trials: Count | None
    timeout: Seconds | None
    terminator: Target | None
    workers: Count | None
    slots: Count
    fused: Name | None
    unfused: Literal["serial", "refuse"]
    n_jobs: Annotated[int, Field(ge=-1)] | None
    on_failure: Literal["continue", "abort"]
    retries: Annotated[int, Field(ge=0)]
    max_failure_rate: Annotated[float, Field(ge=0, le=1)]
    trial_timeout: Seconds | None
    study_name: FolderName | None
    storage: Name | Target | None
    lease: Seconds
    root: Name
    tracking: TrackingSettings | None
    stream: bool
    report: bool
    preload: list[Name]
    check: Name | None

    @model_validator(mode="after")
    def _repeats_are_not_pruned(self) -> Settings:
        if len(self.objectives) > 1 and not self.pruner.target.endswith("NopPruner"):
            raise ValueError(
                "pruner: must be none where a function has several objectives: Optuna cannot tell "
                "which of them to prune by; use hydra/sweeper/pruner=none"
            )
        return self

    @property
    def objectives(self) -> tuple[Direction, ...]:
        """A direction for each value that the function returns."""
        return tuple(self.directions or self.direction)

    @property
    def processes(self) -> int:
        """How many workers to start."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        jobs = self.n_jobs if self.n_jobs and self.n_jobs > 0 else None
        return self.workers or jobs or cores or 1

    @property
    def is_tracked(self) -> bool:
        """Whether a tracker takes the sweep."""
        return self.tracking is not None and self.tracking.backend == "mlflow"


def parse(settings: Mapping[str, Any]) -> Settings:
    """Check what Hydra composed under ``hydra.sweeper``.

    Raises:
        InputError: naming each wrong key with its rule and value.
    """
    try:
        plain = {key: _plain(value) for key, value in settings.items()}
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key or 'hydra.sweeper'}: {error.msg or error}") from error
    return check_section(Settings, plain, "hydra.sweeper")


def _plain(value: Any) -> Any:
    if isinstance(value, (DictConfig, ListConfig)):
        return OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    return value
