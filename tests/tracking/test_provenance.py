from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sinesweep.tracking import provenance


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose index git would write again, as its file was touched."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message", "code")
    (tmp_path / "code.py").touch()
    return tmp_path


def test_repository_is_read_without_a_lock(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves no index.lock in the user's repository, which would block git."""
    monkeypatch.setattr(sys, "argv", [str(repository / "code.py")])
    provenance._git.cache_clear()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, limits[1]))
    try:
        provenance.tags()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        provenance._git.cache_clear()
    assert not (repository / ".git" / "index.lock").exists()
