"""The reference task's training as a trial of a sweep, whose controller is played by the test."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from played import Controller
from runner import BARE, SMALL
from torch.utils.data import DataLoader

from sinesweep import config as schema
from sinesweep.errors import InputError, Interrupted
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.messages import Stop
from sinesweep.sweep.trial import ManagedTrial, TrialPruned, set_current
from sinesweep.tracking import record
from sinesweep.training import serial
from sinesweep.training.pruning import PruningCallback
from sinesweep.training.result import Result
from sinesweep.training.serial import train

Compose = Callable[..., DictConfig]

pytestmark = pytest.mark.usefixtures("restored_process")


def run_trial(
    controller: Controller, compose: Compose, directory: Path, *overrides: str
) -> Result | None:
    """Train trial 12 of a sweep."""
    tags = {"sinesweep.trial": 12}
    set_current(ManagedTrial(12, (), directory, tags, Channel(controller), lambda *_: None))
    root = f"tracking.root={directory}/mlruns"
    return train(schema.parse(compose(*SMALL, *BARE, root, *overrides)), directory, "its overrides")


class Counting(pl.LightningModule):
    """A model whose validation loss is how many batches it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layer(batch).mean()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val", float(self.global_step))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit_own(
    folder: Path, *callbacks: pl.Callback, module: pl.LightningModule | None = None, **settings: Any
) -> pl.Trainer:
    """Train four epochs of two batches, as a user's own function does."""
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **settings,
    )
    batches = DataLoader(torch.ones(2, 1).unbind())  # pyright: ignore[reportArgumentType]
    trainer.fit(module or Counting(), batches, batches)
    return trainer


def kinds(directory: Path) -> set[str]:
    """Return the kinds of events that a trial's record has."""
    return {event["kind"] for event, _ in record.read(directory)}


@pytest.mark.parametrize("objective", ["train/mae", "val/mae", "reference/val_mae"])
def test_each_epoch_is_reported_with_its_own_value(
    tmp_path: Path, compose: Compose, objective: str
) -> None:
    """Whatever a sweep is judged by is there, and is this epoch's, when it is reported."""
    controller = Controller()
    run_trial(controller, compose, tmp_path, f"objective={objective}")

    assert [step for step, _ in controller.reports] == [0, 1, 2]
    assert controller.reports == record.metric_history(tmp_path)[objective]


def test_a_trial_that_is_given_up_keeps_its_metrics(tmp_path: Path, compose: Compose) -> None:
    """Its training stops after that epoch, untested, and how it ended the sweep will say."""
    controller = Controller(False, True)
    with pytest.raises(TrialPruned, match="pruned after epoch 1"):
        run_trial(controller, compose, tmp_path)

    history = record.metric_history(tmp_path)
    assert [step for step, _ in history["val/mae"]] == [0, 1]
    assert "test/mae" not in history
    assert "end" not in kinds(tmp_path)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_an_epoch_without_a_validation_reports_nothing(tmp_path: Path) -> None:
    """The value of an earlier epoch is not reported again under a later step."""
    controller = Controller()
    set_current(ManagedTrial(12, (), tmp_path, {}, Channel(controller), lambda *_: None))

    fit_own(tmp_path, PruningCallback("val"), check_val_every_n_epoch=2)

    assert [step for step, _ in controller.reports] == [1, 3]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_the_last_validation_of_an_epoch_is_reported(tmp_path: Path) -> None:
    """Several validations in an epoch make one report."""
    controller = Controller()
    set_current(ManagedTrial(12, (), tmp_path, {}, Channel(controller), lambda *_: None))

    fit_own(tmp_path, PruningCallback("val"), val_check_interval=1)

    assert controller.reports == [(0, 2.0), (1, 4.0), (2, 6.0), (3, 8.0)]


