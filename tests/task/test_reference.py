from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sinesweep.task.reference import NAME, ReferenceSets, reference_sets

MakeData = Callable[..., Any]


@pytest.fixture(scope="module")
def sets() -> ReferenceSets:
    """The reference sets for the default window."""
    return reference_sets(50, 5)


@pytest.mark.parametrize(
    ("split", "fingerprint"),
    [
        ("val", "dc2241bf687624f9891260b429c42357f7aef4fe79a7bf48aedce3ca7978b4ca"),
        ("test", "23a5ea3938d1ddbe73d4d816c2b16f5f82d998d18a2509691d32020f49775047"),
    ],
)
def test_numbers_belong_to_the_name(sets: ReferenceSets, split: str, fingerprint: str) -> None:
    """The numbers of v1 never change: others need another NAME, and new fingerprints here."""
    assert sets.name == NAME == "damped-sines-v1"
    assert getattr(sets, split).fingerprint() == fingerprint


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.seed=9"],
        ["data.noise=0.1", "data.noisy_targets=true"],
        ["data.period={low: 3.0, high: 4.0}", "data.decay={low: 0.2, high: 0.3}"],
        ["data.amplitude={low: 2.0, high: 3.0}", "data.offset={low: 2.0, high: 3.0}"],
        ["data.num_series=10", "data.val_series=10", "data.test_series=10"],
        ["data.batch_size=3"],
        ["data.length=90"],
        ["data=post"],
        ["seed=9"],
    ],
)
def test_no_data_key_changes_the_sets(
    sets: ReferenceSets, make_data: MakeData, overrides: list[str]
) -> None:
    """Whatever a run trains on, it is judged on the same numbers."""
    reference = make_data(*overrides).reference
    assert reference.name == sets.name
    assert reference.val.fingerprint() == sets.val.fingerprint()
    assert reference.test.fingerprint() == sets.test.fingerprint()


def test_shorter_input_keeps_name_and_targets(sets: ReferenceSets) -> None:
    """A model that reads fewer steps forecasts the same numbers under the same name."""
    shorter = reference_sets(20, 5)
    assert shorter.name == sets.name
    np.testing.assert_array_equal(shorter.test.targets, sets.test.targets)
    np.testing.assert_array_equal(shorter.test.inputs, sets.test.inputs[:, -20:])


@pytest.mark.parametrize(
    ("input_steps", "output_steps", "rest"),
    [
        (50, 3, "/length-55/horizon-3"),
        (50, 10, "/length-60/horizon-10"),
        (60, 5, "/length-65/horizon-5"),
        (45, 10, "/length-55/horizon-10"),
    ],
)
def test_other_targets_have_another_name(input_steps: int, output_steps: int, rest: str) -> None:
    """What forecasts other numbers has another name, which says how it differs."""
    assert reference_sets(input_steps, output_steps).name == NAME + rest


def test_val_and_test_are_disjoint(sets: ReferenceSets) -> None:
    """No series to choose by is among those to report on."""
    val, test = (
        {row.tobytes() for row in windows.patterns.table()} for windows in (sets.val, sets.test)
    )
    assert not val & test


def test_no_series_comes_twice(sets: ReferenceSets) -> None:
    """Within a set every pattern is distinct."""
    for windows in (sets.val, sets.test):
        assert len({row.tobytes() for row in windows.patterns.table()}) == len(windows)


@pytest.mark.parametrize("quantity", ["period", "decay"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_wider_than_the_training_range(
    sets: ReferenceSets, make_data: MakeData, split: str, quantity: str
) -> None:
    """The grid reaches beyond the default training range at both ends."""
    low, high = make_data().training_range[quantity]
    values = getattr(getattr(sets, split).patterns, quantity)
    assert values.min() < low < high < values.max()


@pytest.mark.parametrize("split", ["val", "test"])
def test_grid_is_full(sets: ReferenceSets, split: str) -> None:
    """Every cell of the grid has equally many series."""
    patterns = getattr(sets, split).patterns
    cells = np.unique(np.stack([patterns.period, patterns.decay]), axis=1, return_counts=True)[1]
    assert len(cells) == 9 * 8
    assert len(set(cells.tolist())) == 1
