"""The network against Keras itself, on Keras' torch back end.

Both have the gates in one order: input, forget, cell, output.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from sinesweep.task.datamodule import Batches, PostDataModule, WindowTensors
from sinesweep.task.network import StackedLSTM


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Keras on its torch back end, which is chosen when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        keras = importlib.import_module("keras")
        assert keras.backend.backend() == "torch"
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # networks this small are several times slower on more
        yield keras
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recipe(compose: Callable[..., DictConfig]) -> DictConfig:
    """The configuration of the recipe."""
    return compose("experiment=post")


@pytest.fixture(scope="module")
def post(recipe: DictConfig) -> PostDataModule:
    """The recipe's data."""
    return instantiate(recipe.data)


def make_network(model: DictConfig) -> StackedLSTM:
    """Make the network of a model's section."""
    return StackedLSTM(
        layers=model.layers,
        width=model.width,
        output_steps=model.output_steps,
        dropout=model.dropout,
        initialization=model.initialization,
    )


@pytest.fixture
def pair(keras: Any, recipe: DictConfig) -> tuple[Any, StackedLSTM]:
    """The recipe's network in Keras, and ours with its weights."""
    keras.utils.set_random_seed(0)
    theirs = keras.Sequential(
        [
            keras.Input((50, 1)),
            keras.layers.LSTM(20, return_sequences=True),
            keras.layers.LSTM(20),
            keras.layers.Dense(5),
        ]
    )
    ours = make_network(recipe.model)
    with torch.no_grad():
        for parameter, weight in zip(trained(ours), theirs.get_weights(), strict=True):
            parameter.copy_(torch.from_numpy(weight.T.copy()))
    return theirs, ours


def trained(network: StackedLSTM) -> list[torch.nn.Parameter]:
    """Return the trainable parameters in Keras' order: input, recurrent, bias; head."""
    return [p for p in network.parameters() if p.requires_grad]


def test_parameter_count(pair: tuple[Any, StackedLSTM]) -> None:
    """Both networks have as many trainable parameters."""
    theirs, ours = pair
    assert theirs.count_params() == ours.trainable_parameters


def test_predictions(pair: tuple[Any, StackedLSTM], post: PostDataModule) -> None:
    """With the same weights both forecast the same."""
    theirs, ours = pair
    inputs = post.splits.train.inputs[::50]
    expected = theirs.predict_on_batch(inputs[:, :, None])
    with torch.inference_mode():
        forecast = ours(torch.from_numpy(inputs)).numpy()
    # 50 steps in float32 (relative spacing 1.2e-7), sums in another order; the absolute part is for
    # outputs near zero, the largest being near 1
    np.testing.assert_allclose(forecast, expected, rtol=1e-5, atol=1e-6)


def test_one_epoch(
    keras: Any, pair: tuple[Any, StackedLSTM], post: PostDataModule, recipe: DictConfig
) -> None:
    """Over an epoch of the same batches both have the same losses and end at the same weights."""
    theirs, ours = pair
    # without jit_compile=False Keras would compile the unrolled loop for half a minute
    theirs.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mae", jit_compile=False)
    optimizer = instantiate(recipe.optimizer)(trained(ours))
    data = WindowTensors(post.splits.train)
    expected, losses = [], []
    for rows in Batches(data, batch_size=recipe.data.batch_size, shuffle_seed=0):
        inputs, targets = data[rows]
        expected.append(theirs.train_on_batch(inputs.numpy()[:, :, None], targets.numpy()))
        optimizer.zero_grad()
        loss = torch.nn.functional.l1_loss(ours(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # float32 rounding, which 25 steps let grow; 5e-7 was measured
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-5)
    for parameter, weight in zip(trained(ours), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(parameter.detach().numpy().T, weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1])
def test_initial_weights(pair: tuple[Any, StackedLSTM], recipe: DictConfig, layer: int) -> None:
    """The recipe's initial weights have the scale and the bias of Keras' own."""
    theirs, _ = pair
    torch.manual_seed(0)
    ours = trained(make_network(recipe.model))
    part = slice(3 * layer, 3 * layer + 3)
    for parameter, weight in zip(ours[part], theirs.get_weights()[part], strict=True):
        # 80 uniform numbers or more: their standard deviations differ by 5% (one sigma)
        assert float(parameter.detach().std(correction=0)) == pytest.approx(weight.std(), rel=0.2)
    np.testing.assert_array_equal(ours[part][2].detach(), theirs.get_weights()[part][2])
