import errno
import fcntl
import io
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest

from sinesweep.files import (
    append,
    drop_torn_line,
    read_json,
    read_yaml,
    refused_number,
    take_lock,
    unwritable,
    write_atomically,
)


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


class _File(io.FileIO):
    """A file on a disk that becomes full."""

    room = 5

    def write(self, content: Any) -> int:
        """Take what there is room for, then fail."""
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = content[: self.room]
        self.room -= len(taken)
        return super().write(taken)


def test_failed_append_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves no part of a line, and the error names the file."""
    path = tmp_path / "lines"
    append(path, b"first\n")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda self, mode, buffering: _File(self, mode))
        with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
            append(path, b"a second line\n")
    assert path.read_bytes() == b"first\n"
    append(path, b"third\n")
    assert path.read_bytes() == b"first\nthird\n"


@pytest.mark.parametrize("torn", [b"x", b"x" * 200_000, b"x" * (3 << 20)])
def test_torn_line_does_not_join_the_next(tmp_path: Path, torn: bytes) -> None:
    """A torn last line of any length is removed before the next line is written."""
    path = tmp_path / "lines"
    path.write_bytes(b"first\n" + torn)
    append(path, b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"


def test_file_of_a_torn_line_only(tmp_path: Path) -> None:
    """A file that is nothing but a torn line becomes empty."""
    (tmp_path / "lines").write_bytes(b"x" * 200_000)
    drop_torn_line(tmp_path / "lines")
    assert (tmp_path / "lines").read_bytes() == b""


def test_limit_on_file_sizes(tmp_path: Path) -> None:
    """A line that the system cuts at a limit is undone, as the real system call shows."""
    path = tmp_path / "lines"
    path.write_bytes(b"first\n")
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from sinesweep.files import append, unwritable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        "try: append(Path(sys.argv[1]), b'a second line\\n')\n"
        "except OSError as error: print(unwritable(error))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.stdout == (
        f"{path}: must be writable, but the file exceeds the largest size that is allowed (File "
        "too large): raise `ulimit -f`\n"
    )
    assert path.read_bytes() == b"first\n"


def test_failed_replacement_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old content and no temporary file."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a'"):
        write_atomically(tmp_path / "a", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_replacement_is_on_the_disk_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content is synchronised before the file takes its name, and the folder after."""
    steps: list[str] = []

    def sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    replaced = Path.replace

    def replace(self: Path, target: Path) -> None:
        steps.append("replace")
        replaced(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(tmp_path / "a", b"new")
    assert steps == ["file", "replace", "folder"]


@pytest.mark.parametrize("read", [read_json, read_yaml])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b"null"])
def test_damaged_mapping(
    tmp_path: Path,
    content: bytes,
    read: Callable[[Path, str], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A damaged file counts as missing, and one warning says what is lost."""
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read(path, "all is lost") is None
    assert read(path, "all is lost") is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{path}: damaged (")
    assert record.getMessage().endswith("): all is lost")


def test_missing_json(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A missing file is no damage."""
    assert read_json(tmp_path / "a.json", "all is lost") is None
    assert not caplog.records


REFUSALS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied",
    errno.ENOENT: "its folder is gone",
}


@pytest.mark.parametrize(("number", "cause"), REFUSALS.items(), ids=errno.errorcode.get)
def test_refused_write_is_explained(number: int, cause: str) -> None:
    """One message names the file, the cause and the remedy, however deep the error is wrapped."""
    error, wrapped = OSError(number, "text", "/f"), RuntimeError("storage")
    wrapped.__cause__ = error
    assert (unwritable(error) or "").startswith(f"/f: must be writable, but {cause} (text): ")
    assert unwritable(wrapped) == unwritable(error)


def test_full_disk_under_a_database(tmp_path: Path) -> None:
    """SQLite's own error is understood by its code."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("PRAGMA max_page_count = 2")
        database.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.OperationalError, match="full") as caught:
            database.execute("INSERT INTO t VALUES (?)", ["x" * 100_000])
    assert "the disk is full" in (unwritable(caught.value) or "")


def test_other_errors_are_no_refused_writes() -> None:
    """An error of the program or of the network is not taken for one of the disk."""
    assert unwritable(ValueError("x")) is None
    assert unwritable(ConnectionRefusedError(errno.ECONNREFUSED, "refused")) is None


def test_ring_of_causes_and_contexts_is_followed_once() -> None:
    """A cause that is raised again while its wrapper is handled leads back to the wrapper."""
    cause = ValueError("the user's own")
    wrapper = RuntimeError("cannot be made")
    wrapper.__cause__, cause.__context__ = cause, wrapper
    assert unwritable(cause) is None
    assert refused_number(cause) is None
    wrapper.__cause__ = OSError(errno.ENOSPC, "text", "/f")
    wrapper.__cause__.__context__ = wrapper
    assert refused_number(wrapper) == errno.ENOSPC
