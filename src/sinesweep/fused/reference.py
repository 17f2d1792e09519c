"""The reference task's fused form, as ``hydra.sweeper.fused`` names it: light until it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from sinesweep.config import Config, parse

if TYPE_CHECKING:
    from sinesweep.fused.training import FusedTraining

# A trial's own configuration says that it was trained so, for whoever runs it again.
overrides = ("together=true",)

# What a worker needs to train trials together, and workers that train one at a time do not.
preload = ("sinesweep.fused.training", "sinesweep.fused.compiled")

# What a fused training does as a Trainer with these would; any other argument is Lightning's alone.
_ANY = ("max_epochs", "gradient_clip_val", "deterministic")
_ONLY = {
    "accelerator": ("auto", "cpu", "gpu", "cuda"),
    "devices": (1,),
    "strategy": ("auto",),
    "precision": ("32-true", "64-true"),
    "check_val_every_n_epoch": (1,),
    "num_sanity_val_steps": (0,),
    "gradient_clip_algorithm": ("norm",),
}


def refusal(config: DictConfig) -> str | None:
    """Return why a trial cannot be trained together with others, or None where it can.

    Raises:
        InputError: the configuration is wrong.
    """
    return refusal_of(parse(config))


def refusal_of(config: Config) -> str | None:
    """Return why a checked configuration has no fused form, or None where it has one."""
    if not config.own_task:
        return f"{config.values['model']['_target_']} has no fused form"
    for key, value in config.values["trainer"].items():
        if value is None or key in _ANY:
            continue
        if value not in _ONLY.get(key, ()):
            return f"trainer.{key}={value} is for a Trainer of its own"
    return None


def is_trained_together(config: Config) -> bool:
    """Whether a run of its own is trained as among others, and so keeps its best epoch alone."""
    return config.settings.together and refusal_of(config) is None


def make() -> FusedTraining:
    """Return the training, empty."""
    from sinesweep.fused.training import FusedTraining

    return FusedTraining()
