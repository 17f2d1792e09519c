"""Checkpoints that are whole or not there: written between epochs, refused when damaged.

In a run's ``checkpoints`` folder: ``last.ckpt``, the newest state that was written,
``previous.ckpt``, the one before it, and ``best.ckpt``, the weights of the epoch with the best
objective up to ``last.ckpt``. All are Lightning checkpoints that load with ``weights_only=True``.

``last.ckpt`` holds a copy of ``best.ckpt``, which is written after it and, when a run is continued,
again from it. So whenever a process is killed the two fit together: no best epoch is lost, and none
is from an epoch that the continued run has yet to train.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from lightning_fabric.plugins import TorchCheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from pytorch_lightning.callbacks import Checkpoint

from sinesweep.errors import InputError
from sinesweep.modules import add_folders_of_run
from sinesweep.redaction import hidden_keys, redact_tree
from sinesweep.training.readable import HPARAMS, ReadablePart

LAST = "last.ckpt"
PREVIOUS = "previous.ckpt"
BEST = "best.ckpt"
OWN_KEY = "sinesweep"
_EXTRA_STATE = "_extra_state"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under another name and renames it when it is whole.

    A killed process leaves the old file. Should the power fail before the system has written the
    new one to disk, there is still the one before it: waiting for the disk each epoch is not worth
    what it costs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._part = ReadablePart()

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Write, rename; or hand the checkpoint to ``storage_options`` and write nothing.

        What could not be read again is left out.

        Raises:
            OSError: it cannot be written, to this path.
        """
        checkpoint = self._part.of(checkpoint)
        if storage_options is not None:
            storage_options(checkpoint)
            return
        path = Path(path)
        temporary = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
            temporary.replace(path)
        except (OSError, RuntimeError) as error:
            # PyTorch tells of its own bookkeeping, and of what the system said in the context.
            said = error if isinstance(error, OSError) else error.__context__
            if not isinstance(said, OSError):
                raise
            told = f"the checkpoint cannot be written ({said.strerror or said})"
            raise OSError(said.errno, told, str(path)) from error


