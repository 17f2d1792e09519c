"""Adam for many models is PyTorch's for each, compiled and in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sinesweep.fused import adam, compiled


@pytest.mark.parametrize("clip", [0.1, None])
@pytest.mark.parametrize("extreme", [0.5, 1e30, torch.inf, torch.nan])
def test_a_step_by_a_gradient_that_overflows(clip: float | None, extreme: float) -> None:
    """It is PyTorch's, clipped or not, and no neighbour's in a batch has a part in it."""
    gradient, weights = torch.full((3, 2), 0.2), torch.ones(3, 2)
    gradient[1, 1] = extreme
    parameter = torch.nn.Parameter(weights.clone())
    parameter.grad = gradient.clone()
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_([parameter], clip)
    rates = adam.rates_of(optimizer, clip)
    optimizer.step()
    expected = parameter.detach()

    alone = weights.flatten().numpy().copy()
    moments = np.zeros((2, 6), np.float32)
    compiled.step(alone, *moments, gradient.flatten().numpy().copy(), tuple(rates), 1)
    torch.testing.assert_close(torch.from_numpy(alone).view(3, 2), expected, equal_nan=True)

    neighbours = [rates, adam.rates_of(optimizer, 0.3), adam.rates_of(optimizer, None)]
    stacked = torch.stack([weights] * 3)
    zeros = [torch.zeros_like(stacked) for _ in range(2)]
    together = adam.Adam(neighbours, [0] * 3, [stacked], [zeros[0]], [zeros[1]], count=1)
    together.step([torch.stack([gradient, torch.ones(3, 2), gradient])])
    torch.testing.assert_close(stacked[0], expected, equal_nan=True)
    assert stacked[1].isfinite().all()
    if clip is None:
        torch.testing.assert_close(stacked[2], expected, equal_nan=True)


def test_an_eps_that_would_make_nan_of_units_without_a_gradient() -> None:
    """PyTorch takes it, as a network by itself may."""
    parameters = [torch.nn.Parameter(torch.ones(1))]
    assert adam.refusal(torch.optim.Adam(parameters, eps=0.0)) == "its optimizer's eps is 0"
    assert adam.refusal(torch.optim.Adam(parameters, eps=1e-30)) is None


def test_models_that_have_taken_different_numbers_of_steps() -> None:
    """Each is corrected by its own, at each of the steps that the rates are made for."""
    behind, count = (0, 3, 40), 4
    gradients = torch.randn(
        max(behind) + count, 3, 2, 2, generator=torch.Generator().manual_seed(0)
    )
    gradients = gradients.double()
    start = torch.ones(3, 2, 2, dtype=torch.float64)
    expected, weights, first, second = [], start.clone(), start.clone(), start.clone()
    for k, steps in enumerate(behind):
        parameter = torch.nn.Parameter(start[k].clone())
        optimizer = torch.optim.AdamW([parameter], lr=0.1, betas=(0.8, 0.95), weight_decay=0.3)
        for n in range(steps + count):
            if n == steps:
                state = optimizer.state[parameter] if steps else {}
                weights[k] = parameter.detach()
                first[k] = state.get("exp_avg", torch.zeros(()))
                second[k] = state.get("exp_avg_sq", torch.zeros(()))
            parameter.grad = gradients[n, k].clone()
            optimizer.step()
        expected.append(parameter.detach())
        rates = adam.rates_of(optimizer, None)
    together = adam.Adam([rates] * 3, behind, [weights], [first], [second], count=count)
    for n in range(count):
        together.step([torch.stack([gradients[steps + n, k] for k, steps in enumerate(behind)])])
    # The same sums and products but for their order.
    torch.testing.assert_close(weights, torch.stack(expected), atol=1e-14, rtol=1e-12)
