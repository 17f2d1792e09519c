"""Run a trained module on plain arrays."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray


def forecast(module: pl.LightningModule, inputs: NDArray[np.float32]) -> NDArray[np.floating]:
    """Forecast series.

    Args:
        module: maps (N, I) to (N, O).
        inputs: (N, I).

    Returns:
        (N, O), on the CPU: in double precision where the module is, or else in single.
    """
    like = next(module.parameters())
    with torch.inference_mode():
        outputs = module(torch.from_numpy(inputs).to(device=like.device, dtype=like.dtype))
    return (outputs if like.dtype == torch.float64 else outputs.float()).cpu().numpy()
