import math

import numpy as np
import pytest

from sinesweep.task.series import QUANTITIES, Patterns, Windows, cut, damped_sines, draw

RANGES = {
    "period": (10.0, 20.0),
    "decay": (0.01, 0.1),
    "amplitude": (0.2, 0.8),
    "phase": (0.0, 6.0),
    "offset": (0.4, 0.6),
}


def test_formula() -> None:
    """Each value is that of the formula, evaluated by itself."""
    patterns = draw(3, RANGES, 0, "train")
    series = damped_sines(patterns, 40)
    for n, (period, decay, amplitude, phase, offset) in enumerate(patterns.table()):
        for i in range(40):
            sine = math.sin(2 * math.pi * i / period + phase)
            expected = offset + amplitude * sine * math.exp(-decay * i)
            # sin and exp of NumPy and of C may differ in their last bits
            assert series[n, i] == pytest.approx(expected, rel=1e-13)


def test_first_values_of_the_post() -> None:
    """The post's first series starts at the offset and swings by the amplitude."""
    half = np.array([0.5])
    patterns = Patterns(np.array([12.0]), np.array([0.0]), half, 0 * half, half)
    # a quarter of the period is 3 steps; rounding of sin and pi is all that differs
    np.testing.assert_allclose(damped_sines(patterns, 7)[0, ::3], [0.5, 1.0, 0.5], atol=1e-15)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_draw_prefix(quantity: str) -> None:
    """The first patterns are the same however many are drawn."""
    few, many = draw(5, RANGES, 3, "train"), draw(500, RANGES, 3, "train")
    np.testing.assert_array_equal(getattr(few, quantity), getattr(many, quantity)[:5])


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_draw_stays_in_range(quantity: str) -> None:
    """Values lie between low and high, and fill the range."""
    low, high = RANGES[quantity]
    values = getattr(draw(1000, RANGES, 0, "train"), quantity)
    assert low <= values.min() <= low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) <= values.max() <= high


@pytest.mark.parametrize("changed", QUANTITIES)
def test_another_range_changes_one_quantity(changed: str) -> None:
    """A range of one quantity leaves the draws of the others alone."""
    before = draw(20, RANGES, 0, "train")
    after = draw(20, {**RANGES, changed: (2.0, 3.0)}, 0, "train")
    differing = [q for q in QUANTITIES if not np.array_equal(getattr(before, q), getattr(after, q))]
    assert differing == [changed]


@pytest.mark.parametrize(("seed", "split"), [(1, "train"), (0, "val")])
def test_another_seed_or_split_is_another_draw(seed: int, split: str) -> None:
    """Seeds and splits share no pattern."""
    first = {row.tobytes() for row in draw(200, RANGES, 0, "train").table()}
    second = {row.tobytes() for row in draw(200, RANGES, seed, split).table()}
    assert not first & second


def test_fixed_quantity() -> None:
    """A range whose ends meet gives every series the same value."""
    ranges = {**RANGES, "offset": (0.5, 0.5)}
    assert set(draw(20, ranges, 0, "train").offset) == {0.5}


def test_cut_is_at_the_end() -> None:
    """A window is the end of its series: the inputs, and right after them the targets."""
    patterns = draw(4, RANGES, 0, "train")
    windows = cut(patterns, 30, input_steps=12, output_steps=3)
    series = damped_sines(patterns, 30).astype(np.float32)
    np.testing.assert_array_equal(windows.inputs, series[:, 15:27])
    np.testing.assert_array_equal(windows.targets, series[:, 27:])


def test_input_steps_leave_the_targets() -> None:
    """Models that read more or fewer steps forecast the same numbers."""
    patterns = draw(4, RANGES, 0, "train")
    targets = [cut(patterns, 55, steps, 5).targets for steps in (10, 50)]
    np.testing.assert_array_equal(*targets)


def test_cut_gives_single_precision() -> None:
    """Windows have the precision that networks take."""
    windows = cut(draw(4, RANGES, 0, "train"), 55, 50, 5)
    assert (windows.inputs.dtype, windows.targets.dtype) == (np.float32, np.float32)


def test_length() -> None:
    """Patterns and windows have the length of their series."""
    patterns = draw(4, RANGES, 0, "train")
    assert len(patterns) == len(cut(patterns, 55, 50, 5)) == 4


def test_fingerprint_repeats() -> None:
    """Equal windows have equal fingerprints, however their arrays lie in memory."""
    patterns = draw(4, RANGES, 0, "train")
    first = cut(patterns, 55, 50, 5)
    second = Windows(np.asfortranarray(first.inputs), first.targets.copy(), patterns)
    assert first.fingerprint() == second.fingerprint()


@pytest.mark.parametrize("part", ["inputs", "targets"])
def test_fingerprint_sees_the_last_bit(part: str) -> None:
    """A change in the last bit of one value is another fingerprint."""
    before, after = (cut(draw(4, RANGES, 0, "train"), 55, 50, 5) for _ in range(2))
    values = getattr(after, part)
    values[-1, -1] = np.nextafter(values[-1, -1], np.float32(2))
    assert before.fingerprint() != after.fingerprint()


def test_fingerprint_sees_the_shape() -> None:
    """The same numbers in another shape have another fingerprint."""
    windows = cut(draw(4, RANGES, 0, "train"), 55, 50, 5)
    folded = Windows(windows.inputs.reshape(8, 25), windows.targets, windows.patterns)
    assert windows.fingerprint() != folded.fingerprint()
