from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sinesweep.task import baselines
from sinesweep.task.series import Patterns, Windows


def windows_of(inputs: list[list[float]], targets: list[list[float]]) -> Windows:
    """Make windows of given numbers."""
    return Windows(
        np.array(inputs, np.float32),
        np.array(targets, np.float32),
        Patterns(*[np.zeros(len(inputs))] * 5),
    )


@pytest.fixture(scope="module")
def figures(make_data: Callable[..., Any]) -> dict[str, dict[str, float]]:
    """The baselines on the default data."""
    splits = make_data().splits
    return baselines.evaluate(splits.train, {"test": splits.test})


@pytest.mark.parametrize(
    ("name", "expected"),
    [(baselines.CONSTANT, 0.0377), (baselines.LAST_VALUE, 0.0462), (baselines.LINEAR, 7e-6)],
)
def test_default_data(figures: dict[str, dict[str, float]], name: str, expected: float) -> None:
    """On the default data the baselines cost what the task's description says."""
    # The description measured another draw of 300 test series. Errors of single series spread as
    # widely as their mean, so two means of 300 differ by 8% (one sigma): 20% is 2.5 sigma.
    assert figures[name]["test"] == pytest.approx(expected, rel=0.2)


def test_linear_map_fails_with_noise(make_data: Callable[..., Any]) -> None:
    """With noise the linear map is no longer all but exact, so a network has something to win."""
    splits = make_data("data.noise=0.1").splits
    assert baselines.evaluate(splits.train, {"test": splits.test})["linear"]["test"] > 0.01


def test_constant_is_the_mean_of_the_training_targets() -> None:
    """The constant is the mean target, whatever is read."""
    forecast = baselines.fit(windows_of([[9], [9]], [[1, 2], [3, 6]]))[baselines.CONSTANT]
    np.testing.assert_array_equal(forecast(np.float32([[7], [8], [9]])), np.full((3, 2), 3.0))


def test_last_value_is_repeated() -> None:
    """The last value read is repeated over the horizon."""
    forecast = baselines.fit(windows_of([[0, 0]], [[0, 0, 0]]))[baselines.LAST_VALUE]
    np.testing.assert_array_equal(forecast(np.float32([[1, 2], [3, 4]])), [[2] * 3, [4] * 3])


def test_linear_map_has_an_intercept() -> None:
    """A map with an intercept is found exactly."""
    train = windows_of([[0], [1], [2]], [[3, 0], [5, 1], [7, 2]])
    forecast = baselines.fit(train)[baselines.LINEAR]
    # least squares in double precision on numbers of this size
    np.testing.assert_allclose(forecast(np.float32([[10]])), [[23, 10]], rtol=1e-12)


def test_fewer_series_than_steps() -> None:
    """A training set that does not determine the map still fits one through its series."""
    train = windows_of([[1, 0, 0, 1]], [[5.0]])
    # least squares in double precision on numbers of this size
    assert baselines.evaluate(train, {"train": train})["linear"]["train"] == pytest.approx(
        0, abs=1e-12
    )


def test_mae() -> None:
    """The MAE is the mean over all values of all series."""
    windows = windows_of([[0], [0]], [[1, 1], [1, 1]])
    assert baselines.mae(np.array([[1.0, 2.0], [0.0, 3.0]]), windows) == 1.0


@pytest.mark.parametrize(
    ("model", "last_value", "expected"),
    [(0.0, 0.04, 1.0), (0.04, 0.04, 0.0), (0.01, 0.04, 0.75), (0.08, 0.04, -1.0)],
)
def test_skill(model: float, last_value: float, expected: float) -> None:
    """Skill is 1 for a perfect model, 0 for one that repeats the last value, less below it."""
    assert baselines.skill(model, last_value) == expected
