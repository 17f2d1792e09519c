"""The seeds that each point of a sweep is evaluated under, where that is more than one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sinesweep.tracking import record

_FOLDER = "repeat-"


@dataclass(frozen=True)
class Repeats:
    """What a trial's value is the mean of.

    Attributes:
        key: of the seed in the configuration.
        seeds: the configuration's own, then those counted on from it.
    """

    key: str
    seeds: Sequence[int]

    def further(self, overrides: Sequence[str]) -> list[list[str]]:
        """Return a trial's overrides under each seed but the configuration's own."""
        kept = [override for override in overrides if not override.startswith(f"{self.key}=")]
        return [[*kept, f"{self.key}={seed}"] for seed in self.seeds[1:]]


def folder(directory: Path, index: int) -> Path:
    """Return where a trial is evaluated under its further seeds, counted from 1."""
    return directory / f"{_FOLDER}{index}"


def folders(directory: Path) -> list[Path]:
    """Return the folders of a trial's evaluations, the trial's own first."""
    return [directory, *directory.glob(f"{_FOLDER}*")]


def mean_metrics(directory: Path) -> dict[str, float]:
    """Return the last value of each metric that a trial recorded, the mean over its seeds.

    Args:
        directory: the trial's folder.

    Returns:
        The metrics that were recorded under every seed.
    """
    told = [_last_values(each) for each in folders(directory)]
    names = [name for name in told[0] if all(name in values for values in told)]
    return {name: sum(values[name] for values in told) / len(told) for name in names}


def _last_values(directory: Path) -> Mapping[str, float]:
    history = record.metric_history(directory)
    return {name: pairs[-1][1] for name, pairs in history.items()}
