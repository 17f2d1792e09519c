"""A participant's lease: a thread renews it, unless the control loop hangs in its turn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from sinesweep.sweep.postgres import connect

_SHARE = 4  # renewals in a lease
_LET_GO = 5.0  # seconds that a renewal which hangs is waited for
_log = logging.getLogger(__name__)

_RENEW = """
    INSERT INTO sinesweep_participant
        (study, id, key, host, pid, folder, settings, lease, lease_until)
    VALUES (:study, :id, :key, :host, :pid, :folder, :settings, :lease,
            clock_timestamp() + make_interval(secs => :lease))
    ON CONFLICT (study, id) DO UPDATE SET lease_until = EXCLUDED.lease_until
"""


class Lease:
    """Keeps a participant's row up to date, over a connection of its own.

    Args:
        engine: of the study's database.
        participant: its row, without the time.
        seconds: how long it is taken for alive without a sign of life.
        is_well: whether the participant does what it is there for, asked by the thread.
    """

    def __init__(
        self,
        engine: Engine,
        participant: Mapping[str, Any],
        seconds: float,
        is_well: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._values = {**participant, "lease": seconds}
        self._is_well = is_well
        self._pause = seconds / _SHARE
        self._connection: Connection | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="sinesweep-lease", daemon=True)

    def start(self) -> None:
        """Renew it from here on."""
        self._thread.start()

    def stop(self) -> None:
        """Renew it no more; a renewal that hangs is left to itself, and ends with the process.

        Should it come to its end before, the row is there again until the lease is over.
        """
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(_LET_GO)
        if not self._thread.is_alive():
            self._drop_connection()

    def settle(self, settings: str) -> None:
        """Have a row that is there again say how the participant runs the sweep."""
        self._values["settings"] = settings

    def renew(self) -> None:
        """Renew it once; a row that was taken away is there again."""
        if self._connection is None:
            self._connection = connect(self._engine)
        try:
            self._connection.execute(text(_RENEW), self._values)
        except SQLAlchemyError:
            self._drop_connection()
            raise

    def session(self) -> int:
        """Return which process of the server its connection has, once it was renewed."""
        assert self._connection is not None
        return self._connection.scalar(text("SELECT pg_backend_pid()"))

    def _keep(self) -> None:
        while not self._is_over.wait(self._pause):
            if not self._is_well():
                continue
            try:
                self.renew()
            except SQLAlchemyError as error:
                # The control loop says that the database is away; this goes on trying.
                _log.debug("the lease could not be renewed: %s", error)
        self._drop_connection()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
