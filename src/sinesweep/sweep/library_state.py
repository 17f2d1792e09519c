"""State of NumPy and torch that a trial can change. Neither is imported for that."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from typing import Any


def read_numpy() -> tuple[bytes, Any] | None:
    """Return the state of the global generator and the error modes; None before the import."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or "numpy.random" not in sys.modules:
        return None
    return pickle.dumps(numpy.random.get_state(legacy=False)), numpy.geterr()


def write_numpy(before: tuple[bytes, Any] | None, _: Any) -> None:
    """Restore the state, or that of a fresh import if the trial imported NumPy."""
    numpy: Any = sys.modules["numpy"]
    if before is None:  # the trial imported it
        numpy.random.seed()
        numpy.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
        return
    state, errors = before
    numpy.random.set_state(pickle.loads(state))  # written above
    numpy.seterr(**errors)


def read_torch() -> dict[str, Any] | None:
    """Return the states of the generators and the process-wide settings; None before the import."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "default_generator"):
        return None
    cuda = torch.cuda
    return {
        "random": torch.get_rng_state().numpy().tobytes(),
        "cuda": [s.numpy().tobytes() for s in cuda.get_rng_state_all()]
        if cuda.is_initialized()
        else [],
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
    """Restore the state, or that of a fresh import if the trial imported torch."""
    import torch

    if before is None:  # the trial imported it
        torch.seed()
        before = {
            "random": torch.get_rng_state().numpy().tobytes(),
            "cuda": [],
            "dtype": torch.float32,
            "device": torch.device("cpu"),
            "threads": _threads() or now["threads"],
            "gradients": True,
            "anomalies": False,
            "deterministic": (False, False),
            "precision": "highest",
            "cudnn": (False, False),
        }
    torch.set_rng_state(_torch_bytes(before["random"]))
    for index, state in enumerate(before["cuda"]):
        torch.cuda.set_rng_state(_torch_bytes(state), index)
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


def _torch_bytes(state: bytes) -> Any:
    import torch

    return torch.frombuffer(bytearray(state), dtype=torch.uint8)
