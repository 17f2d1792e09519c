"""The reference task's trials trained together, with the same numbers as alone.

A round is one epoch of every trial. Trials come and go between rounds; each has its own seed, data,
budget, learning rate, schedule and record, and writes what the same trial writes when it is trained
alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from traceback import clear_frames
from typing import Any

import torch
from omegaconf import DictConfig
from torch.optim.lr_scheduler import LRScheduler

from sinesweep.config import Config, parse
from sinesweep.errors import Interrupted
from sinesweep.fused.best_epoch import BestEpoch
from sinesweep.fused.engines import Engine, alone, engines_of
from sinesweep.fused.kept_data import KeptData
from sinesweep.fused.member import Member
from sinesweep.fused.reference import refusal_of
from sinesweep.sweep.entry import run_name
from sinesweep.sweep.log_stream import LOG_FILE
from sinesweep.sweep.trial import ManagedTrial, Trial, TrialPruned, current_trial
from sinesweep.sweep.wording import error_text
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.task.module import Forecaster
from sinesweep.task.series import Windows
from sinesweep.tracking.tracker import Membership, Tracker
from sinesweep.training.account import conclude, open_run
from sinesweep.training.building import build_module
from sinesweep.training.device import name_of
from sinesweep.training.outputs import Trained
from sinesweep.training.progress import epoch_text
from sinesweep.training.result import Result, returned, show

_DATA = KeptData(256 * 2**20)
_DTYPES = {"32-true": torch.float32, "64-true": torch.float64}


@dataclass(eq=False)
class Run:
    """One trial in training.

    Attributes:
        config: checked.
        trial: its handle.
        tracker: of its folder.
        log: where what it says goes, or None where the process's output is its own.
        data: its series.
        module: the task's, with its initial weights until the training has ended.
        member: where it is.
        scheduler: of its learning rate.
        best: its best epoch so far.
        started: by the monotonic clock.
    """

    config: Config
    trial: Trial
    tracker: Tracker
    log: Path | None
    data: SeriesDataModule
    module: Forecaster
    member: Member
    scheduler: LRScheduler
    best: BestEpoch
    started: float = field(default_factory=time.monotonic)

    @property
    def number(self) -> int:
        """The trial's."""
        assert self.trial.number is not None
        return self.trial.number


class FusedTraining:
    """Trains the trials that it has admitted, a round at a time."""

    def __init__(self) -> None:
        self._runs: dict[int, Run] = {}
        self._engines: list[Engine] = []
        self._left = time.monotonic()  # when the last round was over

    def admit(self, config: DictConfig, trial: ManagedTrial, directory: Path) -> None:
        """Take a trial in; it takes part from the next round on.

        Args:
            config: the trial's, composed.
            trial: its handle.
            directory: for its files.

        Raises:
            InputError: the configuration is wrong.
            ValueError: the trial has no fused form.
            Exception: what its classes fail with.
        """
        checked = parse(config)
        reason = refusal_of(checked)
        if reason is not None:
            raise ValueError(reason)
        torch.set_num_threads(checked.settings.threads)
        assert isinstance(trial, ManagedTrial)
        membership = Membership(run_name(trial.number), trial.tags)
        run = _prepare(checked, trial, Tracker(directory, None, membership), directory / LOG_FILE)
        device = name_of(run.member.like.device)
        open_run(checked, run_name(run.number), run.tracker, run.data, run.module, device)
        if reason := alone(run.member):
            trial.alone(reason)
        self._runs[run.number] = run
        self._engines.clear()

    def advance(self) -> dict[int, Any]:
        """Train a round.

        Returns:
            What the trials that have ended with it have come to, by number: what their function
            returns, or the exception that they ended with.
        """
        self._skip_pause()
        _choose_algorithms(self._runs.values())
        ended = self._make_engines() if not self._engines else {}
        by_member = {run.member: run for run in self._runs.values()}
        count = len(by_member)
        for engine in self._engines:
            runs_of = [by_member[member] for member in engine.members]
            try:
                told = _epoch(engine, runs_of)
            except Exception as error:  # noqa: BLE001 # it costs those who trained together
                clear_frames(error.__traceback__)  # what they hold may be all the memory
                ended |= {run.number: _keep(run, error) for run in runs_of}
                continue
            for run, values in zip(runs_of, told, strict=True):
                ended |= _ending(run, engine, values, count)
        for number in ended:
            del self._runs[number]
        if ended:
            self._engines.clear()
        self._left = time.monotonic()
        return ended

    def _skip_pause(self) -> None:
        """Leave out of the runs' time what was between two rounds: others' training, say."""
        now = time.monotonic()
        for run in self._runs.values():
            run.started += now - max(self._left, run.started)

    def _make_engines(self) -> dict[int, Any]:
        """Make an engine for each kind of trial; return what those have ended with that had none.

        There may be no memory for the one, and enough for the others.
        """
        by_member = {run.member: run for run in self._runs.values()}
        ended: dict[int, Any] = {}
        for members, make in engines_of([*by_member]):
            try:
                self._engines.append(make())
            except Exception as error:  # noqa: BLE001 # it costs those of this kind
                clear_frames(error.__traceback__)  # what they hold may be all the memory
                runs_of = [by_member[member] for member in members]
                ended |= {run.number: _keep(run, error) for run in runs_of}
        told = ", ".join(engine.description for engine in self._engines)
        print(f"{len(self._runs)} trials: {told or 'none'}", flush=True)  # noqa: T201 # the worker's log
        return ended


