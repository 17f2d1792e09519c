import os
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from sinesweep.tracking import record
from sinesweep.tracking.tracker import Tracker
from sinesweep.training.callbacks import Together
from sinesweep.training.recorder import RecordLogger, StepScale


class _Model(pl.LightningModule):
    """A model of a user's own that logs its loss each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch).mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.layer(batch).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class _Quiet(_Model):
    """A model that logs its validation loss for callbacks only, and one loss each batch."""

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch).mean()
        self.log("batch_loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.layer(batch).mean(), logger=False)


def fit(folder: Path, model: pl.LightningModule, *judged: str, **settings: Any) -> pl.Trainer:
    """Train two epochs of four batches."""
    logger = RecordLogger(Tracker(folder, None), judged)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        log_every_n_steps=1,
        logger=logger,
        callbacks=[Together([StepScale(logger)])],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **settings,
    )
    batches = DataLoader(torch.ones(4, 1).unbind())  # pyright: ignore[reportArgumentType]
    trainer.fit(model, batches, batches)
    return trainer


# The data is in memory: worker processes would only cost.
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
# Lightning asks torch 2.13 in a way that torch is about to drop.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
class TestFit:
    def test_batches_keep_their_step_after_a_validation_in_mid_epoch(self, tmp_path: Path) -> None:
        """The step of a metric is the batch or the epoch that it was logged for."""
        fit(tmp_path, _Model(), val_check_interval=2)

        told = record.metric_history(tmp_path)
        assert [step for step, _ in told["loss_step"]] == list(range(8))
        assert [step for step, _ in told["loss_epoch"]] == [0, 1]
        assert [step for step, _ in told["val/loss"]] == [0, 1]

    def test_the_last_validation_of_an_epoch_is_recorded(self, tmp_path: Path) -> None:
        """The record has the value that Lightning's callbacks see at the epoch's end."""
        trainer = fit(tmp_path, _Model(), val_check_interval=0.25)

        told = record.metric_history(tmp_path)["val/loss"]
        assert told[-1] == (1, float(trainer.callback_metrics["val/loss"]))

    def test_a_judged_metric_has_a_value_for_each_epoch(self, tmp_path: Path) -> None:
        """A metric that the module keeps from the logger is recorded if the run is judged by it."""
        fit(tmp_path, _Quiet(), "val/loss", check_val_every_n_epoch=2)

        told = record.metric_history(tmp_path)
        assert [step for step, _ in told["val/loss"]] == [1]

    def test_a_judged_metric_of_batches_has_a_value_for_each_epoch(self, tmp_path: Path) -> None:
        """Of a metric that is logged each batch the last batch's value is the epoch's."""
        trainer = fit(tmp_path, _Quiet(), "batch_loss")

        told = record.metric_history(tmp_path)["batch_loss"]
        assert [step for step, _ in told] == [0, 1]
        assert told[-1][1] == float(trainer.callback_metrics["batch_loss"])

    def test_an_epoch_that_is_broken_off_has_no_metrics(self, tmp_path: Path) -> None:
        """The validation before an exception is not the epoch's: the epoch is trained again."""

        class Broken(_Model):
            def on_before_zero_grad(self, optimizer: Any) -> None:
                if self.global_step == 7:
                    raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            fit(tmp_path, Broken(), val_check_interval=2)

        assert [step for step, _ in record.metric_history(tmp_path)["val/loss"]] == [0]


class _Own(_Model):
    """A model that talks to its logger itself."""

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        logger: Any = self.logger
        logger.log_metrics({"own/batch": float(self.global_step)})
        logger.experiment.add_scalar("own/scalar", 2.0, 7 + self.global_step)
        return super().training_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        logger: Any = self.logger
        logger.log_metrics({"own/epoch": torch.tensor(float(self.current_epoch))})

    def on_train_end(self) -> None:
        experiment: Any = self.logger.experiment  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        experiment.log_text("some words", "notes/one.txt")
        experiment.set_tag("own.tag", 3)


@pytest.mark.filterwarnings("ignore:.*")
def test_a_module_logs_to_the_run_itself(tmp_path: Path) -> None:
    """Numbers have the step that the module gives, or the present batch's or epoch's."""
    fit(tmp_path, _Own())
    history = record.metric_history(tmp_path)
    assert history["own/batch"] == [(step, float(step)) for step in range(8)]
    assert [step for step, _ in history["own/scalar"]] == list(range(7, 15))
    assert history["own/epoch"] == [(0, 0.0), (1, 1.0)]
    assert (tmp_path / "files" / "notes" / "one.txt").read_text() == "some words"
    events = [event for event, _ in record.read(tmp_path)]
    assert {"path": "files/notes/one.txt"}.items() <= next(
        event for event in events if event["kind"] == "artifact"
    ).items()
    assert {"own.tag": "3"} in [event.get("tags") for event in events]


def test_what_an_experiment_does_not_have_is_named(tmp_path: Path) -> None:
    """Another method is refused with those that there are, and a file outside of the run, too."""
    experiment = RecordLogger(Tracker(tmp_path, None)).experiment
    with pytest.raises(AttributeError, match=r"has no add_graph; it has add_scalar, .*Mlflow"):
        experiment.add_graph(None)
    with pytest.raises(ValueError, match=r"must stay within the run, but is '\.\./\.\./x'"):
        experiment.log_text("", "../../x")
    assert list(tmp_path.iterdir()) == []


def test_forked_process_keeps_no_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that trains on is refused at the end of an epoch, even if nothing was logged."""
    tracker = Tracker(tmp_path, None)
    tracker.record.append("begin", name="a", experiment="e", params={}, tags={}, datasets=[])
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    with pytest.raises(RuntimeError, match="must be recorded by the process that trains it"):
        RecordLogger(tracker, []).end_epoch(0, {})
