import hashlib

import numpy as np
import pytest

from sinesweep import seeds


def test_derive_is_sha256() -> None:
    """A derived seed is the first four bytes of SHA-256 over seed and path."""
    digest = hashlib.sha256(b"7/train/period").digest()
    assert seeds.derive(7, "train", "period") == int.from_bytes(digest[:4], "big")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((0,), 1609362278),
        ((0, "order", 0), 1842012267),
        ((1, "train", "period"), 313624360),
    ],
)
def test_derive_never_changes(path: tuple[int, ...], expected: int) -> None:
    """The seeds of published runs stay what they were."""
    assert seeds.derive(*path) == expected


@pytest.mark.parametrize(
    "other",
    [(1, "order", 3), (0, "order", 4), (0, "epoch", 3), (0, "order"), (0, "order", 3, 0)],
)
def test_another_path_has_another_seed(other: tuple[int, ...]) -> None:
    """Another seed, purpose or index is another stream."""
    assert seeds.derive(*other) != seeds.derive(0, "order", 3)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_derived_seed_is_one_that_numpy_and_torch_take(seed: int) -> None:
    """Derived seeds lie within 32 bits."""
    derived = [seeds.derive(seed, index) for index in range(1000)]
    assert min(derived) >= 0
    assert max(derived) < 2**32


def test_generator_repeats() -> None:
    """Two generators of one path draw the same numbers."""
    first, second = (seeds.generator(5, "noise").normal(size=10) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_generators_are_independent() -> None:
    """Drawing from one path changes nothing in another."""
    before = seeds.generator(5, "b").normal(size=10)
    seeds.generator(5, "a").normal(size=1000)
    np.testing.assert_array_equal(seeds.generator(5, "b").normal(size=10), before)


def test_generator_leaves_the_global_stream_alone() -> None:
    """Nothing is drawn from NumPy's global stream."""
    before = np.random.get_state(legacy=False)  # noqa: NPY002 # the stream that must not move
    seeds.generator(5, "a").normal(size=1000)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert before["state"]["pos"] == after["state"]["pos"]
