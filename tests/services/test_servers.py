"""The servers that the other tests here stand on."""

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.services


def test_postgres_wants_its_password_and_comes_back(postgres, database):
    """A database takes statements, and is the same after the server was stopped."""
    import psycopg

    name = database.rpartition("/")[2]
    postgres.execute("CREATE TABLE kept (number int)", name)
    postgres.stop()
    postgres.start()
    assert postgres.execute("SELECT count(*) FROM kept", name) == [(0,)]
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(postgres.url(name, password=False))


def test_a_tracking_server_keeps_runs_in_postgres(database, tracking_server):
    """A run and its artifact are told to the server, and are there after it was stopped."""
    server = tracking_server(database)
    client = MlflowClient(server.url)
    run = client.create_run("0")
    client.log_text(run.info.run_id, "kept", "note.txt")
    server.stop()
    server.start()
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]
