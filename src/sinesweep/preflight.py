"""What can be known before anything is created: folder, tracker, packages, accelerator."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sinesweep.config import Config
from sinesweep.errors import InputError
from sinesweep.files import ROOM, path_problem
from sinesweep.fused.reference import is_trained_together
from sinesweep.schema import Trainer
from sinesweep.tracking import location

_BYTES = 4  # of a number in single precision


def check(config: Config) -> None:
    """Refuse a run that cannot succeed here.

    Raises:
        InputError: naming what is missing and how to mend it.
    """
    _check_packages()
    if config.settings.resume and is_trained_together(config):
        raise InputError(
            f"resume: must name a run that keeps checkpoints to go on from, but "
            f"{config.settings.resume} was trained as sweeps with slots do (together=true), which "
            "keep the best epoch alone: run its command again"
        )
    root = Path(config.tracking.root)
    check_folder(root)
    if config.tracking.backend == "mlflow":
        location.check(location.locate(config.tracking.uri, root))
    _check_memory(config)
    if config.trainer.accelerator not in ("auto", "cpu"):
        _check_accelerator(config.trainer.accelerator)
    _check_devices(config.trainer)


def check_folder(root: Path, key: str = "tracking.root") -> None:
    """Refuse a folder that cannot be written to, or whose disk is full; its key is named."""
    if problem := path_problem(root):
        raise InputError(f"{key}: {problem}: choose another folder with {key}=...")
    existing = root.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
    except OSError as error:
        room = "make room, or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise InputError(
            f"{key}: the folder must be writable, but {root} is not "
            f"({error.strerror}): {room}choose another one with {key}=..."
        ) from None
    free = shutil.disk_usage(existing).free
    if free < ROOM:
        raise InputError(
            f"{key}: the disk must have {ROOM >> 20} MiB free, but {root} has "
            f"{free >> 20}: make room, or choose another folder with {key}=..."
        )


def check_run_folder(config: DictConfig) -> None:
    """Refuse a run's folder that is in use, if the command names one: the run owns its folder.

    Raises:
        InputError: the folder cannot be made, or holds other files.
    """
    subfolder = config.hydra.output_subdir
    if subfolder is not None and (problem := path_problem(subfolder)):
        raise InputError(f"hydra.output_subdir: {problem}: choose another name")
    folder = Path(config.hydra.run.dir)
    if config.get("resume") is not None:
        return  # its folder was found
    check_folder(folder, "hydra.run.dir")
    if folder.is_dir() and (any(folder.iterdir()) or folder.samefile(Path.cwd())):
        raise InputError(
            f"hydra.run.dir: must be a new folder, but {folder} is there and in use: choose "
            "another one, or leave the key out"
        )
    check_logging(config)


def check_logging(config: DictConfig) -> None:
    """Refuse levels of logging that are none: Hydra sets logging up when a run has its folder.

    Raises:
        InputError: naming the key.
    """
    # Unresolved: the file that it may name is in the folder that is still to be made.
    plain = OmegaConf.to_container(config.hydra.job_logging, resolve=False)
    for key, value in _levels(plain, "hydra.job_logging"):
        is_known = isinstance(value, int) or value in logging.getLevelNamesMapping()
        if not is_known and "${" not in str(value):
            raise InputError(
                f"{key}: must be a level of logging, such as INFO or WARNING, but is {value!r}"
            )


def _levels(section: object, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(section, dict):
        for name, value in section.items():
            if name == "level":
                yield f"{key}.{name}", value
            yield from _levels(value, f"{key}.{name}")


def _check_packages() -> None:
    for package in ("torch", "pytorch_lightning", "torchmetrics"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{package} must be installed for training, but is not: "
                "pip install 'sinesweep[task]'"
            )


def _check_memory(config: Config) -> None:
    """Refuse series or weights that this machine has no memory for."""
    if not config.own_task:
        return
    data, model = config.values["data"], config.values["model"]
    room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    series = sum(data.get(key, 0) for key in ("num_series", "val_series", "test_series"))
    steps = data.get("length", data["input_steps"] + data["output_steps"])
    for what, keys, numbers in (
        ("the series", "data.num_series and data.length", series * steps),
        ("the patterns", "data.repeats", data.get("repeats", 0) * steps),
        ("a batch", "data.input_steps and data.output_steps", steps),
        ("the weights", "model.layers and model.width", 8 * model["layers"] * model["width"] ** 2),
    ):
        if numbers * _BYTES > room:
            raise InputError(
                f"{keys}: {what} must fit the memory of {room / 2**30:.0f} GiB, but take "
                f"{numbers * _BYTES / 2**30:.3g} GiB: make them smaller"
            )


def _check_devices(trainer: Trainer) -> None:
    wanted = trainer.devices
    count = wanted if isinstance(wanted, int) else 1
    if isinstance(wanted, list) and wanted:
        count = max(wanted) + 1
    if count == 1 or trainer.accelerator in ("mps", "tpu"):
        return
    there, kind = _devices(trainer.accelerator)
    if count > there:
        raise InputError(
            f"trainer.devices: the machine must have them, but has {there} of the kind {kind}, and "
            f"{wanted} is asked for: use trainer.devices=1"
        )


def device_count(accelerator: str) -> int:
    """Return how many devices ``trainer.devices=auto`` takes: of CPUs always one."""
    if accelerator in ("cpu", "mps", "tpu"):
        return 1
    count, kind = _devices(accelerator)
    return count if kind == "cuda" else 1


def _devices(accelerator: str) -> tuple[int, str]:
    """Return how many devices there are, and of which kind: a process of its own runs on each."""
    if accelerator != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.device_count(), "cuda"
    return os.cpu_count() or 1, "cpu"


def _check_accelerator(name: str) -> None:
    # Only a run that asks for an accelerator pays for looking: this imports torch.
    import torch

    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "tpu": importlib.util.find_spec("torch_xla") is not None,
    }
    wanted = ("cuda", "mps") if name == "gpu" else (name,)
    if not any(present[kind] for kind in wanted):
        raise InputError(
            f"trainer.accelerator: the machine must have it, but there is no {name} here: "
            "use trainer.accelerator=cpu or auto"
        )
