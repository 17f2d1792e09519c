"""One value of the objective for each epoch, wherever a run tells it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from played import Controller
from runner import BARE, SMALL

from sinesweep import config as schema
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.trial import ManagedTrial, set_current
from sinesweep.task.module import Forecaster
from sinesweep.tracking import record
from sinesweep.training.checkpoint import load_module
from sinesweep.training.result import Result
from sinesweep.training.serial import train

Compose = Callable[..., DictConfig]
Numbers = list[tuple[int, float]]

pytestmark = pytest.mark.usefixtures("restored_process")


def train_trial(compose: Compose, directory: Path, *overrides: str) -> tuple[Result, Numbers]:
    """Train trial 12 of a sweep; return its result and its reports to the pruner."""
    controller = Controller()
    trial = ManagedTrial(12, (), directory, {}, Channel(controller), lambda *_: None)
    set_current(trial)
    root = f"tracking.root={directory}/mlruns"
    config = schema.parse(compose(*SMALL, *BARE, root, "data.batch_size=16", *overrides))
    result = train(config, directory, "its overrides")
    assert result is not None
    return result, controller.reports


def in_csv(directory: Path, metric: str) -> Numbers:
    with (directory / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(int(row["step"]), float(row["value"])) for row in rows if row["metric"] == metric]


# With 4 batches an epoch: 3 leaves a batch after the last validation, 0.5 does not.
@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        (("+trainer.val_check_interval=0.5",), [0, 1, 2]),
        (("+trainer.val_check_interval=3",), [0, 1, 2]),
        (("+trainer.val_check_interval=1",), [0, 1, 2]),
        (("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=5"), [1, 3]),
        (("+trainer.limit_val_batches=1",), [0, 1, 2]),
        (("+trainer.val_check_interval=2", "objective=train/mae"), [0, 1, 2]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_an_epoch_has_one_value_everywhere(
    tmp_path: Path, compose: Compose, overrides: tuple[str, ...], epochs: list[int]
) -> None:
    """The result, the pruner's reports, the record, metrics.csv and best.ckpt tell one value."""
    result, reports = train_trial(compose, tmp_path, *overrides)

    name = compose(*overrides).objective
    told = record.metric_history(tmp_path)[name]
    assert [step for step, _ in told] == epochs
    assert reports == told
    assert in_csv(tmp_path, name) == told
    assert (result.best_epoch, result.objective) == min(told, key=lambda point: point[1])
    kept = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)["sinesweep"]
    assert (kept["best_epoch"], kept["best_value"]) == (result.best_epoch, result.objective)


def test_the_best_weights_are_those_that_were_validated(
    tmp_path: Path, compose: Compose, make_data: Callable[..., Any]
) -> None:
    """The batch that is trained after an epoch's last validation does not reach best.ckpt."""
    result, _ = train_trial(compose, tmp_path, "+trainer.val_check_interval=3")

    data = make_data(*SMALL, "data.batch_size=16")
    data.setup("fit")
    module = load_module(tmp_path / "checkpoints" / "best.ckpt")
    assert isinstance(module, Forecaster)
    windows = data.splits.val
    with torch.inference_mode():
        forecast = module(torch.from_numpy(windows.inputs))
    error = (forecast - torch.from_numpy(windows.targets)).abs().mean().item()
    assert error == pytest.approx(result.objective, rel=1e-5)  # summed in another order
