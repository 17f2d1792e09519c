"""The ledger of a sweep whose study is in PostgreSQL: several processes may run it together.

Beside Optuna's tables are two of ours. One has a row for each study: its definition, the sampler's
place, and the token by which its runs are found. The other has a row for each participant with the
time until which it is taken to be alive, by the database's clock: its lease.

A participant has its turn while it holds an advisory lock, which goes with its connection when it
dies. One that hangs in its turn for a lease renews it no more, and is cut off when it is over.
Whatever it does afterwards is void: the sampler's place is saved over the very connection that
holds the lock.

It is long since all of it shares that one connection, and what its loss means.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.exc import OperationalError, ProgrammingError

from sinesweep.errors import InputError, Interrupted, StudyAway
from sinesweep.sweep.lease import Lease
from sinesweep.sweep.ledger import Ledger, TurnLost
from sinesweep.sweep.patience import Patience, is_outage
from sinesweep.sweep.postgres import connect, make_engine

_PEEP = "2s"  # so long it waits for the turn before it looks at who has it
_INSUFFICIENT_PRIVILEGE = "42501"  # PostgreSQL's code
_MOST_STRAYS = 3  # one could be chance, if a way were known
_log = logging.getLogger(__name__)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_metadata = MetaData()
_studies = Table(
    "sinesweep_study",
    _metadata,
    Column("name", String(512), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("token", String(32), nullable=False),
    Column("place", LargeBinary),
    Column("version", BigInteger, nullable=False),
)
_participants = Table(
    "sinesweep_participant",
    _metadata,
    Column("study", String(512), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("key", Integer, nullable=False),  # the id, as its connection's lock names it
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("folder", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("lease", Float, nullable=False),  # seconds
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

# Locks of two numbers: the study's, and 0 for the turn or a participant's for being there.
# The server lists those of all its databases.
_IS_OURS = (
    "locktype = 'advisory' AND objsubid = 2 AND classid::bigint = :study "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_IS_TURN = f"{_IS_OURS} AND objid = 0"
_IS_THERE = f"{_IS_OURS} AND objid <> 0"
_LOCK = f"SELECT set_config('lock_timeout', '{_PEEP}', false), pg_advisory_lock(:study, 0)"
_LOOK_AROUND = f"""
    SELECT EXISTS (SELECT FROM pg_locks WHERE {_IS_TURN} AND granted AND pid = pg_backend_pid()),
        (SELECT version FROM sinesweep_study WHERE name = :name)
"""  # made of our own
_CUT_OFF = f"""
    SELECT pg_terminate_backend(turn.pid)
    FROM (SELECT pid FROM pg_locks WHERE {_IS_TURN} AND granted) AS turn
    JOIN (SELECT pid, objid FROM pg_locks WHERE {_IS_THERE}) AS mark ON mark.pid = turn.pid
    JOIN sinesweep_participant AS p ON p.key = mark.objid::bigint
    WHERE p.study = :name AND p.lease_until < clock_timestamp()
"""  # made of our own
# A server that was away let nobody renew a lease: nobody is gone until they have had the time to.
_ALIVE = """
    FROM sinesweep_participant
    WHERE study = :name AND clock_timestamp()
        <= greatest(lease_until, pg_postmaster_start_time() + make_interval(secs => lease))
"""
# How one runs the sweep that is still to be accepted, or only audits it: it does not run it.
_UNKNOWN = "{}"
_OTHERS = f"""
    SELECT count(*) FROM (SELECT objid FROM pg_locks WHERE {_IS_THERE}) AS mark
    JOIN sinesweep_participant AS p ON p.key = mark.objid::bigint
    WHERE p.study = :name AND p.key <> :own AND p.settings <> '{_UNKNOWN}'
"""  # made of our own


def make_tables(engine: Engine) -> None:
    """Make the ledgers' tables where they are missing."""
    _metadata.create_all(engine)


