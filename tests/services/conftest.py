"""Servers that tests share: one PostgreSQL a test process, databases and trackers as they ask."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Postgres, TrackingServer, free_port


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Start a PostgreSQL server."""
    # Not in pytest's own folder, which is closed to the server's account.
    with tempfile.TemporaryDirectory(prefix="sinesweep-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = Postgres.make(Path(folder) / "server")
        yield server
        server.stop()


@pytest.fixture
def database(postgres: Postgres, request: pytest.FixtureRequest) -> str:
    """Make a database of the test's own; return its address, with the password."""
    name = re.sub(r"\W+", "_", request.node.name.lower())[:40] + f"_{free_port()}"
    postgres.create(name)
    return postgres.url(name)


@pytest.fixture
def tracking_server(tmp_path: Path) -> Iterator[Callable[[str], TrackingServer]]:
    """Start tracking servers over databases."""
    started: list[TrackingServer] = []

    def start(store: str) -> TrackingServer:
        server = TrackingServer(tmp_path / f"server-{len(started)}", store, free_port())
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