class Late(Counting):
    """A model that logs how many batches it was trained on when Lightning has told the callbacks.

    Args:
        every: it logs in the last one of so many epochs.
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__()
        self._every = every

    def on_train_epoch_end(self) -> None:
        if (self.current_epoch + 1) % self._every == 0:
            self.log("late", float(self.global_step))


class Sometimes(Counting):
    """A model that logs a metric of its training in every second epoch."""

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.current_epoch % 2 == 0:
            self.log("late", float(self.global_step), on_step=False, on_epoch=True)
        return super().training_step(batch, batch_idx)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize(
    ("module", "reports"),
    [
        (Late(), [(0, 2.0), (1, 4.0), (2, 6.0), (3, 8.0)]),
        (Late(every=2), [(1, 4.0), (3, 8.0)]),
        (Sometimes(), [(0, 0.5), (2, 4.5)]),
    ],
    ids=["late", "late in every second epoch", "in every second epoch"],
)
def test_a_metric_is_reported_for_the_epoch_that_logs_it(
    tmp_path: Path, module: Counting, reports: list[tuple[int, float]]
) -> None:
    """Be it in the module's own hook, which Lightning calls after the callback's."""
    controller = Controller()
    set_current(ManagedTrial(12, (), tmp_path, {}, Channel(controller), lambda *_: None))

    fit_own(tmp_path, PruningCallback("late"), module=module)

    assert controller.reports == reports


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_metric_that_comes_late_ends_the_training_an_epoch_later(tmp_path: Path) -> None:
    """The trial was trained whole epochs."""
    trial = ManagedTrial(12, (), tmp_path, {}, Channel(Controller(True)), lambda *_: None)
    set_current(trial)
    pruning = PruningCallback("late")

    trainer = fit_own(tmp_path, pruning, module=Late())

    assert trainer.current_epoch == 2
    assert trial.is_pruned
    with pytest.raises(TrialPruned, match="pruned after epoch 1"):
        pruning.raise_if_pruned()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_training_that_is_pruned_and_returns_is_known_as_pruned(tmp_path: Path) -> None:
    """The worker knows it of the trial, without raise_if_pruned()."""
    trial = ManagedTrial(12, (), tmp_path, {}, Channel(Controller(False, True)), lambda *_: None)
    set_current(trial)

    trainer = fit_own(tmp_path, PruningCallback("val"))

    assert trainer.current_epoch == 2
    assert trial.is_pruned


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_training_that_stops_itself_is_not_pruned(tmp_path: Path) -> None:
    """Early stopping uses the same switch of the Trainer's, and is no answer of the pruner's."""

    class Stopping(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.should_stop = True

    trial = ManagedTrial(12, (), tmp_path, {}, Channel(Controller()), lambda *_: None)
    set_current(trial)
    pruning = PruningCallback("val")

    trainer = fit_own(tmp_path, pruning, Stopping())

    assert trainer.current_epoch == 1
    assert not trial.is_pruned
    pruning.raise_if_pruned()


def test_a_trial_that_is_stopped_with_its_sweep_is_interrupted(
    tmp_path: Path, compose: Compose
) -> None:
    """Lightning makes an exit of it, which is no failure of the training."""
    with pytest.raises(Interrupted, match="SIGTERM"):
        run_trial(Controller(Stop("SIGTERM")), compose, tmp_path)

    assert "end" not in kinds(tmp_path)


def test_a_trial_that_reports_nothing_hears_that_it_is_stopped(
    tmp_path: Path, compose: Compose
) -> None:
    """Its objective is known at the end only."""
    controller = Controller()
    controller.say(Stop("trial_timeout"))
    with pytest.raises(Interrupted, match="trial_timeout"):
        run_trial(controller, compose, tmp_path, "objective=test/mae")

    assert controller.reports == []
    assert "end" not in kinds(tmp_path)


def test_a_trial_is_recorded_as_its_sweeps(tmp_path: Path, compose: Compose) -> None:
    """Its run has the trial's name and the sweep's tags, and is sent by the sweep alone."""
    result = run_trial(Controller(), compose, tmp_path)

    assert result is not None
    assert (result.run_id, result.tracked) == (None, True)
    begin = next(event for event, _ in record.read(tmp_path))
    assert begin["name"] == "trial-00012"
    assert begin["tags"]["sinesweep.trial"] == 12
    assert "end" not in kinds(tmp_path)
    assert not (tmp_path / "tracking.log").exists()


def test_the_next_trial_begins_without_what_an_ended_one_was_made_of(
    tmp_path: Path, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it ended: a worker runs hundreds, and would hold the parts of all of them."""
    parts: list[weakref.ref[object]] = []
    held: list[int] = []
    build = serial._build

    def watched(*arguments: Any) -> serial.Parts:
        made = build(*arguments)
        held.append(sum(part() is not None for part in parts))
        parts.extend(weakref.ref(part) for part in (made.trainer, made.module, made.data))
        return made

    monkeypatch.setattr(serial, "_build", watched)
    gc.disable()  # what comes by itself comes too late for a device's memory
    try:
        for number, answers in enumerate([(True,), (), (Stop("SIGTERM"),), ()]):
            directory = tmp_path / str(number)
            directory.mkdir()
            with suppress(TrialPruned, Interrupted):
                run_trial(Controller(*answers), compose, directory)
    finally:
        gc.enable()

    assert held == [0] * 4
    assert gc.get_freeze_count() > 10_000  # what was imported


class _Rank:
    """What the callback asks of the trainer of a further process."""

    world_size, is_global_zero, current_epoch, should_stop = 2, False, 0, False

    def __init__(self, answer: bool) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self.strategy: Any = self

    @property
    def callback_metrics(self) -> dict[str, Any]:
        self.asked.append("callback_metrics")
        return {}

    def broadcast(self, value: bool) -> bool:
        assert value is False
        self.asked.append("broadcast")
        return self._answer


@pytest.mark.parametrize("answer", [False, True])
def test_every_process_reads_the_metrics(answer: bool) -> None:
    """Metrics are gathered from all processes, and all stop if the first one is to stop."""
    rank: Any = _Rank(answer)
    callback = PruningCallback("val")
    callback.on_train_epoch_end(rank, Counting())
    assert rank.asked == ["callback_metrics", "broadcast"]
    assert rank.should_stop is answer


def test_processes_that_a_trial_forked_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep does not hear them."""
    controller = Controller()
    set_current(ManagedTrial(1, (), tmp_path, {}, Channel(controller), lambda *_: None))
    callback, rank = PruningCallback("val"), cast(Any, _Rank(False))
    callback.setup(rank, Counting(), "fit")
    monkeypatch.setattr("os.getpid", lambda: -1)
    with pytest.raises(InputError, match=r"must train a trial of a sweep in the trial's own proc"):
        callback.setup(rank, Counting(), "fit")
