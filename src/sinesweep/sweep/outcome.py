"""What became of a trial, as its worker says it and leaves it in the trial's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sinesweep.files import read_json, warn_of_damage, write_atomically
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RETRIED

FILE_NAME = "outcome.json"

_KINDS = (COMPLETE, PRUNED, FAIL, RETRIED, INTERRUPTED)
_LOSS = "what the trial came to is not known from it; unless the study knows, the trial runs again"


@dataclass(frozen=True)
class Outcome:
    """The end of a trial.

    Attributes:
        kind: COMPLETE, PRUNED, FAIL, RETRIED or INTERRUPTED.
        values: one for each objective, finite; only where COMPLETE.
        error: what went wrong, in a line.
        checkpoint: the file to keep of the trial, if it named one.
        constraints: name to value, of a trial that is COMPLETE or PRUNED; above 0 is violated.
        errno: the number of the error that it failed with, if a write was refused: whether the
            trial or the environment is at fault is for the sweep's process to find out.
    """

    kind: str
    values: tuple[float, ...] | None = None
    error: str | None = None
    checkpoint: str | None = None
    constraints: Mapping[str, float] | None = None
    errno: int | None = None

    @classmethod
    def complete(
        cls,
        values: tuple[float, ...],
        checkpoint: str | None = None,
        constraints: Mapping[str, float] | None = None,
    ) -> Self:
        """It returned values."""
        return cls(COMPLETE, values=values, checkpoint=checkpoint, constraints=constraints or None)

    @classmethod
    def pruned(
        cls, checkpoint: str | None = None, constraints: Mapping[str, float] | None = None
    ) -> Self:
        """It was given up as unpromising."""
        return cls(PRUNED, checkpoint=checkpoint, constraints=constraints or None)

    @classmethod
    def failed(cls, error: str, errno: int | None = None) -> Self:
        """It failed."""
        return cls(FAIL, error=error, errno=errno)

    @classmethod
    def interrupted(cls, error: str) -> Self:
        """It was stopped with the sweep, and is to be run again."""
        return cls(INTERRUPTED, error=error)

    def to_be_retried(self) -> Outcome:
        """It failed, and is to be run again."""
        return Outcome(RETRIED, error=self.error)

    def write(self, directory: Path) -> None:
        """Leave it in the trial's folder: should nobody be left to hear it, it is read there."""
        write_atomically(directory / FILE_NAME, json.dumps(asdict(self)).encode())


def forget_outcome(directory: Path) -> None:
    """Remove what a worker left in a trial's folder."""
    with suppress(OSError):  # the study or the next command says what became of the trial
        (directory / FILE_NAME).unlink(missing_ok=True)


def read_outcome(directory: Path) -> Outcome | None:
    """Return what a worker left in a trial's folder; None if the file is missing or damaged."""
    path = directory / FILE_NAME
    content = read_json(path, _LOSS)
    if content is None:
        return None
    try:
        return _outcome(content)
    except (KeyError, TypeError, ValueError) as error:
        warn_of_damage(path, f"no outcome: {error!r}", _LOSS)
        return None


def _outcome(content: Mapping[str, Any]) -> Outcome:
    values, kind = content["values"], content["kind"]
    if kind not in _KINDS or (kind == COMPLETE) != bool(values):
        raise ValueError(f"{kind} with the values {values}")
    numbers = tuple(float(value) for value in values) if values else None
    constraints = {str(key): float(v) for key, v in (content.get("constraints") or {}).items()}
    return Outcome(**{**content, "values": numbers, "constraints": constraints or None})


def listed(value: Any) -> list[Any]:
    """Return what a function returned as a list in Python's own types.

    Arrays, tensors and NumPy's numbers are converted, alone or in a list or tuple.
    """
    plain = _as_python(value)
    return list(map(_as_python, plain)) if isinstance(plain, (list, tuple)) else [plain]


def _as_python(value: Any) -> Any:
    return value.tolist() if callable(getattr(value, "tolist", None)) else value
