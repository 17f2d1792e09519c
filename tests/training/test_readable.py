"""Contents of the checkpoints of users' classes, and their readers."""

from __future__ import annotations

import functools
from collections import OrderedDict
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch.utils.data import DataLoader

from sinesweep.training.checkpoint import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    EpochCheckpoint,
    load,
    load_module,
    load_weights,
)
from sinesweep.training.readable import ReadablePart


class Mode(Enum):
    FAST = 1


class Unit:
    """An object of a class of the user's own."""


class Linear(pl.LightningModule):
    """A model of one layer."""

    layer: torch.nn.Linear

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layer(batch).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Net(Linear):
    """A model that keeps whatever it is given."""

    def __init__(self, width: int = 1, extra: Any = None, api_token: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, width)


class Silent(Net):
    """A model that does not save its hyperparameters."""

    def save_hyperparameters(self, *args: Any, **kwargs: Any) -> None:
        """Save nothing."""


class Stateful(Net):
    """A model with extra state of a class of the user's own."""

    def get_extra_state(self) -> Unit:
        return Unit()

    def set_extra_state(self, state: Any) -> None:
        assert isinstance(state, Unit)


class Whole(Linear):
    """A model that takes one configuration."""

    def __init__(self, cfg: Any) -> None:
        super().__init__()
        self.save_hyperparameters(cfg)
        self.layer = torch.nn.Linear(1, cfg["width"])


def fit(module: pl.LightningModule, directory: Path, **section: Any) -> Path:
    """Train an epoch as a run does; return the folder of its checkpoints."""
    target = f"{type(module).__module__}.{type(module).__qualname__}"
    keeper = EpochCheckpoint(
        directory / "checkpoints", "loss", False, {"_target_": target, **section}, interval=0
    )
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, callbacks=[keeper],
        plugins=AtomicCheckpointIO(), enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(torch.ones(2, 1)))  # pyright: ignore[reportArgumentType]
    return directory / "checkpoints"


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize(
    ("extra", "kept"),
    [
        (functools.partial(torch.optim.Adam, lr=0.1), None),
        (lambda x: x, None),
        (Unit(), None),
        (Mode.FAST, None),
        (torch.nn.L1Loss(), None),
        (torch.optim.Adam, None),
        ([1, Unit()], None),
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        (Path("a/b"), "a/b"),
        (OmegaConf.create({"a": [1, 2], "b": "${.a}"}), {"a": [1, 2], "b": [1, 2]}),
        ({"a": {"b": Unit(), "c": 1}}, {"a": {"c": 1}}),
        ((1, None, "text"), (1, None, "text")),
    ],
)
def test_hyperparameters_are_read_or_left_out(tmp_path: Path, extra: Any, kept: Any) -> None:
    """Each checkpoint is readable, and ``load_from_checkpoint`` makes the model."""
    folder = fit(Net(width=3, extra=extra), tmp_path)
    for name in (BEST, LAST):
        assert load(folder / name)["hyper_parameters"].get("extra") == kept
        read = Net.load_from_checkpoint(folder / name)
        assert read.layer.out_features == 3
    given = Net.load_from_checkpoint(folder / BEST, extra=Unit)
    assert given.hparams["extra"] is Unit


@pytest.mark.filterwarnings("ignore:.*")
def test_what_is_left_out_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names all hyperparameters that checkpoints leave out."""
    fit(Net(extra={"unit": Unit(), "call": print, "width": 1}), tmp_path)
    (warning,) = [each for each in caplog.messages if "checkpoints leave out" in each]
    assert "hyper_parameters.extra.unit, hyper_parameters.extra.call: torch.load" in warning


@pytest.mark.filterwarnings("ignore:.*")
def test_a_whole_configuration_is_read_as_a_dict(tmp_path: Path) -> None:
    """A module that takes one DictConfig is loaded with its values."""
    folder = fit(Whole(OmegaConf.create({"width": 2})), tmp_path)
    assert Whole.load_from_checkpoint(folder / BEST).layer.out_features == 2


@pytest.mark.filterwarnings("ignore:.*")
def test_a_model_that_saves_nothing_is_loaded_with_its_section(tmp_path: Path) -> None:
    """The plain arguments of the configuration stand in for ``save_hyperparameters``."""
    optimizer = {"_target_": "torch.optim.Adam", "_partial_": True}
    folder = fit(Silent(width=2), tmp_path, width=2, extra=optimizer)
    for name in (BEST, LAST):
        assert Silent.load_from_checkpoint(folder / name).layer.out_features == 2
    made = load_module(folder / BEST)
    assert isinstance(made, Silent)
    assert made.layer.out_features == 2


@pytest.mark.filterwarnings("ignore:.*")
def test_extra_state_that_is_left_out_stays_as_it_is(tmp_path: Path) -> None:
    """Weights are loaded into a module whose extra state cannot be read."""
    module = Stateful(width=2)
    content = load(fit(module, tmp_path) / BEST)
    assert "_extra_state" not in content["state_dict"]
    load_weights(module, content)
    part = {"layer.weight": content["state_dict"]["layer.weight"]}
    with pytest.raises(RuntimeError, match=r"Missing key.*layer\.bias"):
        load_weights(module, {"state_dict": part})


@pytest.mark.filterwarnings("ignore:.*")
def test_hyperparameters_hold_no_secret(tmp_path: Path) -> None:
    """A password is not in the checkpoint, and is given again as an argument."""
    folder = fit(Net(width=2, api_token="hunter2"), tmp_path)
    assert b"hunter2" not in (folder / LAST).read_bytes()
    assert Net.load_from_checkpoint(folder / BEST).layer.out_features == 2


def test_what_can_be_read_is_not_copied() -> None:
    """The state of modules and optimizers is written as Lightning has it."""
    state = OrderedDict(weight=torch.ones(2), step=3)
    content = {"state_dict": state, "optimizer_states": [{"state": {0: {"lr": 0.1}}}]}
    found = ReadablePart().of(content)
    assert found["state_dict"] is state
    assert found["optimizer_states"] is content["optimizer_states"]


def test_hyperparameter_that_contains_itself_is_left_out() -> None:
    """A ring of lists or dicts, which Lightning accepts, does not fail the training."""
    ring: list[Any] = []
    ring.append(ring)
    tree: dict[str, Any] = {}
    tree["tree"] = tree
    found = ReadablePart().of({"hyper_parameters": {"ring": ring, "tree": tree, "width": 3}})
    assert found == {"hyper_parameters": {"width": 3}}
