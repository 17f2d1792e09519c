"""The sweeper's presets beside those of hydra-optuna-sweeper, which have the same path."""

from __future__ import annotations

from collections.abc import Iterator

import hydra
import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig
from runner import ROOT

from hydra_plugins.sinesweep_sweeper._config import register
from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.sweep.settings import Target

PATH = "hydra/sweeper/sampler"
SWEEPS = ROOT / "sweeps"


def composed(*overrides: str) -> DictConfig:
    """Return ``hydra.sweeper`` as ``python src/train.py`` has it."""
    with hydra.initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        return hydra.compose("train", list(overrides), return_hydra_config=True).hydra.sweeper


@pytest.fixture
def store() -> Iterator[ConfigStore]:
    """Return Hydra's store, empty, and leave it as it was."""
    found = ConfigStore.instance()
    kept, found.repo = found.repo, {}
    try:
        yield found
    finally:
        found.repo = kept


def test_another_sweepers_preset_is_left(store: ConfigStore):
    """A preset that is there already stays, and those that are not are added."""
    theirs = {"_target_": "optuna.samplers.TPESampler", "seed": 7}
    store.store(group=PATH, name="tpe", node=theirs, provider="optuna_sweeper")
    register()
    assert store.load(f"{PATH}/tpe.yaml").provider == "optuna_sweeper"
    assert store.load(f"{PATH}/random.yaml").provider == "sinesweep"
    assert store.load("hydra/sweeper/pruner/asha.yaml").provider == "sinesweep"


def test_partial_grid_is_made_whole():
    """hydra-optuna-sweeper's grid waits for its space; here it is known when it is made."""
    target = Target.model_validate({"_target_": "optuna.samplers.GridSampler", "_partial_": True})
    assert target.is_grid
    assert target.values == {"_target_": "optuna.samplers.GridSampler"}


@pytest.mark.parametrize("pruner", ["none", "median", "asha", "hyperband", "patient"])
@pytest.mark.parametrize("sweep", sorted(path.stem for path in SWEEPS.glob("*.yaml")))
def test_pruner_of_the_command_line_wins(sweep: str, pruner: str):
    """Whatever a sweep's file prunes by, a preset that is typed is composed as it is alone."""
    alone = ConfigStore.instance().load(f"hydra/sweeper/pruner/{pruner}.yaml").node
    assert composed(f"sweeps={sweep}", f"hydra/sweeper/pruner={pruner}").pruner == alone


def test_pruner_of_a_sweeps_file():
    """Where nothing is typed a sweep's file decides, and its arguments can be typed alone."""
    pruner = composed("sweeps=quick", "hydra.sweeper.pruner.min_resource=1").pruner
    assert pruner._target_ == "optuna.pruners.SuccessiveHalvingPruner"
    assert (pruner.min_resource, pruner.reduction_factor) == (1, 2)
