from __future__ import annotations

from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from sinesweep import config as schema
from sinesweep.config import Config
from sinesweep.fused.kept_data import KeptData, size_of

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(compose: Callable[..., DictConfig]) -> MakeConfig:
    return lambda *overrides: schema.parse(compose("data.num_series=100", *overrides))


def test_the_same_data_is_made_once(make_config: MakeConfig) -> None:
    """Trials that differ in other sections share it."""
    kept = KeptData(10**9)
    data = kept.find(make_config("seed=1"))
    assert kept.find(make_config("seed=2", "model.width=3")) is data
    assert kept.find(make_config("data.seed=5")) is not data


def test_bytes_are_bounded(make_config: MakeConfig) -> None:
    """What was used longest ago goes first."""
    first, second, third = (make_config(f"data.seed={seed}") for seed in range(3))
    one = KeptData(10**9).find(first)
    kept = KeptData(2 * size_of(one))
    found = kept.find(first), kept.find(second)
    kept.find(first)
    kept.find(third)
    assert kept.size == 2 * size_of(one)
    assert kept.find(first) is found[0]
    assert kept.find(second) is not found[1]


def test_data_that_is_too_large_is_not_kept(make_config: MakeConfig) -> None:
    """It is the trial's alone."""
    kept = KeptData(1000)
    assert len(kept.find(make_config()).splits.train) == 100
    assert kept.size == 0


def test_size(make_config: MakeConfig) -> None:
    """Four bytes for each step that is read or forecast."""
    data = KeptData(10**9).find(make_config())
    assert size_of(data) == 4 * (50 + 5) * sum(len(windows) for _, windows in data.splits)
