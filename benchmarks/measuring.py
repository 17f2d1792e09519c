"""What the benchmarks share: the header and the ratio."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib import metadata


def print_header(title: str, repeats: int, seed: int | None = None) -> None:
    """Print what was measured where."""
    names = ("torch", "numba", "mlflow", "optuna", "hydra-core")
    versions = " ".join(f"{name} {metadata.version(name)}" for name in names)
    lightning = metadata.version("pytorch-lightning")
    print(title)
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
          f"{versions} pytorch-lightning {lightning}; "
          f"{repeats} repeats in turn{'' if seed is None else f'; seed {seed}'}")  # fmt: skip


def print_ratio(name: str, ours: Sequence[float], theirs: Sequence[float], unit: str) -> None:
    """Print two medians and the median, least and greatest of the pairwise ratios."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(
        f"{name}: {statistics.median(ours):.3f} {unit} against {statistics.median(theirs):.3f} "
        f"{unit}, ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} .. {max(ratios):.3f})"
    )
