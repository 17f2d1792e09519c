from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from played import Controller
from runner import BARE

from sinesweep import config as schema
from sinesweep.fused.training import FusedTraining
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.trial import ManagedTrial, set_current
from sinesweep.training.result import returned
from sinesweep.training.serial import train

Compose = Callable[..., DictConfig]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Undo what a training does to its process; on one thread, as a worker's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    set_current(None)
    torch.set_num_threads(threads)
    gc.unfreeze()


class Trials:
    """Trains trials of the reference task, one by one or together, each in a folder of its own.

    Args:
        folder: for all of it.
        compose: makes configurations.
        common: overrides of every trial.
    """

    def __init__(self, folder: Path, compose: Compose, *common: str) -> None:
        self.folder = folder
        self._compose = compose
        self._common = (*BARE, f"tracking.root={folder}/mlruns", *common)

    def serially(self, *trials: tuple[str, ...]) -> list[Any]:
        """Return what each trial returns under a Trainer of its own."""
        found = []
        for number, overrides in enumerate(trials):
            trial = self._trial(number, "serial", Controller())
            set_current(trial)
            assert trial.directory is not None
            config = schema.parse(self._configuration(overrides))
            result = train(config, trial.directory, "a name")
            assert result is not None
            found.append(returned(config, result))
        set_current(None)
        return found

    def together(
        self,
        *trials: tuple[str, ...],
        kind: str = "fused",
        joining: bool = False,
        **controllers: Controller,
    ) -> dict[int, Any]:
        """Return what each trial comes to among the others.

        Args:
            trials: the overrides of each.
            kind: what its folder is called.
            joining: one after the other, each a round behind the one before.
            controllers: ``t3`` plays the controller of trial 3.
        """
        training = FusedTraining()
        ended: dict[int, Any] = {}
        for number, overrides in enumerate(trials):
            controller = controllers.get(f"t{number}", Controller())
            trial = self._trial(number, kind, controller)
            assert trial.directory is not None
            training.admit(self._configuration(overrides), trial, trial.directory)
            if joining:
                ended |= training.advance()
        while len(ended) < len(trials):
            ended |= training.advance()
        return ended

    def _configuration(self, overrides: tuple[str, ...]) -> DictConfig:
        return self._compose(*self._common, *overrides)

    def _trial(self, number: int, kind: str, controller: Controller) -> ManagedTrial:
        directory = self.folder / kind / str(number)
        directory.mkdir(parents=True)
        tags = {"sinesweep.trial": number}
        return ManagedTrial(number, (), directory, tags, Channel(controller), lambda *_: None)


@pytest.fixture
def make_trials(tmp_path: Path, compose: Compose) -> Callable[..., Trials]:
    """Make trials that have overrides in common."""
    return lambda *common: Trials(tmp_path, compose, *common)
