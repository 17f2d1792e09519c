import fcntl
import os
from pathlib import Path
from typing import IO

import pytest

from sinesweep.files import take_lock, write_atomically


def test_new_file(tmp_path: Path) -> None:
    """A file that was not there is made."""
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_replaced_file(tmp_path: Path) -> None:
    """A shorter content leaves nothing of a longer one, and no other file."""
    (tmp_path / "a").write_bytes(b"a long old content")
    write_atomically(tmp_path / "a", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old content."""

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"


def test_open_reader_keeps_the_old_content(tmp_path: Path) -> None:
    """Who has the file open reads the old content to its end."""
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as reader:
        write_atomically(tmp_path / "a", b"new")
        assert reader.read() == b"old"


def test_lock_is_exclusive(tmp_path: Path) -> None:
    """A second taker goes without."""
    first = take_lock(tmp_path / "lock")
    assert first is not None
    with first:
        assert take_lock(tmp_path / "lock") is None


def test_removed_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock whose holder has removed the file is taken on the next one, which others see."""
    flock = fcntl.flock

    def removed_meanwhile(file: IO[str], how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        (tmp_path / "lock").unlink()
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    first = take_lock(tmp_path / "lock")
    assert first is not None
    with first:
        assert take_lock(tmp_path / "lock") is None


def test_released_lock(tmp_path: Path) -> None:
    """A lock whose holder has let go can be taken again."""
    first = take_lock(tmp_path / "lock")
    assert first is not None
    first.close()
    second = take_lock(tmp_path / "lock")
    assert second is not None
    second.close()


def test_lock_keeps_the_content(tmp_path: Path) -> None:
    """Locking a file leaves what it holds."""
    (tmp_path / "lock").write_text("kept")
    lock = take_lock(tmp_path / "lock")
    assert lock is not None
    lock.close()
    assert (tmp_path / "lock").read_text() == "kept"
