"""What the documentation's compose file would run, without the containers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from runner import BARE, ROOT, SMALL, Runner, environment
from servers import LIMIT, Postgres, TrackingServer, binary, free_port
from told import assert_sweep_is_told

pytestmark = pytest.mark.services

PASSWORDS = {"TRACKER_PASSWORD": "it's tracked", "STUDY_PASSWORD": "studied"}


@pytest.fixture
def fresh(postgres: Postgres) -> Iterator[Postgres]:
    """A server on which the script has made the databases."""
    where = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGPASSWORD": postgres.password}
    path = f"{binary('psql').parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", str(ROOT / "docs" / "databases.sh")],
        env=environment(**{**where, **PASSWORDS, "POSTGRES_USER": "sweeper", "PATH": path}),
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield postgres
    for name in ("tracker", "study"):
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.execute(f"DROP ROLE {name}")


def test_databases_are_apart(fresh: Postgres) -> None:
    """Each account has its own database, with its own password, and not the other's."""
    import psycopg

    for name, password in (("tracker", "it's tracked"), ("study", "studied")):
        where = {"host": "127.0.0.1", "port": fresh.port, "user": name, "password": password}
        with psycopg.connect(**where, dbname=name) as connection:
            connection.execute("CREATE TABLE kept (number int)")
        other = {"tracker": "study", "study": "tracker"}[name]
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(**where, dbname=other)


def test_the_server_of_the_compose_file(fresh: Postgres, tmp_path: Path, runner: Runner) -> None:
    """The arguments and variables given there make a server that a sweep is told to."""
    service = yaml.safe_load((ROOT / "docs" / "compose.yaml").read_text())["services"]["tracker"]
    program, *arguments = service["command"]
    assert program == "mlflow"
    port = free_port()
    arguments = [
        {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            "--artifacts-destination=/artifacts": f"--artifacts-destination={tmp_path}/artifacts",
        }.get(argument, argument)
        for argument in arguments
    ]
    variables = {
        name: text.replace("postgres:5432", f"127.0.0.1:{fresh.port}")
        .replace("${TRACKER_PASSWORD:?is missing in .env}", PASSWORDS["TRACKER_PASSWORD"])
        .replace("${TRACKER_HOST:-localhost}", "localhost")
        for name, text in service["environment"].items()
    }
    assert "$" not in "".join(variables.values())
    server = TrackingServer(tmp_path / "server", "", port)
    server.start([sys.executable, "-m", program, *arguments], environment(**variables))
    try:
        done = runner.train(
            "-m", *SMALL, *BARE, "model.layers=1,2", "hydra.sweeper.report=false",
            f"tracking.uri={server.url}",
        )  # fmt: skip
        assert done.code == 0, done.err
        (folder,) = (runner.folder / "mlruns" / "sweeps").iterdir()
        assert_sweep_is_told(MlflowClient(server.url), folder)
    finally:
        server.stop()
