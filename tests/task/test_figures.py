from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from sinesweep.task import figures
from sinesweep.task.reference import reference_sets

TRAINING_RANGE = {"period": (10.0, 20.0), "decay": (0.01, 0.1)}
BASELINES = {"constant": 0.078, "last_value": 0.0837, "linear": 7e-6}


def assert_is_a_drawing(path: Path) -> None:
    """Assert that a PNG is large enough to read and shows more than a blank sheet."""
    image = matplotlib.image.imread(path)
    assert min(image.shape[:2]) > 300
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 50


@pytest.mark.parametrize("horizon", [1, 5])
def test_forecasts(tmp_path: Path, horizon: int) -> None:
    """The figure of forecasts is drawn for any horizon."""
    windows = reference_sets(50, horizon).test
    errors = np.linspace(0.01, 0.1, len(windows))
    figures.draw_forecasts(tmp_path / "a.png", windows, windows.targets + 0.01, errors)
    assert_is_a_drawing(tmp_path / "a.png")


@pytest.mark.parametrize(
    "training_range",
    [
        TRAINING_RANGE,
        {"period": (15.0, 15.0), "decay": (0.05, 0.05)},
        {"period": (2.0, 90.0), "decay": (0.0, 0.9)},
    ],
)
def test_error_map(tmp_path: Path, training_range: dict[str, tuple[float, float]]) -> None:
    """The error map is drawn for training ranges inside, at and beyond the grid."""
    windows = reference_sets(50, 5).test
    errors = np.linspace(0.01, 0.1, len(windows))
    figures.draw_error_map(tmp_path / "a.png", windows, errors, training_range)
    assert_is_a_drawing(tmp_path / "a.png")


def test_error_map_shows_the_errors(tmp_path: Path) -> None:
    """Other errors are another picture."""
    windows = reference_sets(50, 5).test
    rising = np.linspace(0.01, 0.1, len(windows))
    for name, errors in (("a.png", rising), ("b.png", rising[::-1])):
        figures.draw_error_map(tmp_path / name, windows, errors, TRAINING_RANGE)
    first, second = (matplotlib.image.imread(tmp_path / name) for name in ("a.png", "b.png"))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("epochs", "best_epoch"), [(30, 20), (1, 0), (30, None)], ids=["many", "one", "no best"]
)
def test_learning_curves(tmp_path: Path, epochs: int, best_epoch: int | None) -> None:
    """The learning curves are drawn for many epochs and for one, with a best epoch or without."""
    points = [(epoch, 0.1 / (epoch + 1)) for epoch in range(epochs)]
    curves = {"train/mae": points, "val/mae": points, "reference/val_mae": points}
    figures.draw_learning_curves(tmp_path / "a.png", curves, BASELINES, best_epoch)
    assert_is_a_drawing(tmp_path / "a.png")
