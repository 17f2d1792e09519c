"""One run under a Lightning Trainer, from the configuration to the result."""

from __future__ import annotations

import gc
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep import distributed, runs
from sinesweep.config import EPOCH_METRICS, Config
from sinesweep.errors import InputError, Interrupted
from sinesweep.files import refused_number, take_lock
from sinesweep.forks import ended_forked_children
from sinesweep.fused.reference import is_trained_together
from sinesweep.interruption import Interruption, interruptible
from sinesweep.redaction import redact_error
from sinesweep.sweep.entry import run_name
from sinesweep.sweep.trial import ManagedTrial, current_trial
from sinesweep.sweep.wording import error_text
from sinesweep.tracking import record
from sinesweep.tracking.location import locate
from sinesweep.tracking.tracker import Membership, Tracker
from sinesweep.training.result import Result

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from sinesweep.training.checkpoint import EpochCheckpoint
    from sinesweep.training.pruning import PruningCallback


@dataclass(frozen=True)
class Parts:
    """What a training is made of."""

    data: pl.LightningDataModule
    module: pl.LightningModule
    trainer: pl.Trainer
    checkpoint: EpochCheckpoint
    pruning: PruningCallback


def train(config: Config, directory: Path, name: str) -> Result | None:
    """Train one run and record it.

    Args:
        config: the checked configuration.
        directory: the run's folder, which exists.
        name: how the tracker calls the run.

    Returns:
        The result, or None in the further processes of a distributed training, which leave the
        record to the first.

    Raises:
        InputError: something that only building could show is wrong; nothing is left behind.
        Interrupted: Ctrl-C or SIGTERM; the run is KILLED and can be continued.
        Exception: what the training failed with; the run is FAILED.
    """
    start = time.monotonic()
    if distributed.rank() > 0:
        return _train(config, directory, name, Tracker(directory, None), start)
    lock = take_lock(directory / runs.LOCK_FILE)
    if lock is None:
        raise InputError(
            f"resume: the run must have stopped, but {directory.name} is being trained"
        )
    with lock, interruptible() as interruption:
        tracker = _tracker(config, directory)
        with _truthful_end(tracker, interruption), ended_forked_children():
            return _train(config, directory, name, tracker, start)


def _tracker(config: Config, directory: Path) -> Tracker:
    trial = current_trial()
    if isinstance(trial, ManagedTrial):
        assert trial.number is not None
        # The sweep sends all its trials' records, and says how they ended.
        return Tracker(directory, None, Membership(run_name(trial.number), trial.tags))
    root = Path(config.tracking.root)
    tracked = config.tracking.backend == "mlflow"
    return Tracker(directory, locate(config.tracking.uri, root) if tracked else None)


def _train(
    config: Config, directory: Path, name: str, tracker: Tracker, start: float
) -> Result | None:
    import torch

    from sinesweep.training.account import open_run
    from sinesweep.training.device import name_of

    torch.set_num_threads(config.settings.threads)
    if is_trained_together(config):
        from sinesweep.fused.training import train_alone

        return train_alone(config, name, tracker, start)
    parts = _build(config, directory, tracker)
    _check_interval(config, parts.data)
    checkpoint = _resume_point(config, directory)
    if _is_first(parts):
        device = name_of(parts.trainer.strategy.root_device)
        open_run(config, name, tracker, parts.data, parts.module, device)
    with _quiet():
        parts.trainer.fit(parts.module, parts.data, ckpt_path=checkpoint, weights_only=True)
        parts.pruning.raise_if_pruned()
        _use_best(parts, directory)
        if _is_tested(parts.module, parts.data):
            parts.trainer.test(parts.module, parts.data, verbose=False)
    return _finish(config, tracker, parts, start) if _is_first(parts) else None


