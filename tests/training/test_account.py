"""What a run is given at its end, in a sweep and outside of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from played import Controller

from sinesweep.config import parse
from sinesweep.errors import InputError
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.trial import ManagedTrial, Trial
from sinesweep.tracking import record
from sinesweep.tracking.tracker import Tracker
from sinesweep.training.account import conclude, open_run, trainable_parameters
from sinesweep.training.building import build_data, build_module
from sinesweep.training.outputs import Trained

QUICK = ("data.num_series=16", "model.layers=1", "model.width=4", "artifacts.figures=false")
Conclude = Callable[..., list[record.Event]]


class Asking(Trial):
    """A trial of a sweep that is told yes, or no, and keeps what it asked.

    Args:
        answer: what it is told.
    """

    def __init__(self, answer: bool) -> None:
        super().__init__(number=0)
        self._answer = answer
        self.asked: list[tuple[float, int]] = []

    def is_among_best(self, value: float, count: int) -> bool:
        self.asked.append((value, count))
        return self._answer


@pytest.fixture
def concluded(tmp_path: Path, compose: Callable[..., DictConfig]) -> Conclude:
    """Conclude a run that has been trained for an epoch; return what its record then says."""

    def conclude_one(trial: Trial, *overrides: str) -> list[record.Event]:
        config = parse(compose(*QUICK, *overrides))
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "best.ckpt").touch()
        tracker = Tracker(tmp_path, None)
        tracker.log_metrics({"val/mae": 0.5}, step=0)
        trained = Trained(build_module(config), build_data(config), 0)
        conclude(config, tracker, trained, {}, trial=trial, epochs=1, start=0.0)
        return [event for event, _ in record.read(tmp_path)]

    return conclude_one


def made(events: list[record.Event]) -> list[str]:
    """Return the files, without their folders, and the model that a record tells of."""
    files = [Path(event["path"]).name for event in events if event["kind"] == "artifact"]
    return [*files, *(event["kind"] for event in events if event["kind"] == "model")]


def reason(events: list[record.Event]) -> list[str]:
    """Return what a record gives as the reason for having no model, if it does."""
    tags = [event["tags"] for event in events if event["kind"] == "tags"]
    return [each["sinesweep.artifacts"] for each in tags]


@pytest.mark.parametrize(
    ("trials", "answer", "why"),
    [("none", True, "artifacts.trials=none"), ("5", False, "not among the best 5")],
)
def test_a_trial_without(concluded: Conclude, trials: str, answer: bool, why: str) -> None:
    """It keeps metrics and checkpoint, and says why that is all."""
    events = concluded(Asking(answer), f"artifacts.trials={trials}")
    assert made(events) == ["metrics.csv", "best.ckpt"]
    assert reason(events) == [why]


@pytest.mark.parametrize(("trials", "answer"), [("all", False), ("5", True)])
def test_a_trial_with(concluded: Conclude, trials: str, answer: bool) -> None:
    """All trials have them, or those that are told to be among the best."""
    events = concluded(Asking(answer), f"artifacts.trials={trials}")
    assert made(events) == ["metrics.csv", "best.ckpt", "model"]
    assert reason(events) == []


@pytest.mark.parametrize("trials", ["none", "1"])
def test_a_run_of_its_own(concluded: Conclude, trials: str) -> None:
    """Outside of a sweep it is always worth it."""
    assert "model" in made(concluded(Trial(), f"artifacts.trials={trials}"))


@pytest.mark.parametrize(
    ("returns", "value"),
    [("null", 0.5), ("[parameters,val/mae]", 4 * 4 * (1 + 4 + 1) + 5 * (4 + 1))],
)
def test_what_is_compared(concluded: Conclude, returns: str, value: float) -> None:
    """The objective, or the first of what a sweep is told instead."""
    trial = Asking(answer=True)
    concluded(trial, "artifacts.trials=7", f"returns={returns}")
    assert trial.asked == [(value, 7)]


def test_what_is_not_logged_cannot_be_compared(concluded: Conclude) -> None:
    """What a sweep is told must be known when it asks."""
    with pytest.raises(InputError, match="returns: must be metrics that the run logs"):
        concluded(Asking(answer=True), "artifacts.trials=7", "returns=[val/maes]")


def test_nothing_is_asked_where_nothing_would_be_made(concluded: Conclude) -> None:
    """A sweep that wants neither has no trial that lacks them."""
    trial = Asking(answer=False)
    events = concluded(trial, "artifacts.trials=7", "artifacts.model=false")
    assert trial.asked == []
    assert reason(events) == []


@pytest.mark.parametrize("trials", ["all", "1"])
def test_a_further_seed_asks_nothing(concluded: Conclude, tmp_path: Path, trials: str) -> None:
    """A trial's first seed decides, and has them."""
    controller = Controller()
    trial = ManagedTrial(0, (), tmp_path, {}, Channel(controller), lambda *_: None)
    trial.listens = False
    assert "model" not in made(concluded(trial, f"artifacts.trials={trials}"))
    assert not controller.poll()


class Lazy(pl.LightningModule):
    """A network whose first layer takes its size from the first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Sequential(torch.nn.LazyLinear(3), torch.nn.Linear(3, 5))


def test_a_lazy_parameter_counts_once_it_has_numbers() -> None:
    """Before the first batch only the initialised parameters count."""
    module = Lazy()
    assert trainable_parameters(module) == 3 * 5 + 5
    module.network(torch.zeros(2, 50))
    assert trainable_parameters(module) == 50 * 3 + 3 + 3 * 5 + 5


@pytest.mark.parametrize("is_initialised", [False, True])
def test_a_run_of_a_lazy_module_begins_without_an_incomplete_count(
    tmp_path: Path, compose: Callable[..., DictConfig], is_initialised: bool
) -> None:
    """The parameter ``trainable_parameters`` is recorded only if it is known."""
    config = parse(compose(*QUICK))
    module = Lazy()
    if is_initialised:
        module.network(torch.zeros(2, 50))
    open_run(config, "lazy", Tracker(tmp_path, None), build_data(config), module, "cpu")
    begin, *_ = [event for event, _ in record.read(tmp_path)]
    assert ("trainable_parameters" in begin["params"]) == is_initialised