def train_alone(config: Config, name: str, tracker: Tracker, start: float) -> Result:
    """Train one run with the numbers that it would have among others, bit for bit.

    Args:
        config: the checked configuration, which has a fused form.
        name: how the tracker calls the run.
        tracker: of the run's folder.
        start: when that began, by the monotonic clock.

    Raises:
        Interrupted: Ctrl-C or SIGTERM, or a sweep's stop; the best epoch is kept.
        Exception: what the training failed with; the best epoch is kept.
    """
    run = _prepare(config, current_trial(), tracker, None)
    run.started = start
    device = name_of(run.member.like.device)
    open_run(config, name, tracker, run.data, run.module, device)
    _choose_algorithms([run])
    ((_, make),) = engines_of([run.member])
    engine = make()
    try:
        while True:
            (values,) = _epoch(engine, [run])
            result = _after_epoch(run, engine, values)
            if result is not None:
                return result
            run.best.write_if_due(1)
    except BaseException as error:
        ended = _keep(run, error)
        if ended is not error:
            raise ended from error
        raise


def _prepare(config: Config, trial: Trial, tracker: Tracker, log: Path | None) -> Run:
    data = _DATA.find(config)
    module = build_module(config)
    assert isinstance(module, Forecaster)
    dtype = _DTYPES[config.trainer.precision]
    module.to(dtype=dtype, device=_device(config.trainer.accelerator))
    made = module.configure_optimizers()
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]
    if not isinstance(scheduler, LRScheduler):
        raise ValueError("a schedule that follows a metric has no fused form")
    optimizer._opt_called = True  # a schedule wants to see a step before its own
    return Run(
        config=config,
        trial=trial,
        tracker=tracker,
        log=log,
        data=data,
        module=module,
        member=Member(
            module=module,
            optimizer=optimizer,
            train=data.splits.train,
            batch_size=data.batch_size,
            seed=config.settings.seed,
            clip=config.trainer.gradient_clip_val or None,
            evaluated=(len(data.splits.val), len(data.reference.val)),
        ),
        scheduler=scheduler,
        best=BestEpoch(
            config, module, tracker.directory, -(-len(data.splits.train) // data.batch_size)
        ),
    )


def _device(accelerator: str) -> torch.device:
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if on_gpu else "cpu")


