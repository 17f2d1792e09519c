"""What can be known before anything is created: folder, tracker, packages, accelerator."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

from sinesweep.config import Config
from sinesweep.errors import InputError
from sinesweep.fused.reference import is_trained_together
from sinesweep.tracking import location

_ROOM = 50 * 2**20  # bytes that a run's files may need


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
    if config.trainer.accelerator not in ("auto", "cpu"):
        _check_accelerator(config.trainer.accelerator)


def check_folder(root: Path, key: str = "tracking.root") -> None:
    """Refuse a folder that cannot be written to, or whose disk is full; its key is named."""
    existing = root.absolute()
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
    except OSError as error:
        raise InputError(
            f"{key}: the folder must be writable, but {root} is not "
            f"({error.strerror}): choose another one with {key}=..."
        ) from None
    free = shutil.disk_usage(existing).free
    if free < _ROOM:
        raise InputError(
            f"{key}: the disk must have {_ROOM >> 20} MiB free, but {root} has "
            f"{free >> 20}: make room, or choose another folder with {key}=..."
        )


def _check_packages() -> None:
    for package in ("torch", "pytorch_lightning", "torchmetrics"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{package} must be installed for training, but is not: "
                "pip install 'sinesweep[task]'"
            )


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
