"""Settings of NumPy and torch that a trial can change. Neither is imported for that."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any


def read_numpy() -> dict[str, Any] | None:
    """Return what NumPy does on errors; None before the import."""
    numpy: Any = sys.modules.get("numpy")
    return None if numpy is None else numpy.geterr()


def write_numpy(before: Mapping[str, Any] | None, _: Any) -> None:
    """Restore the settings, or those of a fresh import if the trial imported NumPy."""
    numpy: Any = sys.modules["numpy"]
    fresh = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    numpy.seterr(**(fresh if before is None else before))


def read_torch() -> dict[str, Any] | None:
    """Return the process-wide settings; None before the import."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "default_generator"):
        return None
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "precision": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
    }


def write_torch(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Restore the settings, or those of a fresh import if the trial imported torch."""
    import torch

    if before is None:  # the trial imported it
        before = {
            "dtype": torch.float32,
            "device": torch.device("cpu"),
            "threads": _threads() or now["threads"],
            "gradients": True,
            "anomalies": False,
            "deterministic": (False, False),
            "precision": "highest",
            "cudnn": (False, False),
        }
    torch.set_default_dtype(before["dtype"])
    if now["device"] != before["device"]:
        torch.set_default_device(before["device"])
    if now["threads"] != before["threads"]:
        torch.set_num_threads(before["threads"])
    torch.set_grad_enabled(before["gradients"])
    torch.autograd.set_detect_anomaly(before["anomalies"])
    enabled, warn_only = before["deterministic"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.set_float32_matmul_precision(before["precision"])
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before["cudnn"]


def _threads() -> int:
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0
