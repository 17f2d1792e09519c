"""The seeds that each point of a sweep is evaluated under, where that is more than one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
