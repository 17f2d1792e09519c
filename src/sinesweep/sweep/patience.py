"""Calls to a database that may be away for a while, as when it is restarted."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import InterfaceError, OperationalError, PendingRollbackError

from sinesweep.errors import StudyAway
from sinesweep.redaction import redact
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.wording import one_line

PATIENCE = 120.0  # seconds that a database may be away before the sweep fails
_LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code for a wait for a lock that took too long
_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two tries
_BLIP = 5.0  # seconds that a database may be away without a sweep that is to stop losing anything
_AT_ONCE = 2  # signals: a sweep that is told so often waits for nothing

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Patience:
    """Makes calls to a database, again and again while it is away; all calls wait together.

    Args:
        address: the database's, as it may be shown.
        interrupts: Ctrl-C and SIGTERM, which end the waiting.
        seconds: that the database may be away.
    """

    def __init__(
        self, address: str = "", interrupts: Interrupts | None = None, seconds: float | None = None
    ) -> None:
        self._address = address
        self._interrupts = interrupts
        self._seconds = PATIENCE if seconds is None else seconds
        self._since: float | None = None  # the database has been away

    @property
    def signals(self) -> int:
        """How often the process was asked to stop."""
        return self._interrupts.count if self._interrupts else 0

    def leave_if_asked(self, before: int) -> None:
        """Wait no more where the process was asked to stop.

        Args:
            before: how often it had been when the waiting began.

        Raises:
            Interrupted: it was, since then.
        """
        if self._interrupts and self._interrupts.count > before:
            self._interrupts.leave_if_any()

    def __call__(self, call: Callable[[], _T]) -> _T:
        """Return what a call returns; try it again while the database is away.

        A call may have been carried out although its connection broke before it said so. Those that
        Optuna makes may be made twice: a second trial has no place and is dropped, a second end of
        a trial is refused.

        Raises:
            StudyAway: the database was away for too long.
            Interrupted: the process was asked to stop, and the database is away for some seconds.
            Exception: something else is wrong.
        """
        pause = _SHORTEST
        while True:
            try:
                answer = call()
            except Exception as error:
                if not is_outage(error):
                    raise
                self._see_how_long(error)
            else:
                self._since = None
                return answer
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    def _see_how_long(self, error: Exception) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
            cause = _cause(error)
            _log.warning(
                "the study's database does not answer (%s): trying for %g s", cause, self._seconds
            )
        if now > self._since + (_BLIP if self.signals < _AT_ONCE else 0.0):
            self.leave_if_asked(0)
        if now > self._since + self._seconds:
            raise StudyAway(
                f"the study's database must answer, but {self._address or 'it'} has not for "
                f"{self._seconds:g} s ({_cause(error)}): see that it can be reached; what became "
                "of the trials meanwhile is in their folders"
            ) from error


def _cause(error: Exception) -> str:
    return one_line(redact(str(error.__cause__ or error)))


def is_outage(error: BaseException) -> bool:
    """Whether an error says that the database is away, and not that it was asked wrongly."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):  # Optuna asked again in a transaction that broke
        return cause.__context__ is not None and is_outage(cause.__context__)
    if not isinstance(cause, (OperationalError, InterfaceError)):
        return False
    return getattr(cause.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE


class PatientStorage:
    """Optuna's storage in a database, each of whose calls is made patiently.

    Args:
        storage: as Optuna makes it.
        patience: with the database.
    """

    def __init__(self, storage: RDBStorage, patience: Patience) -> None:
        self._storage = storage
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def call(*arguments: Any, **more: Any) -> Any:
            return self._patience(lambda: found(*arguments, **more))

        return call
