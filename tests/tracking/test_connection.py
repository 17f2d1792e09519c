"""Processes that open one tracker at the same time."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sinesweep.files import take_lock
from sinesweep.tracking import connection
from sinesweep.tracking.connection import Connection, alone, open_client
from sinesweep.tracking.location import Location, locate

SPAWN = multiprocessing.get_context("spawn")


def _open(uri: str, root: Path, name: str) -> str:
    return Connection(locate(uri, root)).experiment(name)


@pytest.mark.slow
def test_processes_with_different_roots_create_one_database(tmp_path: Path) -> None:
    """Each of several processes that start at once finds the tables and the one experiment."""
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    with SPAWN.Pool(3) as pool:
        jobs = [(uri, tmp_path / f"root{number}", "e") for number in range(3)]
        assert len(set(pool.starmap(_open, jobs))) == 1


def test_lock_is_beside_the_database(tmp_path: Path) -> None:
    """Processes with different roots wait for each other; other databases are free."""
    first = locate(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "a")
    other = locate(f"sqlite:///{tmp_path}/other.db", tmp_path / "a")
    with alone(first), alone(other):
        assert take_lock(tmp_path / ".mlflow.db.lock") is None


def test_lock_that_is_held_for_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends with a message that names the lock."""
    location = locate(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)
    monkeypatch.setattr(connection, "_PATIENCE", 0.0)
    with (
        alone(location),
        pytest.raises(TimeoutError, match=rf"^{tmp_path}/\.mlflow\.db\.lock: another process"),
        alone(location),
    ):
        pass


def test_server_that_is_being_prepared_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database server undoes all but one creation of the tables; the others try again."""
    asked: list[int] = []

    def search(self: MlflowClient, max_results: int) -> None:
        asked.append(max_results)
        if len(asked) < 3:
            raise MlflowException("relation experiments already exists")

    monkeypatch.setattr(connection, "_PAUSE", 0.0)
    monkeypatch.setattr(MlflowClient, "__init__", lambda self, tracking_uri: None)
    monkeypatch.setattr(MlflowClient, "search_experiments", search)
    open_client(Location("postgresql://host/db", None))
    assert len(asked) == 3


def test_server_that_stays_unprepared_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's own error is raised after a bounded time."""

    def search(self: MlflowClient, max_results: int) -> None:
        raise MlflowException("permission denied for schema public")

    monkeypatch.setattr(connection, "_PATIENCE", -1.0)
    monkeypatch.setattr(MlflowClient, "__init__", lambda self, tracking_uri: None)
    monkeypatch.setattr(MlflowClient, "search_experiments", search)
    with pytest.raises(MlflowException, match="permission denied"):
        open_client(Location("postgresql://host/db", None))
