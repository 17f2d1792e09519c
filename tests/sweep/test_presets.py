"""The sweeper's presets beside those of hydra-optuna-sweeper, which have the same path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra.core.config_store import ConfigStore

from hydra_plugins.sinesweep_sweeper.config import register
from sinesweep.sweep.settings import Target

PATH = "hydra/sweeper/sampler"


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
