"""What ``audit`` and ``sync`` say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found of a run or a sweep.

    Attributes:
        text: what was found, and what was done about it.
        remains: whether it is still to be mended.
        unsent: how many events of its record the tracker still does not have.
    """

    text: str
    remains: bool = False
    unsent: int = 0