class EpochCheckpoint(Checkpoint):
    """Writes checkpoints between epochs, once all that an epoch reported has been told.

    An epoch shorter than the interval is not written each time: the weights of the best are held
    in memory until the next checkpoint. The last epoch is always written.

    If the objective is logged by validations, an epoch's value is that of its last validation, and
    its weights are those that were validated, even if batches were trained after it.

    Args:
        directory: the folder for checkpoints.
        objective: the metric that chooses the best epoch; where it is not reported each epoch,
            the last epoch is the best.
        maximize: whether more is better.
        model: the model's section of the configuration, kept, but for secrets, so that the model
            can be built again.
        interval: seconds between checkpoints, at least; 0 writes one each epoch.
        clock: tells seconds.
    """

    def __init__(
        self,
        directory: Path,
        objective: str,
        maximize: bool,
        model: Mapping[str, Any],
        *,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._objective = objective
        self._maximize = maximize
        self._model = redact_tree(model, "model")
        self._interval = interval
        self._clock = clock
        self.best_value: float | None = None
        self.best_epoch: int | None = None
        self._best: dict[str, Any] | None = None  # what best.ckpt is to hold; in the first process
        self._validated: float | None = None  # the objective after the epoch's last validation
        self._goes_on = False  # whether a batch that follows that validation is still to come
        self._candidate: dict[str, Any] | None = None  # the weights that were validated
        self._best_is_written = True
        self._epoch = -1  # the last one that ended
        self._written_epoch = -1
        self._written_at = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the interval from here: until it is over, there is little to lose."""
        self._written_at = self._clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the objective: its weights are kept if training changes them within the epoch."""
        if not trainer.sanity_checking:
            self._validated, self._goes_on = self._value(trainer), True
            self._candidate = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the weights of the epoch's last validation, if they may be the best."""
        if not self._goes_on:
            return
        self._goes_on = False
        if trainer.strategy.broadcast(self._is_better(self._validated)):
            self._save(trainer, self._hold_candidate)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch that has just ended, its schedule stepped and its metrics told."""
        self._end_epoch(trainer, is_over=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the last epoch."""
        self._end_epoch(trainer, is_over=True)

    def on_save_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Add what a reader needs to build the model and to go on."""
        # Between epochs Lightning still holds the batch count of the last one, and on restart
        # would take the next epoch for finished.
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        progress["current"] = dict.fromkeys(progress["current"], 0)
        progress["is_last_batch"] = False
        checkpoint.setdefault(HPARAMS[0], self._arguments())
        checkpoint[OWN_KEY] = {**self._own(), "best": self._best}

    def on_load_checkpoint(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        checkpoint: dict[str, Any],
    ) -> None:
        """Go on from the best so far."""
        own = checkpoint[OWN_KEY]
        self._epoch = self._written_epoch = own["epoch"]
        self.best_value, self.best_epoch = own["best_value"], own["best_epoch"]
        self._best, self._best_is_written = _copied(own["best"]), False
        if trainer.is_global_zero:
            self._write_best()
        trainer.strategy.barrier("sinesweep.checkpoint")

    def _own(self) -> dict[str, Any]:
        return {
            "model": self._model,
            "run": _run_of(self._directory),
            "epoch": self._epoch,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
        }

    def _arguments(self) -> dict[str, Any]:
        """Return the model's arguments of plain values, for ``load_from_checkpoint``."""
        return {
            key: value
            for key, value in self._model.items()
            if not key.startswith("_")
            and not has_target(value)
            and not any(hidden_keys(value, key))
        }

    def _end_epoch(self, trainer: pl.Trainer, *, is_over: bool) -> None:
        epoch = trainer.current_epoch - 1
        is_new = epoch > self._epoch
        self._epoch = max(epoch, self._epoch)
        is_best = is_new and self._is_best(trainer, epoch)
        was_validated = self._candidate is not None and self._validated == self.best_value
        # Saving takes all processes, and neither their clocks nor their metrics need agree.
        is_best, was_validated, is_due = trainer.strategy.broadcast(
            (is_best, was_validated, is_over or self._is_due())
        )
        if is_best and not was_validated:
            self._save(trainer, self._hold)
        elif is_best and self._candidate is not None:
            self._hold(self._candidate)
        self._validated, self._goes_on, self._candidate = None, False, None
        if is_due and self._epoch > self._written_epoch:
            self._write(trainer)

    def _save(self, trainer: pl.Trainer, take: Callable[[dict[str, Any]], None]) -> None:
        """Have all processes gather the weights, and the first one take them."""
        trainer.save_checkpoint(self._directory / BEST, weights_only=True, storage_options=take)

    def _is_due(self) -> bool:
        return self._clock() - self._written_at >= self._interval

    def _write(self, trainer: pl.Trainer) -> None:
        new = self._directory / "new.ckpt"
        trainer.save_checkpoint(new, weights_only=False)
        if trainer.is_global_zero:
            self._rotate(new)
        trainer.strategy.barrier("sinesweep.checkpoint")
        self._written_epoch, self._written_at = self._epoch, self._clock()

    def _rotate(self, new: Path) -> None:
        last = self._directory / LAST
        if last.exists():
            last.replace(self._directory / PREVIOUS)
        new.replace(last)
        if not self._best_is_written:
            self._write_best()

    def _hold(self, best: dict[str, Any]) -> None:
        """Copy what training is about to change."""
        self._best = {HPARAMS[0]: self._arguments(), **_copied(best), OWN_KEY: self._own()}
        self._best_is_written = False

    def _hold_candidate(self, weights: dict[str, Any]) -> None:
        self._candidate = _copied(weights)

    def _write_best(self) -> None:
        if self._best is not None:
            AtomicCheckpointIO().save_checkpoint(self._best, self._directory / BEST)
        self._best_is_written = True

    def _is_best(self, trainer: pl.Trainer, epoch: int) -> bool:
        value = self._value(trainer)
        if value is None:
            self.best_epoch = epoch
            return True
        better = self._is_better(value)
        if better:
            self.best_value, self.best_epoch = value, epoch
        return better

    def _value(self, trainer: pl.Trainer) -> float | None:
        value = trainer.callback_metrics.get(self._objective)
        return None if value is None else float(value)

    def _is_better(self, value: float | None) -> bool:
        return value is not None and is_better(value, self.best_value, maximize=self._maximize)


def is_better(value: float, best: float | None, *, maximize: bool) -> bool:
    """Whether an epoch's objective is finite and better than the best so far, if there is one."""
    if not math.isfinite(value):
        return False
    return best is None or (value > best if maximize else value < best)


def _copied(content: Any) -> Any:
    return apply_to_collection(content, torch.Tensor, _copy)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises:
        InputError: it is missing, truncated, or not one of ours.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"checkpoint {path}: there is no such file") from None
    except Exception as error:  # noqa: BLE001 # the reader fails in many ways on foreign bytes
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {path}: it is damaged or no checkpoint ({cause})") from None
    if not isinstance(content, dict) or OWN_KEY not in content:
        raise InputError(f"checkpoint {path}: it was not written by sinesweep")
    return content


