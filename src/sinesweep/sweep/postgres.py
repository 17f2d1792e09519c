"""A study's PostgreSQL database: how it is connected to, opened and refused."""

from __future__ import annotations

import functools
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, cast

from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from sinesweep.errors import InputError
from sinesweep.redaction import redact
from sinesweep.sweep.patience import Patience, PatientStorage

if TYPE_CHECKING:
    import psycopg

# A dead machine is noticed within half a minute, by the client and by the server.
_CLIENT = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds
}
# A server, or what stands between, may keep a connection and say nothing: that is no answer.
_SILENCE = 60.0  # seconds; longer than a statement of ours takes to say its first word
_HURRIED = 5.0  # seconds, once the process was asked to stop
_SERVER = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = 25000",
)
# Of all sweeps: two processes that make the same tables at once would both fail.
_MAKING_TABLES = 0x73696E65
_OF_MLFLOW = ("experiments", "runs", "latest_metrics")
# A server is told from others by the microsecond it was started in, whatever it is called.
_WHICH = "SELECT pg_postmaster_start_time()::text, current_database(), current_schema()"


def make_engine(url: str, patience: Patience | None = None) -> Engine:
    """Return what connects to a database; each connection is closed when it is let go of.

    Args:
        url: of the database.
        patience: with it; knows whether the process was asked to stop.

    Raises:
        ImportError: the driver is missing.
    """
    return hasten(
        create_engine(url, connect_args=_CLIENT, poolclass=NullPool, isolation_level="AUTOCOMMIT"),
        patience,
    )


def hasten(engine: Engine, patience: Patience | None = None) -> Engine:
    """Have an engine's new connections end where the server is silent for long; return it."""

    @event.listens_for(engine, "do_connect")
    def connect(_: Any, __: Any, arguments: Any, more: Any) -> psycopg.Connection:
        connection = _impatient().connect(*arguments, **more)
        connection.patience = patience
        return connection

    return engine


@functools.cache
def _impatient() -> Any:
    """Make the class of connections that a silent server does not hold; it imports the driver."""
    import psycopg

    class Impatient(psycopg.Connection[Any]):
        patience: Patience | None = None

        @property
        def _longest(self) -> float:
            """Seconds that the server may be silent, as of now: a signal may come meanwhile."""
            return _HURRIED if self.patience and self.patience.signals else _SILENCE

        def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **more: Any) -> Any:
            return super().wait(self._while_it_speaks(gen), *arguments, **more)

        def _while_it_speaks(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            try:
                wanted = next(gen)
                heard = time.monotonic()
                while True:
                    ready = yield wanted
                    if ready:
                        heard = time.monotonic()
                    elif time.monotonic() > heard + (longest := self._longest):
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"the server is silent for {longest:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return Impatient


def connect(engine: Engine) -> Connection:
    """Connect so that the server notices soon when this machine is dead."""
    connection = engine.connect()
    for statement in _SERVER:
        connection.execute(text(statement))
    return connection


def open_study_storage(url: str, make_tables: Any, patience: Patience) -> BaseStorage:
    """Open Optuna's storage in a database, with the tables that it and others need there.

    Args:
        url: of the database.
        make_tables: makes further tables, given an engine.
        patience: with the database, once it is open.

    Raises:
        ImportError: the driver is missing.
        Exception: the database does not answer, each in its own way.
    """
    engine = make_engine(url)
    with connect(engine) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MAKING_TABLES})
        storage = RDBStorage(
            url, engine_kwargs={"pool_pre_ping": True, "connect_args": dict(_CLIENT)}
        )
        hasten(storage.engine, patience).dispose()
        make_tables(engine)
    return _CachedStorage(cast("RDBStorage", PatientStorage(storage, patience)))


def refuse_trackers_tables(url: str, tracker: str | None) -> None:
    """Refuse a database in which MLflow keeps its tables: both call one ``alembic_version``.

    Args:
        url: of the study's database.
        tracker: the tracker's address, or None.

    Raises:
        InputError: the schema is MLflow's, or is about to be.
        Exception: the database does not answer, each in its own way.
    """
    with make_engine(url).connect() as connection:
        here = tuple(connection.execute(text(_WHICH)).one())
        query = text(
            "SELECT count(*) FROM information_schema.tables "
            "WHERE table_schema = current_schema() AND table_name = ANY(:names)"
        )
        is_mlflows = connection.scalar(query, {"names": list(_OF_MLFLOW)}) == len(_OF_MLFLOW)
    if is_mlflows or here == _which(url, tracker):
        raise InputError(
            f"hydra.sweeper.storage: study and tracker must have a database each, but {redact(url)}"
            " is the tracker's, too, and both keep their versions in a table of the same name: "
            "make another database (createdb study), or another schema (CREATE SCHEMA study), and "
            "name that: hydra.sweeper.storage=\"'postgresql://...?options=-csearch_path%3Dstudy'\""
        )


def _which(url: str, tracker: str | None) -> tuple[Any, ...] | None:
    """Return which database a tracker's address is, if it is one of PostgreSQL's that answers."""
    if tracker is None or not tracker.startswith("postgres"):
        return None
    address = make_url(tracker)
    try:
        with make_engine(
            address.set(drivername=make_url(url).drivername).render_as_string(hide_password=False)
        ).connect() as connection:
            return tuple(connection.execute(text(_WHICH)).one())
    except SQLAlchemyError:
        return None  # the tracker's own check says what is wrong with it
