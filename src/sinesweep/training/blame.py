"""Whose code an exception comes from: what is said of it depends on that."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

# What stands between the configuration and the class that it names.
_BETWEEN = frozenset(("sinesweep", "hydra", "importlib", "functools", "contextlib"))
# What checks its arguments itself, in words that a user of their keys can follow.
_LIBRARIES = frozenset(("torch", "torchmetrics", "pytorch_lightning", "lightning_fabric"))


def is_of_own_code(error: BaseException) -> bool:
    """Whether an exception was raised inside the user's own code, rather than at its door.

    A call with arguments that a class does not have, and a class that is not there, fail before
    the first line of that class runs: no frame of the traceback is of the user's code.
    """
    return any(isinstance(cause, SyntaxError) or _comes_from_own(cause) for cause in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _comes_from_own(error: BaseException) -> bool:
    packages = (
        str(frame.f_globals.get("__name__")).partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    called = next((package for package in packages if package not in _BETWEEN), None)
    return called is not None and called not in _LIBRARIES
