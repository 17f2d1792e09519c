import numpy as np
import pytest

from sinesweep.report.evidence import difference, verdict
from sinesweep.report.grids import bands

NOISE = np.random.default_rng(1).normal(0, 1, 30)


def test_clear_difference() -> None:
    """Groups that are apart by far more than they scatter are told apart."""
    text = verdict({"a": list(NOISE + 10), "b": list(NOISE)}, 1, "mae")
    assert text.startswith("b had the lowest median mae")
    assert "beyond chance" in text


@pytest.mark.parametrize("sign", [1, -1])
def test_no_difference(sign: int) -> None:
    """Groups of the same values are within noise, whichever way is better."""
    assert verdict({"a": list(NOISE), "b": list(NOISE + 0.01)}, sign, "mae").endswith(
        "the difference is within noise."
    )


def test_larger_is_better() -> None:
    """Where large values are good the largest median is first."""
    assert verdict({"a": [1.0], "b": [2.0]}, -1, "skill").startswith(
        "b had the highest median skill, 2 of 1 trial; next was a"
    )


def test_too_few() -> None:
    """Two values are not enough to tell groups apart."""
    text = verdict({"a": [1.0, 1.0], "b": [2.0, 2.0, 2.0]}, 1, "mae")
    assert text.endswith("too few trials to tell them apart.")


def test_interval_holds_the_difference() -> None:
    """The interval is of the second median less the first, and the same each time."""
    low, high = difference(list(NOISE), list(NOISE + 5))
    assert low < 5 < high
    assert (low, high) == difference(list(NOISE), list(NOISE + 5))


def test_bands() -> None:
    """Neighbouring values share a band where there are more than are allowed."""
    assert bands([1, 2, 3, 4, 5], 2) == [[1, 2, 3], [4, 5]]
    assert bands([1, 2], 4) == [[1], [2]]
