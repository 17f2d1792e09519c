"""Run a trained module on plain arrays."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from sinesweep.errors import ForecastFault


def forecast(
    module: pl.LightningModule, inputs: NDArray[np.float32], output_steps: int | None = None
) -> NDArray[np.floating]:
    """Forecast series.

    Args:
        module: maps (N, I) to (N, O).
        inputs: (N, I).
        output_steps: O, if the module must have it.

    Returns:
        (N, O), on the CPU: in double precision where the module is, or else in single.

    Raises:
        ForecastFault: the module has no ``forward``, or that returns another shape.
    """
    if type(module).forward is pl.LightningModule.forward:
        raise _fault(module, "has no forward method")
    like = next(module.parameters(), torch.zeros(0))
    with torch.inference_mode():
        outputs = module(torch.from_numpy(inputs).to(device=like.device, dtype=like.dtype))
    if not isinstance(outputs, torch.Tensor):
        raise _fault(module, f"returns a {type(outputs).__name__}")
    steps = outputs.shape[-1:] if output_steps is None else (output_steps,)
    if outputs.shape != (len(inputs), *steps):
        raise _fault(module, f"maps {tuple(inputs.shape)} to {tuple(outputs.shape)}")
    return (outputs if like.dtype == torch.float64 else outputs.float()).cpu().numpy()


def _fault(module: pl.LightningModule, problem: str) -> ForecastFault:
    return ForecastFault(
        f"{type(module).__name__} must map a tensor (batch, input_steps) to a tensor (batch, "
        f"output_steps) in forward on the data of the reference task, but {problem}: correct "
        "forward, or give data of your own"
    )
