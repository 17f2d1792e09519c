"""What a training computes on."""

from __future__ import annotations

import torch


def name_of(device: torch.device) -> str:
    """Return what tells two devices apart whose numbers may differ in the last bit."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"  # AVX512, AVX2 and so on
    return str(device)
