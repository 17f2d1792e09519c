"""What tests of a sweep can ask for: plans over a tiny application, and trials."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import optuna
import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf
from process import Fuse

from sinesweep.sweep import marks, plan, settings
from sinesweep.sweep.entry import COMPLETE, RUNNING, Entry
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.sampling import Place

_FILES = {
    "config.yaml": """
        defaults:
          - optimizer: adam
          - _self_
          - sweeps: null
          - override hydra/sweeper: sinesweep
        a: 0
        b: 0
        x: 0.0
        y: 0.0
        name: none
        seed: 0
        tracking: {backend: none}
        hydra:
          sweeper:
            root: ROOT
            sampler: {seed: 1}
            report: false
        """,
    "optimizer/adam.yaml": "lr: 0.1",
    "optimizer/sgd.yaml": "{lr: 0.2, momentum: 0.9}",
    "sweeps/mine.yaml": """
        # @package _global_
        # Which a suits
        # which b?
        hydra:
          sweeper:
            params:
              a: range(0, 3)
              b: choice(1, 2)
        """,
}

MakePlan = Callable[..., Plan]


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Write the application's configuration; its sweeps go to ``tmp_path/multirun``."""
    folder = tmp_path / "application"
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = content.replace("ROOT", str(tmp_path / "multirun")).strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("\n".join(line[indent:] for line in lines))
    return folder


@pytest.fixture
def config_loader(application: Path) -> ConfigLoader:
    """Return what Hydra loads the application's configuration with."""
    with hydra.initialize_config_dir(str(application), version_base="1.3"):
        loaded = GlobalHydra.instance().hydra
        assert loaded is not None
        return loaded.config_loader


@pytest.fixture
def make_plan(config_loader: ConfigLoader) -> MakePlan:
    """Plan the sweep of a command line, as the sweeper does."""

    def make(*command: str) -> Plan:
        config = config_loader.load_configuration(
            "config", list(command), RunMode.MULTIRUN, from_shell=False
        )
        sweeper = config.hydra.sweeper
        keys = {str(k): sweeper[k] for k in sweeper if k not in ("_target_", "_recursive_")}
        context = HydraContext(config_loader, Callbacks())
        arguments = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        assert isinstance(arguments, list)
        return plan.make(settings.parse(keys), arguments, config, context)

    return make


@pytest.fixture
def make_entry(tmp_path: Path) -> Callable[..., Entry]:
    """Make a trial with a folder under ``tmp_path``: complete with its values, unless told else."""

    def make(number: int, *values: float, **changes: Any) -> Entry:
        state = changes.pop("state", COMPLETE)
        params = changes.pop("params", {"model.layers": 1 + number, "optimizer.lr": 0.01})
        directory = tmp_path / "trials" / str(number)
        directory.mkdir(parents=True, exist_ok=True)
        given = {
            "outcome": state,
            "values": values or None,
            "overrides": [f"{key}={value}" for key, value in params.items()],
            "directory": directory,
            "start": 0.0,
            "seconds": None if state == RUNNING else 4.125,
            "error": None,
            "origin": None,
            **changes,
        }
        return Entry(number=number, state=state, params=params, **given)

    return make


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fuse], Fuse]:
    """Let a fuse kill the process inside of the study's own steps, too."""

    def wire(fuse: Fuse) -> Fuse:
        set_user_attr, save, finish = optuna.Trial.set_user_attr, Place.save, marks._finish

        def fused_set_user_attr(self: Any, key: str, value: Any) -> None:
            if key == "sinesweep":
                fuse.at("asked")
            set_user_attr(self, key, value)
            if key == "sinesweep":
                fuse.at("marked")

        def fused_save(self: Any, sampler: Any) -> None:
            save(self, sampler)
            fuse.at("saved")

        def fused_finish(*arguments: Any) -> None:
            fuse.at("closing")
            finish(*arguments)

        monkeypatch.setattr(optuna.Trial, "set_user_attr", fused_set_user_attr)
        monkeypatch.setattr(Place, "save", fused_save)
        monkeypatch.setattr(marks, "_finish", fused_finish)
        return fuse

    return wire