class JointLedger(Ledger):
    """The ledger of a sweep that several may run.

    Args:
        url: of the study's database.
        study: its name.
        lease: seconds without a sign of life after which this participant is taken for dead.
        patience: with a database that is away; None for the usual.
    """

    def __init__(
        self, url: str, study: str, lease: float, patience: Patience | None = None
    ) -> None:
        self._patience = patience or Patience()
        self._engine = make_engine(url, self._patience)
        self._study = study
        self._seconds = lease
        self._key = 0  # of the study, known once there is a connection
        self._own_key = 0
        self._connection: Connection | None = None
        self._has_turn = False
        self._turn_since: float | None = None  # by the monotonic clock
        self._version: int | None = None  # of the place that was read, or saved, here
        self._saved: int | None = None  # of the place that was saved last, by whomever
        self._lease: Lease | None = None
        self._strays = 0  # locks in a row that were not where a connection had left them
        self._told_of_privilege = False

    @property
    def is_stale(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether another participant has saved the sampler's place since it was read here."""
        return self._saved != self._version

    # who takes part

    def definition(self) -> Mapping[str, Any] | None:
        """Return what the first participant said makes this sweep the same sweep."""
        row = self._row("SELECT definition FROM sinesweep_study WHERE name = :name")
        return json.loads(row[0]) if row else None

    def settings_of_others(self) -> dict[str, Mapping[str, Any]]:
        """Return how those who take part now run the sweep, by where they are."""
        rows = self._rows(
            f"SELECT host, pid, settings {_ALIVE} AND id <> :id",
            id=self.participant,
        )
        return {f"process {pid} on {host}": json.loads(kept) for host, pid, kept in rows}

    def enter(
        self,
        folder: Path,
        definition: Mapping[str, Any],
        settings: Mapping[str, Any],
        check: Callable[[], object] = lambda: None,
    ) -> None:
        """Take part.

        Args:
            folder: the participant's, whose lock the caller has: whoever took part from there
                before is dead.
            definition: what makes the sweep the same sweep, kept where it is the first.
            settings: how it is run, which is to be the same for all who run it at a time.
            check: raises what is to be raised where others take part in another manner; made in a
                turn, so that of two that differ one is refused.

        Raises:
            Interrupted: the process was asked to stop while it waited.
            Exception: the check's. In any case nothing is left of the attempt.
        """
        self.participant = participant_of(folder)
        self._own_key = _number(self.participant) or 1
        row = {
            "study": self._study,
            "id": self.participant,
            "key": self._own_key,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "folder": str(folder.absolute()),
            "settings": _UNKNOWN,
        }
        self._lease = Lease(self._engine, row, self._seconds, lambda: not self._hangs)
        self._remove_row()  # of whoever took part from there before
        self._patience(self._lease.renew)
        try:
            if self._lease.session() == self._row("SELECT pg_backend_pid()")[0]:
                raise _without_session()
            self._lease.start()
            self._drop_connection()  # the next one is marked as ours
            self.in_turn(lambda: self._enter(definition, settings, check))
        except BaseException:
            self.withdraw()
            raise

    def _enter(
        self,
        definition: Mapping[str, Any],
        settings: Mapping[str, Any],
        check: Callable[[], object],
    ) -> None:
        check()
        assert self._lease is not None
        self._lease.settle(json.dumps(settings))
        self._run(
            "UPDATE sinesweep_participant SET settings = :settings "
            "WHERE study = :name AND id = :id",
            settings=json.dumps(settings),
            id=self.participant,
        )
        self._run(
            "INSERT INTO sinesweep_study (name, definition, token, version) "
            "VALUES (:name, :definition, :token, 0) ON CONFLICT DO NOTHING",
            definition=json.dumps(definition),
            token=secrets.token_hex(8),
        )
        token = self._row("SELECT token FROM sinesweep_study WHERE name = :name")
        assert token is not None
        self.token = token[0]

    def gone(self, participants: Collection[str]) -> set[str]:
        """Return those whose leases are over, each as long as its own participant said."""
        if not participants:
            return set()
        alive = {row[0] for row in self._rows(f"SELECT id {_ALIVE}")}
        return set(participants) - alive

    def stay(self) -> None:
        """Have the lock that says so, over a new connection where the last one broke."""
        self._run("SELECT 1")

    def withdraw(self) -> None:
        """Take part no more; where the database is away, the lease says so when it is over."""
        with suppress(StudyAway, Interrupted):
            self._withdraw()

    def depart(self, close: Callable[[bool], object]) -> None:
        """Take part no more; whoever is the last closes what all have in common."""
        try:
            self.in_turn(lambda: self._depart(close))
        except (StudyAway, Interrupted):
            # Nobody knows who else is there; the lease says that this one is not.
            close(False)

    def _depart(self, close: Callable[[bool], object]) -> None:
        others = self._row(_OTHERS)
        close(others[0] == 0)
        self._withdraw()

    def _withdraw(self) -> None:
        if self._lease is not None:
            self._lease.stop()
        self._remove_row()
        self._run("SELECT pg_advisory_unlock_shared(:study, :own)")

    def _remove_row(self) -> None:
        self._run(
            "DELETE FROM sinesweep_participant WHERE study = :name AND id = :id",
            id=self.participant,
        )

    def close(self) -> None:
        """Let go of the database; who has not left is taken for dead when its lease is over."""
        if self._lease is not None:
            self._lease.stop()
        self._drop_connection()

    # the turn

    @property
    def _hangs(self) -> bool:
        """Whether a turn has been held for longer than anybody would wait for a dead one."""
        since = self._turn_since
        return since is not None and time.monotonic() > since + self._seconds

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn, and give it back; a turn within a turn is the same."""
        if self._has_turn:
            yield
            return
        self._take_turn()
        try:
            yield
        except BaseException as error:
            if not self._give_turn_back() and isinstance(error, Exception):
                raise TurnLost from error
            raise
        if not self._give_turn_back():
            raise TurnLost

    def hold(self) -> None:
        """See that the turn is still ours: the server answers over the connection that has it."""
        if not self._has_turn:
            raise TurnLost
        self._run("SELECT 1")

    def load_place(self) -> bytes | None:
        """Return what was last saved as the sampler's place."""
        row = self._row("SELECT place, version FROM sinesweep_study WHERE name = :name")
        if row is None or row[0] is None:
            return None
        self._version = self._saved = row[1]
        return bytes(row[0])

    def save_place(self, content: bytes) -> None:
        """Keep the sampler's place, over the connection that has the turn."""
        self.hold()
        row = self._row(
            "UPDATE sinesweep_study SET place = :place, version = version + 1 "
            "WHERE name = :name RETURNING version",
            place=content,
        )
        assert row is not None
        self._version = self._saved = row[0]

    def _take_turn(self) -> None:
        signals = self._patience.signals
        while True:
            self._patience.leave_if_asked(signals)
            try:
                self._run(_LOCK)
                is_ours, self._saved = self._row(_LOOK_AROUND)
            except OperationalError as error:
                if is_outage(error):
                    raise
                self._cut_off()
                continue
            if is_ours:
                self._has_turn, self._turn_since = True, time.monotonic()
                return
            self._note_stray()

    def _cut_off(self) -> None:
        """End the connection of one that has the turn, and whose lease is over."""
        try:
            self._run(_CUT_OFF)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
                raise
            if not self._told_of_privilege:
                _log.warning(
                    "another participant hangs in its turn, and its connection is another "
                    "account's, which this one may not end: end that process, or let all use one "
                    "account (or GRANT pg_signal_backend)"
                )
            self._told_of_privilege = True  # once is enough

    def _note_stray(self) -> None:
        """Take note that a lock was not where a connection had left it.

        Raises:
            InputError: it is not the first time.
        """
        self._strays += 1
        if self._strays >= _MOST_STRAYS:
            raise _without_session()

    def _give_turn_back(self) -> bool:
        """Return whether it was ours until now."""
        was_ours = False
        try:
            if self._has_turn:
                (was_ours,) = self._row("SELECT pg_advisory_unlock(:study, 0)")
                if was_ours:
                    self._strays = 0
                else:
                    self._note_stray()  # who is cut off has no connection to be told over
        except TurnLost:
            pass  # with the connection
        if not was_ours:
            self._version = None  # what was proposed in it is proposed again
            if self._hangs:
                _log.warning(
                    "a turn took longer than hydra.sweeper.lease = %g s, and is taken again: where "
                    "the sampler needs so long for a proposal, set a longer lease",
                    self._seconds,
                )
        self._has_turn, self._turn_since = False, None
        return was_ours

    # the connection

    def _run(self, statement: str, **values: Any) -> None:
        self._execute(statement, values, fetch=False)

    def _row(self, statement: str, **values: Any) -> Any:
        rows = self._execute(statement, values)
        return rows[0] if rows else None

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        return self._execute(statement, values)

    def _execute(self, statement: str, values: Mapping[str, Any], fetch: bool = True) -> list[Any]:
        """Run a statement; the turn does not survive its connection, anything else does.

        Raises:
            TurnLost: the connection broke in a turn.
        """

        def execute() -> list[Any]:
            if self._connection is None:
                self._connection = self._connect()
            ours = {"name": self._study, "study": self._key, "own": self._own_key}
            try:
                result = self._connection.execute(text(statement), {**ours, **values})
                return list(result) if fetch else []
            except OperationalError as error:
                if is_outage(error):
                    self._drop_connection()
                raise

        if not self._has_turn:
            return self._patience(execute)
        try:
            return execute()
        except OperationalError as error:
            self._has_turn = False
            raise TurnLost from error

    def _connect(self) -> Connection:
        connection = connect(self._engine)
        # One database may have studies of one name in several schemas.
        schema = connection.scalar(text("SELECT current_schema()"))
        self._key = _number(f"{schema}\n{self._study}")
        if self._own_key:
            mark = text("SELECT pg_advisory_lock_shared(:study, :own)")
            connection.execute(mark, {"study": self._key, "own": self._own_key})
        return connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _without_session() -> InputError:
    return InputError(
        "hydra.sweeper.storage: each connection must have a session of its own, with locks of "
        "its own, but has not, as through a pooler in transaction mode: connect to the server "
        "itself, or set pool_mode = session"
    )


def participant_of(folder: Path) -> str:
    """Return who takes part from a folder of this machine, since it was started.

    Whoever has the folder's lock can so know that the one before is dead. A copy of the folder is
    another participant's, and so is the same folder on another machine.
    """
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    where = [socket.gethostname(), boot, str(folder.resolve()), str(folder.stat().st_ino)]
    return hashlib.sha256("\n".join(where).encode()).hexdigest()[:16]


def _number(text: str) -> int:
    """Return a lock's number for a name: 31 bits, as PostgreSQL shows them without a sign."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) & 0x7FFFFFFF
