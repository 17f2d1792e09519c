"""What an audit says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What the audit found.

    Attributes:
        text: what was found, and what was done about it.
        remains: whether it is still to be mended.
    """

    text: str
    remains: bool = False
