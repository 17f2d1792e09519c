"""A user's own model and data, as the tests give them to ``python src/train.py --config-dir``."""

import os
import signal
import sys
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

PASS = "hunter2"


class OwnModel(pl.LightningModule):
    """A small network that can be told to misbehave, mostly in its second epoch."""

    def __init__(
        self, hidden: int, misbehave: str | None, api_token: str = PASS, endpoint: str = PASS
    ) -> None:
        super().__init__()
        assert PASS in api_token
        assert PASS in endpoint
        if misbehave == "constructor":
            raise TypeError(f"no layers of {hidden} for api_token=hunter2")
        self.network = torch.nn.Sequential(
            torch.nn.Linear(50, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 5)
        )
        self._misbehave = misbehave

    def forward(self, series):
        return self.network(series)

    def training_step(self, batch, batch_idx):
        if self.current_epoch == 1 and self._misbehave:
            MISDEEDS[self._misbehave]()
        loss = (self(batch[0]) - batch[1]).abs().mean()
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/mae", (self(batch[0]) - batch[1]).abs().mean())

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class OwnData(pl.LightningDataModule):
    """Random numbers."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self._rows = rows

    def _loader(self):
        return DataLoader(
            TensorDataset(torch.rand(self._rows, 50), torch.rand(self._rows, 5)), batch_size=16
        )

    def train_dataloader(self):
        return self._loader()

    def val_dataloader(self):
        return self._loader()


def _wait() -> None:
    """Go on once the test says so."""
    while not Path(os.environ["GATE"]).exists():
        time.sleep(0.01)


def _raise() -> None:
    raise ValueError("the layer exploded at https://bob:hunter2@example.org/")


def _fork() -> None:
    """Fork once; the child trains on until the run's record refuses it, for a minute at most."""
    try:
        Path("forked").touch(exist_ok=False)
    except FileExistsError:
        return
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        return
    Path("forked").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


MISDEEDS = {
    "wait": _wait,
    "fork": _fork,
    "raise": _raise,
    "exit": lambda: sys.exit(0),
    "SIGINT": lambda: os.kill(os.getpid(), signal.SIGINT),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGHUP": lambda: os.kill(os.getpid(), signal.SIGHUP),
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
}
