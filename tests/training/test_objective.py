from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from sinesweep.errors import InputError
from sinesweep.tracking.record import Record
from sinesweep.training.callbacks import Together
from sinesweep.training.objective import ObjectiveCheck

# Lightning asks torch 2.13 in a way that torch is about to drop; the data is in memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


class _Model(pl.LightningModule):
    """Logs at every place where a model can, and one metric past Lightning."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self._record = Record(directory)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch[0]).abs().mean()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("train/late", 1.0)
        self._record.append_metrics({"train/past": 1.0}, self.current_epoch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val/loss", 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def epochs_until_refused(
    tmp_path: Path, objective: str, *, tested: bool = False, **options: Any
) -> int | None:
    """Train four epochs; return how many were begun when the run was refused, None if never."""
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    options = {"num_sanity_val_steps": 1, **options}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=4,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
        callbacks=[Together([ObjectiveCheck(objective, tmp_path, tested)])],
        **options,
    )
    try:
        trainer.fit(_Model(tmp_path), loader, loader)
    except InputError:
        return trainer.current_epoch
    return None


@pytest.mark.parametrize("objective", ["train/loss", "train/late", "train/past", "val/loss"])
@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": 3}], ids=["each", "third"])
def test_objective_that_is_logged(tmp_path: Path, objective: str, options: dict[str, Any]) -> None:
    """An objective is found wherever in an epoch it is logged, and by whatever way."""
    assert epochs_until_refused(tmp_path, objective, **options) is None


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, 1),
        ({"check_val_every_n_epoch": 3}, 3),
        ({"val_check_interval": 0.5}, 1),
        ({"limit_val_batches": 0}, 1),
        ({"check_val_every_n_epoch": 4}, 4),
    ],
    ids=["each", "third", "twice an epoch", "no validation", "at the end"],
)
def test_objective_that_is_not_logged(tmp_path: Path, options: dict[str, Any], epochs: int) -> None:
    """A run is refused once an epoch with a validation has gone by without its objective."""
    assert epochs_until_refused(tmp_path, "val/nope", **options) == epochs


@pytest.mark.parametrize(
    ("objective", "epochs"),
    [("test/loss", None), ("accuracy", None), ("value", None), ("val/nope", 1), ("train_nope", 1)],
)
def test_objective_of_a_test(tmp_path: Path, objective: str, epochs: int | None) -> None:
    """What the test may log is waited for, unless its name says that it is none of the test's."""
    assert epochs_until_refused(tmp_path, objective, tested=True) == epochs


def test_message_names_what_was_logged(tmp_path: Path) -> None:
    """The refusal lists the metrics there are."""
    check = ObjectiveCheck("nope", tmp_path, tested=False)
    loader = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        callbacks=[Together([check])],
    )
    message = (
        "^objective: must be a metric that the run logs, but is 'nope'; it logged "
        "train/late, train/loss, train/past, val/loss$"
    )
    with pytest.raises(InputError, match=message):
        trainer.fit(_Model(tmp_path), loader, loader)
