"""The user's code that the sweep's own process calls: sampler, constraints, pruner, terminator."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError

from sinesweep.errors import EnvironmentFault, HookFailed, SweepFailed
from sinesweep.files import unwritable
from sinesweep.sweep.wording import error_text, one_line

_LIBRARIES = ("optuna", "sinesweep")
_OF_STORAGES = (StorageInternalError, UpdateFinishedTrialError)
_CONSTRAINTS = "_process_constraints_after_trial"  # Optuna's function that calls constraints_func


@contextmanager
def hook(key: str, name: str) -> Iterator[None]:
    """Turn an error of code that a key of ``hydra.sweeper`` names into one message.

    Errors of the study's storage, and of a refused write, are no errors of that code.

    Args:
        key: the key below ``hydra.sweeper``.
        name: the class or the function.

    Raises:
        HookFailed: the code has raised an exception.
    """
    try:
        yield
    except (SweepFailed, EnvironmentFault, *_OF_STORAGES):
        raise
    except Exception as error:
        if unwritable(error) is not None:
            raise
        rule = f"{key}: {name} must not fail"
        if (function := _constraints_func(error)) is not None:
            rule = f"{key}.constraints_func: {_name(function)} must return a list of numbers"
        raise HookFailed(
            f"hydra.sweeper.{rule}, but raised {one_line(error_text(error))}{place(error)}: "
            "correct it; what the trials came to is kept"
        ) from error


def place(error: BaseException) -> str:
    """Return where the user's code failed, be it in a call of a library's."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _LIBRARIES:
            return f" ({Path(frame.f_code.co_filename).name}, line {line})"
    return ""


def _constraints_func(error: BaseException) -> Any:
    """Return the function if its call, or what it returned, has raised the error."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    found = (frame for frame in frames if frame.f_code.co_name == _CONSTRAINTS)
    return next((frame.f_locals.get("constraints_func") for frame in found), None)


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
