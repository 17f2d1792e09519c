"""What every test can ask for: composed configurations, the task's data, whole run folders."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from runner import Runner

from sinesweep import redaction, runs
from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.tracking.record import Record


@pytest.fixture(autouse=True)
def _nothing_learned() -> Iterator[None]:
    """Forget after each test which values and keys are secret: a process knows one sweep's."""
    yield
    redaction.forget()
    redaction.reset_rules()


@pytest.fixture(scope="session")
def compose() -> Callable[..., DictConfig]:
    """Compose conf/train.yaml with overrides, as the command line does."""
    OmegaConf.register_new_resolver("sinesweep.run_directory", runs.directory, replace=True)
    OmegaConf.register_new_resolver(
        "sinesweep.new_name", runs.new_name, use_cache=True, replace=True
    )

    def compose_train(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
            return hydra.compose("train", list(overrides))

    return compose_train


@pytest.fixture(scope="session")
def make_data(compose: Callable[..., DictConfig]) -> Callable[..., Any]:
    """Build the data module of a composed configuration."""

    def make(*overrides: str) -> Any:
        return instantiate(compose(*overrides).data, _convert_="all")

    return make


@pytest.fixture
def begin_run(tmp_path: Path) -> Callable[..., Path]:
    """Make the folder of a run that has begun under ``tmp_path``, with an MLflow id if given."""

    def begin(name: str, mlflow_id: str | None = None) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        Record(folder).append("begin", name="a", experiment="e", params={}, tags={}, datasets=[])
        if mlflow_id:
            (folder / "delivery.json").write_text(json.dumps({"run_id": mlflow_id}))
        return folder

    return begin


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """Run the project's commands in an empty folder."""
    return Runner(tmp_path)