def _choose_algorithms(runs: Iterable[Run]) -> None:
    """Have PyTorch do as ``trainer.deterministic`` says, as Lightning's Trainer does.

    It is the whole process's, so the strictest that one of the runs asks for holds for all.
    """
    asked = {run.config.trainer.deterministic for run in runs} - {False}
    if asked:
        torch.backends.cudnn.benchmark = False
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(bool(asked), warn_only=asked == {"warn"})


def _epoch(engine: Engine, members: Sequence[Run]) -> list[dict[str, float]]:
    """Train an epoch of trials; return the metrics of each."""
    columns = {
        "train/mae": engine.train_epoch(),
        "val/mae": engine.errors([run.data.splits.val for run in members]),
        "reference/val_mae": engine.errors([run.data.reference.val for run in members]),
    }
    return [
        {name: float(column[index]) for name, column in columns.items()}
        for index in range(len(members))
    ]


def _ending(run: Run, engine: Engine, values: Mapping[str, float], count: int) -> dict[int, Any]:
    """Take in an epoch of one trial of so many; return what it has come to, if it has ended."""
    try:
        result = _after_epoch(run, engine, values)
        if result is None:
            run.best.write_if_due(count)
            return {}
        with _printing_to_log(run):
            show(result, run.config.settings.objective, None)
        return {run.number: returned(run.config, result)}
    except (Exception, Interrupted) as error:  # noqa: BLE001 # it costs this trial only
        return {run.number: _keep(run, error)}


def _after_epoch(run: Run, engine: Engine, values: Mapping[str, float]) -> Result | None:
    """Take in an epoch; return the result after the last."""
    epoch = run.member.epoch - 1
    run.tracker.log_metrics(values, step=epoch)
    value = values.get(run.config.settings.objective)
    run.best.take(epoch, value, lambda: engine.state(run.member))
    run.scheduler.step()
    _say(run, epoch, values)
    if run.trial.report_and_ask(value, step=epoch):
        raise TrialPruned(f"pruned after epoch {epoch}")
    if run.member.epoch < run.config.trainer.max_epochs:
        return None
    if run.best.epoch is None:  # it diverged at once: the weights that it ends with are judged
        run.module.network.load_state_dict(engine.state(run.member))
    return _conclude(run, values)


def _conclude(run: Run, values: Mapping[str, float]) -> Result:
    run.best.restore()
    metrics = {**values, "test/mae": _mae(run.module, run.data.splits.test)}
    with _printing_to_log(run):
        return conclude(
            run.config,
            run.tracker,
            Trained(run.module, run.data, run.best.epoch),
            metrics,
            trial=run.trial,
            epochs=run.member.epoch,
            start=run.started,
        )


def _mae(module: Forecaster, windows: Windows) -> float:
    like = next(module.parameters())
    inputs, targets = (torch.from_numpy(a).to(like) for a in (windows.inputs, windows.targets))
    with torch.inference_mode():
        return float((module.eval()(inputs) - targets).abs().mean(dtype=torch.float64))


def _keep(run: Run, error: BaseException) -> BaseException:
    """Keep the best epoch of a trial that ends before its time; return what it ends with.

    That is what it had come to before, unless it was no failure and this is one.
    """
    try:
        run.best.restore()
    except Exception as second:  # noqa: BLE001 # whatever it is, it costs this trial only
        if isinstance(error, TrialPruned):
            return second
        # Those that trained together end with one and the same error.
        error.add_note(f"and then, of {run.tracker.directory.name}: {error_text(second)}")
    return error


def _say(run: Run, epoch: int, values: Mapping[str, float]) -> None:
    told = "  ".join(f"{name} {value:.5f}" for name, value in values.items())
    with _printing_to_log(run):
        print(f"{epoch_text(epoch, run.config.trainer.max_epochs)}  {told}")  # noqa: T201


@contextmanager
def _printing_to_log(run: Run) -> Iterator[None]:
    if run.log is None:
        yield
        return
    with run.log.open("a", encoding="utf-8") as log, redirect_stdout(log):
        yield