@contextmanager
def _truthful_end(tracker: Tracker, interruption: Interruption) -> Iterator[None]:
    """Tell the tracker how the run ended, whatever happens, and wait until it knows."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        cause = interruption.cause or _sweeps_stop()
        if cause is None:
            _end(tracker, record.FAILED, record.FAIL, f"the training called exit: {stop!r}")
            raise RuntimeError(f"the training called exit: {stop!r}") from stop
        _end(tracker, record.KILLED, record.INTERRUPTED, cause)
        raise Interrupted(cause) from None
    except BaseException as error:
        ends = (record.FAILED, record.FAIL)
        if refused_number(error):  # a full disk or the like: the run can be continued
            ends = (record.KILLED, record.INTERRUPTED)
        _end(tracker, *ends, error_text(error))
        raise
    finally:
        tracker.close()


def _sweeps_stop() -> str | None:
    """Return why the sweep has stopped its trial; Lightning turns that into SystemExit."""
    trial = current_trial()
    return trial.stopped if isinstance(trial, ManagedTrial) else None


def _set_imports_aside() -> None:
    """Free what an earlier trial of this process left, and have the collector pass over the rest.

    What is imported stays: the garbage collector would go through all of it again and again while
    Lightning makes its many small objects. It is set aside once, before there are any parts: what
    is set aside is never freed.
    """
    if current_trial().is_managed:
        gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()


def _end(tracker: Tracker, status: str, state: str, error: str) -> None:
    tracker.end(status, {"sinesweep.state": state, "sinesweep.error": redact_error(error)})


def _build(config: Config, directory: Path, tracker: Tracker) -> Parts:
    import pytorch_lightning as pl

    from sinesweep.task.datamodule import SeriesDataModule
    from sinesweep.training.building import build_data, build_module, refused_by
    from sinesweep.training.callbacks import NoProfiler, Together
    from sinesweep.training.checkpoint import AtomicCheckpointIO, EpochCheckpoint
    from sinesweep.training.evaluation import ReferenceEvaluation
    from sinesweep.training.objective import ObjectiveCheck
    from sinesweep.training.progress import ProgressBar, ProgressLines
    from sinesweep.training.pruning import PruningCallback
    from sinesweep.training.recorder import RecordLogger, StepScale
    from sinesweep.training.seeding import EpochSeeds

    _set_imports_aside()
    settings = config.settings
    data = build_data(config)
    module = build_module(config)
    logger = RecordLogger(tracker, [settings.objective, *settings.returned])
    keeper = EpochCheckpoint(
        directory / runs.CHECKPOINTS,
        settings.objective,
        settings.direction == "maximize",
        config.values["model"],
        interval=settings.checkpoint_interval,
    )
    tested = isinstance(data, SeriesDataModule) or _is_tested(module, data)
    judge = ObjectiveCheck(settings.objective, directory, tested)
    callbacks: list[pl.Callback] = [EpochSeeds(settings.seed), StepScale(logger), keeper, judge]
    if isinstance(data, SeriesDataModule):
        data.order_seed = settings.seed
        callbacks.append(ReferenceEvaluation(data))
    pruning = PruningCallback(settings.objective)
    callbacks.append(pruning)
    names = tuple(dict.fromkeys([*EPOCH_METRICS[:2], settings.objective]))
    callbacks.append(
        ProgressBar(names) if sys.stdout.isatty() else ProgressLines((*EPOCH_METRICS, *names))
    )
    with _quiet(), refused_by("trainer"):
        trainer = pl.Trainer(
            **{"profiler": NoProfiler(), **config.values["trainer"]},
            callbacks=Together(callbacks),
            logger=logger,
            plugins=AtomicCheckpointIO(),
            default_root_dir=directory,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
    return Parts(data, module, trainer, keeper, pruning)


def _check_interval(config: Config, data: pl.LightningDataModule) -> None:
    """Refuse to validate after more batches than an epoch has, as far as that is known."""
    from sinesweep.task.datamodule import SeriesDataModule

    interval = config.trainer.val_check_interval
    if not isinstance(data, SeriesDataModule) or not isinstance(interval, int):
        return
    batches = -(-len(data.splits.train) // data.batch_size)
    if interval > batches:
        raise InputError(
            f"trainer.val_check_interval: must be at most the {batches} batches of an epoch, but "
            f"is {interval}"
        )


def _resume_point(config: Config, directory: Path) -> Path | None:
    if config.settings.resume is None:
        return None
    from sinesweep.training.checkpoint import latest

    path, complaints = latest(directory / runs.CHECKPOINTS)
    for complaint in complaints:
        logging.getLogger(__name__).warning("%s; going on from the one before it", complaint)
    return path


def _use_best(parts: Parts, directory: Path) -> None:
    from sinesweep.training.checkpoint import BEST, load, load_weights

    best = directory / runs.CHECKPOINTS / BEST
    if best.exists():
        load_weights(parts.module, load(best))


def _is_tested(module: pl.LightningModule, data: pl.LightningDataModule) -> bool:
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.model_helpers import is_overridden

    return is_overridden("test_step", module, pl.LightningModule) and is_overridden(
        "test_dataloader", data, pl.LightningDataModule
    )


def _is_first(parts: Parts) -> bool:
    return parts.trainer.is_global_zero


def _finish(config: Config, tracker: Tracker, parts: Parts, start: float) -> Result:
    from sinesweep.training.account import conclude
    from sinesweep.training.outputs import Trained

    trainer, best_epoch = parts.trainer, parts.checkpoint.best_epoch
    return conclude(
        config,
        tracker,
        Trained(parts.module, parts.data, best_epoch),
        {name: float(value) for name, value in trainer.callback_metrics.items()},
        trial=current_trial(),
        epochs=trainer.current_epoch,
        start=start,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes on hardware and defaults from the screen; its errors are raised."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The data is in memory: worker processes would only cost.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        # An epoch without validation leaves such a schedule as it is.
        warnings.filterwarnings("ignore", message="ReduceLROnPlateau conditioned on metric.*")
        # Metrics are gathered from all processes before they are logged.
        warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
        # Lightning 2.6 asks torch in a way that torch 2.13 is about to drop.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
