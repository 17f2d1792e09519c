"""The one place where a seed becomes a generator.

Every random choice has a path of its own, such as ``("order", epoch)`` or ``("train", "period")``.
Two paths give independent streams, so asking for more of one changes nothing in another, and
nothing depends on what was drawn before: a run can be continued at any epoch.
"""

from __future__ import annotations

import hashlib

import numpy as np

_SEED_BYTES = 4


def derive(seed: int, *path: str | int) -> int:
    """Derive the seed of one purpose.

    Args:
        seed: the run's or the data's seed, 0 or more.
        path: what the numbers are for, names and indices.

    Returns:
        An integer in 0 .. 2**32 - 1, the first bytes of SHA-256 over seed and path.
    """
    name = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:_SEED_BYTES], "big")


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return NumPy's default generator for one purpose; see :func:`derive`."""
    return np.random.default_rng(derive(seed, *path))
