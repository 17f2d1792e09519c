import math

import pytest
import torch

from sinesweep.task.network import StackedLSTM


def post_network() -> StackedLSTM:
    """Make the source recipe's network."""
    torch.manual_seed(0)
    return StackedLSTM(layers=2, width=20, output_steps=5, initialization="keras")


def named(network: StackedLSTM, part: str) -> list[torch.Tensor]:
    """Return the LSTM's parameters whose names begin so, layer by layer."""
    return [p.detach() for name, p in network.lstm.named_parameters() if name.startswith(part)]


def test_post_network_has_5145_parameters() -> None:
    """The recipe's network has as many trainable parameters as Keras counts."""
    assert post_network().trainable_parameters == 5145


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_one_bias_a_gate(layers: int) -> None:
    """Each layer has 4 H (I + H + 1) parameters, the head (H + 1) O."""
    width, outputs = 7, 4
    expected = 4 * width * (1 + width + 1) + (layers - 1) * 4 * width * (2 * width + 1)
    expected += (width + 1) * outputs
    network = StackedLSTM(layers=layers, width=width, output_steps=outputs)
    assert network.trainable_parameters == expected


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("steps", [1, 50])
def test_shapes(layers: int, batch: int, steps: int) -> None:
    """A batch of any size and length becomes a forecast of the horizon."""
    network = StackedLSTM(layers=layers, width=8, output_steps=5)
    assert network(torch.rand(batch, steps)).shape == (batch, 5)


def test_head_reads_the_top_layer() -> None:
    """The forecast is made of the last layer's last state."""
    network = StackedLSTM(layers=2, width=8, output_steps=5)
    series = torch.rand(3, 10)
    states, _ = network.lstm(series.unsqueeze(-1))
    torch.testing.assert_close(network(series), network.head(states[:, -1]), rtol=0, atol=0)


def test_rows_are_independent() -> None:
    """A series is forecast alike alone and in a batch."""
    network = StackedLSTM(layers=2, width=8, output_steps=5)
    series = torch.rand(3, 10)
    # products of another shape may add up in another order
    torch.testing.assert_close(network(series)[1:2], network(series[1:2]), rtol=1e-5, atol=1e-6)


def test_dropout_is_between_layers() -> None:
    """Dropout acts while training, and where there is a place between layers."""
    series = torch.rand(3, 10)
    for layers, differs in ((1, False), (2, True)):
        network = StackedLSTM(layers=layers, width=8, output_steps=5, dropout=0.5).train()
        assert torch.equal(network(series), network(series)) != differs


def test_dropout_is_off_in_evaluation() -> None:
    """A forecast of a trained network does not depend on chance."""
    network = StackedLSTM(layers=2, width=8, output_steps=5, dropout=0.5).eval()
    series = torch.rand(3, 10)
    assert torch.equal(network(series), network(series))


def test_pytorch_initialization_is_within_its_bound() -> None:
    """PyTorch's weights are uniform within one over the root of the width."""
    network = StackedLSTM(layers=2, width=16, output_steps=5)
    for weights in named(network, "weight"):
        assert weights.abs().max() <= 1 / 4
        # 64 numbers or more, uniform within the bound: the largest is near it
        assert weights.abs().max() > 0.9 / 4


def test_keras_input_weights_are_glorot_uniform() -> None:
    """Input weights fill the range of Glorot's rule."""
    for weights, inputs in zip(named(post_network(), "weight_ih"), (1, 20), strict=True):
        bound = math.sqrt(6 / (inputs + 80))
        assert weights.abs().max() <= bound
        # 80 numbers or more, uniform within the bound: the largest is near it
        assert weights.abs().max() > 0.9 * bound


def test_keras_recurrent_weights_are_orthogonal() -> None:
    """The columns of the recurrent weights are orthonormal."""
    for weights in named(post_network(), "weight_hh"):
        # float32 rounding of sums of 80 products
        torch.testing.assert_close(weights.T @ weights, torch.eye(20), rtol=0, atol=1e-5)


def test_keras_bias_opens_the_forget_gate() -> None:
    """The bias is 1 for the forget gate, the second of four, and 0 for the others."""
    for bias in named(post_network(), "bias_ih"):
        assert bias.tolist() == [0.0] * 20 + [1.0] * 20 + [0.0] * 40


def test_keras_head() -> None:
    """The head has Glorot's weights and no bias."""
    head = post_network().head
    assert head.weight.abs().max() <= math.sqrt(6 / 25)
    assert torch.count_nonzero(head.bias) == 0


@pytest.mark.parametrize("initialization", ["pytorch", "keras"])
def test_second_bias_stays_zero(initialization: str) -> None:
    """Training moves every parameter but PyTorch's second bias."""
    torch.manual_seed(0)
    network = StackedLSTM(layers=2, width=8, output_steps=5, initialization=initialization)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.AdamW(
        (p for p in network.parameters() if p.requires_grad), weight_decay=0.1
    )
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.rand(4, 10)).sub(1).abs().mean().backward()
        optimizer.step()
    assert all(torch.count_nonzero(bias) == 0 for bias in named(network, "bias_hh"))
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == ("bias_hh" in name)
