"""The compose file of the documentation, as far as it can be checked without Docker."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

import pytest
import yaml
from runner import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """What the file says of each service."""
    return yaml.safe_load((DOCS / "compose.yaml").read_text())["services"]


def test_the_server_waits_for_its_database(services: dict[str, Any]) -> None:
    """Both are looked after, and the server starts once PostgreSQL takes connections."""
    assert set(services) == {"postgres", "tracker"}
    assert all(service["healthcheck"]["test"][0] == "CMD" for service in services.values())
    assert services["tracker"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_nobody_else_can_reach_them(services: dict[str, Any]) -> None:
    """Ports are this machine's alone, unless .env says otherwise."""
    ports = [port for service in services.values() for port in service["ports"]]
    assert len(ports) == 2
    assert all(port.startswith("${LISTEN:-127.0.0.1}:") for port in ports)


def test_passwords_come_from_outside(services: dict[str, Any]) -> None:
    """Each is a variable without a default, and no address holds one."""
    given = [
        text
        for service in services.values()
        for key, text in service["environment"].items()
        if "PASSWORD" in key
    ]
    assert len(given) == 4
    assert all(re.fullmatch(r"\$\{[A-Z]+_PASSWORD:\?is missing in \.env\}", text) for text in given)
    assert not re.search(r"://[^/\s]*:[^/\s]*@", (DOCS / "compose.yaml").read_text())
    assert "/docs/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_versions_are_pinned(services: dict[str, Any]) -> None:
    """Images have versions, and the server has the packages that the tests run."""
    assert re.fullmatch(r"postgres:\d+\.\d+-bookworm", services["postgres"]["image"])
    recipe = services["tracker"]["build"]["dockerfile_inline"]
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-bookworm$", recipe, re.MULTILINE)
    for package in ("mlflow", "SQLAlchemy"):
        assert f"{package}=={metadata.version(package)}" in recipe
    constraints = (ROOT / "constraints.txt").read_text()
    (psycopg,) = re.findall(r"^psycopg(==.*)$", constraints, re.MULTILINE)
    assert f"psycopg[binary]{psycopg}" in recipe