def latest(directory: Path) -> tuple[Path | None, list[str]]:
    """Find the newest checkpoint that is whole and of this run.

    Returns:
        Its path, or None where nothing was kept yet, and a message for each one passed over.

    Raises:
        InputError: checkpoints are there, and none will do.
    """
    complaints: list[str] = []
    for name in (LAST, PREVIOUS):
        path = directory / name
        if not path.exists():
            continue
        try:
            _check_run(load(path), path)
        except InputError as error:
            complaints.append(str(error))
        else:
            return path, complaints
    if complaints:
        raise InputError("\n".join(complaints))
    return None, []


def _check_run(content: Mapping[str, Any], path: Path) -> None:
    run, owner = _run_of(path.parent), content[OWN_KEY].get("run")
    if owner != run:
        raise InputError(f"checkpoint {path}: it must be of run {run}, but is of {owner}")


def _run_of(directory: Path) -> str:
    """Return the name of the run whose folder for checkpoints this is."""
    return directory.absolute().parent.name


def load_module(path: str | Path, **secrets: Any) -> pl.LightningModule:
    """Build a checkpoint's LightningModule with its weights, ready to forecast.

    Args:
        path: the checkpoint.
        secrets: values of the model's section that were kept out of it.

    Raises:
        InputError: it is not whole, not one of ours, or a secret is missing.
    """
    content = load(Path(path))
    section = {**content[OWN_KEY]["model"], **secrets}
    missing = [key for key in hidden_keys(section) if key.partition(".")[0] not in secrets]
    if missing:
        raise InputError(
            f"checkpoint {path}: holds no secrets, and needs {' and '.join(missing)} of the "
            f"model: load_module(path, {', '.join(f'{key}=...' for key in _first(missing))})"
        )
    add_folders_of_run(Path(path).absolute().parent.parent)
    module: pl.LightningModule = instantiate(section, _convert_="all")
    load_weights(module, content)
    return module.eval()


def load_weights(module: pl.LightningModule, content: Mapping[str, Any]) -> None:
    """Give a module the weights of a checkpoint.

    Extra state of a class of the user's own is not in a checkpoint, and stays as it is.

    Raises:
        RuntimeError: the weights are of another module.
    """
    weights = content["state_dict"]
    kept = {key: v for key, v in module.state_dict().items() if key.endswith(_EXTRA_STATE)}
    module.load_state_dict({**kept, **weights})


def has_target(value: Any) -> bool:
    """Whether a section of a configuration is, or holds, an object to be made."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(has_target, value.values()))
    return isinstance(value, (list, tuple)) and any(map(has_target, value))


def _first(keys: list[str]) -> list[str]:
    return list(dict.fromkeys(key.partition(".")[0] for key in keys))
