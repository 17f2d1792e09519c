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


# The data is in memory: worker processes would only cost.
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
# Lightning asks torch 2.13 in a way that torch is about to drop.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_batches_keep_their_step_after_a_validation_in_mid_epoch(tmp_path: Path) -> None:
    """What a model logs each batch has the batch as its step, and what it logs each epoch that."""
    logger = RecordLogger(Tracker(tmp_path, None))
    settings: dict[str, Any] = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": tmp_path,
    }
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, val_check_interval=2, log_every_n_steps=1, logger=logger,
        callbacks=[Together([StepScale(logger)])], **settings,
    )  # fmt: skip
    batches = DataLoader(torch.ones(4, 1).unbind())  # pyright: ignore[reportArgumentType]

    trainer.fit(_Model(), batches, batches)

    told = record.metric_history(tmp_path)
    assert [step for step, _ in told["loss_step"]] == list(range(8))
    assert [step for step, _ in told["loss_epoch"]] == [0, 1]
    assert [step for step, _ in told["val/loss"]] == [0, 1]
