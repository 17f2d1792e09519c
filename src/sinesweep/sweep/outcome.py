"""What became of a trial, as its worker says it and leaves it in the trial's folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RETRIED

FILE_NAME = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Attributes:
        kind: COMPLETE, PRUNED, FAIL, RETRIED or INTERRUPTED.
        values: one for each objective, finite; only where COMPLETE.
        error: what went wrong, in a line.
        checkpoint: the file to keep of the trial, if it named one.
    """

    kind: str
    values: tuple[float, ...] | None = None
    error: str | None = None
    checkpoint: str | None = None

    @classmethod
    def complete(cls, values: tuple[float, ...], checkpoint: str | None = None) -> Self:
        """It returned values."""
        return cls(COMPLETE, values=values, checkpoint=checkpoint)

    @classmethod
    def pruned(cls, checkpoint: str | None = None) -> Self:
        """It was given up as unpromising."""
        return cls(PRUNED, checkpoint=checkpoint)

    @classmethod
    def failed(cls, error: str) -> Self:
        """It failed."""
        return cls(FAIL, error=error)

    @classmethod
    def interrupted(cls, error: str) -> Self:
        """It was stopped with the sweep, and is to be run again."""
        return cls(INTERRUPTED, error=error)

    def to_be_retried(self) -> Outcome:
        """It failed, and is to be run again."""
        return Outcome(RETRIED, error=self.error)

    def write(self, directory: Path) -> None:
        """Leave it in the trial's folder: should nobody be left to hear it, it is read there."""
        temporary = directory / f".{FILE_NAME}.part"
        temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        temporary.replace(directory / FILE_NAME)


def read_outcome(directory: Path) -> Outcome | None:
    """Return what a worker left in a trial's folder."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    values = content["values"]
    return Outcome(**{**content, "values": tuple(values) if values else None})
