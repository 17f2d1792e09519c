"""The plain application's fused form: what its function does, for several trials in rounds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import MISDEEDS, RETURNED, value_of
from omegaconf import DictConfig

import sinesweep
from sinesweep import Trial
from sinesweep.errors import Interrupted


def refusal(config: DictConfig) -> str | None:
    """Return why a trial is trained alone."""
    if config.misbehave == "refusal" and config.x == config.when:
        raise KeyError("no answer")
    return f"x={config.x} is for one alone" if config.x == config.alone else None


class Rounds:
    """Takes a step of every trial in each round, and notes who took part in it."""

    def __init__(self) -> None:
        self._runs: dict[int, Iterator[Any]] = {}
        self._log: Path | None = None
        self._leaks: tuple[type[BaseException], ...] = ()

    def admit(self, config: DictConfig, trial: Trial, directory: Path) -> None:
        """Take a trial in."""
        assert trial.number is not None
        print(f"trial {trial.number} x={config.x}")  # noqa: T201 # to its log
        _note(config.calls, f"{config.x} {config.y} {config.seed} {os.getpid()}")
        (directory / "admitted").write_text(str(Path.cwd()))
        if config.misbehave == "admit" and config.x == config.when:
            raise ValueError("not to be had")
        self._log = Path(config.rounds)
        self._leaks = (Interrupted,) if config.leaks else ()
        self._runs[trial.number] = _run(config, trial)

    def advance(self) -> dict[int, Any]:
        """Train a round."""
        assert self._log is not None
        _note(self._log, f"round {os.getpid()} {' '.join(map(str, self._runs))}")
        ended: dict[int, Any] = {}
        for number, run in self._runs.items():
            try:
                next(run)
            except StopIteration as end:
                ended[number] = end.value
            except (_Breaking, *self._leaks):
                raise
            except BaseException as error:  # noqa: BLE001 # it costs this trial alone
                ended[number] = error
        for number in ended:
            del self._runs[number]
            _note(self._log, f"ended {os.getpid()} {number}")
        if not ended:
            time.sleep(0.002)
        return ended


def make() -> Rounds:
    """Return a training."""
    return Rounds()


class _Breaking(BaseException):
    """What the form does not hold back."""


def _run(config: DictConfig, trial: Trial) -> Iterator[Any]:
    """Do as the application's function does, a step at a time; return what it returns."""
    misbehaves = config.misbehave and config.x == config.when
    step = 0
    while config.gate and config.x >= config.gated_from and not Path(config.gate).exists():
        trial.report(0.0, step)
        step += 1
        yield
    for step in range(config.steps):
        trial.report(abs(config.x - 1) + 1 / (1 + step), step)
        if trial.should_prune():
            raise sinesweep.TrialPruned
        time.sleep(config.pause)
        yield
    if misbehaves and config.misbehave == "break":
        raise _Breaking("the round broke")
    if misbehaves and config.misbehave in RETURNED:
        return RETURNED[config.misbehave]
    if misbehaves and config.misbehave in MISDEEDS:
        MISDEEDS[config.misbehave]()
    return value_of(config)


def _note(path: str | Path, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")
