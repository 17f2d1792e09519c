import io
import math

import pytest
import torch

from sinesweep.task.optimizer import KerasAdam

LR, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def train(optimizer: KerasAdam, parameter: torch.nn.Parameter, gradients: torch.Tensor) -> None:
    """Take one step for each row of gradients."""
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()


def make_optimizer(parameter: torch.nn.Parameter) -> KerasAdam:
    """Make the optimizer of one parameter."""
    return KerasAdam([parameter], lr=LR, betas=(BETA1, BETA2), epsilon=EPSILON)


@pytest.mark.parametrize("gradient", [1.0, 1e-6, 1e-8])
@pytest.mark.parametrize("steps", [1, 3])
def test_epsilon_is_added_before_the_correction(gradient: float, steps: int) -> None:
    """Each step is Keras' own, also where the gradient is so small that epsilon decides."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    gradients = torch.full((steps, 1), gradient, dtype=torch.float64)
    train(make_optimizer(parameter), parameter, gradients)
    expected = first = second = 0.0
    for step in range(1, steps + 1):
        first = BETA1 * first + (1 - BETA1) * gradient
        second = BETA2 * second + (1 - BETA2) * gradient**2
        rate = LR * math.sqrt(1 - BETA2**step) / (1 - BETA1**step)
        expected -= rate * first / (math.sqrt(second) + EPSILON)
    # float64 rounding of about twenty operations
    assert parameter.item() == pytest.approx(expected, rel=1e-12, abs=0)


def test_continues_from_its_state() -> None:
    """An optimizer that goes on from a saved state takes the same steps to the last bit."""
    gradients = 1e-6 * torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    through = torch.nn.Parameter(torch.zeros(20))
    train(make_optimizer(through), through, gradients)

    stopped = torch.nn.Parameter(torch.zeros(20))
    before = make_optimizer(stopped)
    train(before, stopped, gradients[:3])
    file = io.BytesIO()
    torch.save(before.state_dict(), file)
    file.seek(0)

    after = make_optimizer(stopped)
    after.load_state_dict(torch.load(file, weights_only=True))
    train(after, stopped, gradients[3:])
    assert torch.equal(stopped, through)
