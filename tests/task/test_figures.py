from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from sinesweep.task import figures, reference
from sinesweep.task.reference import reference_sets

Range = dict[str, tuple[float, float]]
Sides = tuple[float | None, float | None, float | None, float | None]

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


PERIODS, DECAYS = len(reference.PERIODS), len(reference.DECAYS)


@pytest.mark.parametrize(
    ("training_range", "sides", "label"),
    [
        (TRAINING_RANGE, (0.5, 6.5, 0.5, 6.5), "period 10 to 20, decay 0.01 to 0.1"),
        (
            {"period": (11.0, 13.0), "decay": (0.01, 0.01)},
            (1.5, 2.5, 0.5, 1.5),
            "period 11 to 13, decay 0.01",
        ),
        (
            {"period": (8.0, 24.0), "decay": (0.005, 0.15)},
            (-0.5, PERIODS - 0.5, -0.5, DECAYS - 0.5),
            "period 8 to 24, decay 0.005 to 0.15",
        ),
        (
            {"period": (15.0, 15.0), "decay": (0.05, 0.05)},
            (3.4, 3.6, 3.4, 3.6),
            "period 15, decay 0.05",
        ),
        (
            {"period": (2.0, 20.0), "decay": (0.01, 0.9)},
            (None, 6.5, 0.5, None),
            "period 2 to 20, decay 0.01 to 0.9 (beyond the open sides, too)",
        ),
        (
            {"period": (2.0, 90.0), "decay": (0.0, 0.9)},
            (None, None, None, None),
            "period 2 to 90, decay 0 to 0.9 (beyond the open sides, too)",
        ),
        (
            {"period": (30.0, 40.0), "decay": (0.01, 0.1)},
            (None, None, 0.5, 6.5),
            "period 30 to 40, decay 0.01 to 0.1 (outside this grid)",
        ),
        (
            {"period": (2.0, 3.0), "decay": (0.01, 0.1)},
            (None, None, 0.5, 6.5),
            "period 2 to 3, decay 0.01 to 0.1 (outside this grid)",
        ),
    ],
    ids=["inside", "between", "whole", "fixed", "partly", "beyond", "above", "below"],
)
def test_frame_is_the_training_range(training_range: Range, sides: Sides, label: str) -> None:
    """The frame holds the cells in the training range; a side beyond the grid is out of sight."""
    axis = Figure().subplots()
    axis.set_xlim(-0.5, PERIODS - 0.5)
    axis.set_ylim(-0.5, DECAYS - 0.5)
    frame = figures._frame(
        axis, np.array(reference.PERIODS), np.array(reference.DECAYS), training_range
    )
    (left, bottom), (right, top) = frame.get_bbox().get_points()
    for side, expected, end in zip(
        (left, right, bottom, top), sides, (PERIODS, PERIODS, DECAYS, DECAYS), strict=True
    ):
        if expected is None:
            assert not -1 < side < end
        else:
            assert side == pytest.approx(expected)
    assert frame.get_label() == f"training range: {label}"


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
