"""Calls to a database that may be away for a while, as when it is restarted."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import InterfaceError, OperationalError

from sinesweep.redaction import redact
from sinesweep.sweep.wording import one_line

PATIENCE = 120.0  # seconds that a database may be away before the sweep fails
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code for a wait for a lock that took too long
_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two tries

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Outage:
    """Since when the database has been away: all calls of the process share their patience."""

    since: float | None = None


def patiently(call: Callable[[], _T]) -> _T:
    """Return what a call returns; try it again while the database is away.

    A call may have been carried out although its connection broke before it said so. Those that
    Optuna makes may be made twice: a second trial has no place and is dropped, a second end of a
    trial is refused.

    Raises:
        Exception: the database was away for longer than :data:`PATIENCE`, or something else is
            wrong.
    """
    pause = _SHORTEST
    while True:
        try:
            answer = call()
        except Exception as error:
            if not is_outage(error):
                raise
            is_new = _Outage.since is None
            _Outage.since = _Outage.since or time.monotonic()
            if time.monotonic() > _Outage.since + PATIENCE:
                raise
            if is_new:
                _log.warning(
                    "the study's database does not answer (%s): trying for %g s",
                    one_line(redact(str(error.__cause__ or error))),
                    PATIENCE,
                )
        else:
            _Outage.since = None
            return answer
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database is away, and not that it was asked wrongly."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if not isinstance(cause, (OperationalError, InterfaceError)):
        return False
    return getattr(cause.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE


class PatientStorage:
    """Optuna's storage in a database, each of whose calls is made patiently.

    Args:
        storage: as Optuna makes it.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*arguments: Any, **more: Any) -> Any:
            return patiently(lambda: found(*arguments, **more))

        return call
