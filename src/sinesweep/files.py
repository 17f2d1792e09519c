"""Files and locks that survive a killed process and a full disk."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import resource
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from sinesweep.errors import EnvironmentFault

LOCK_FILE = "run.lock"
LONGEST_NAME = 255  # bytes of one part of a path, on the usual file systems
LONGEST_PATH = 3500  # bytes; the system allows 4096, and files are written below the folder
ROOM = 50 * 2**20  # bytes that the files of a run may need

_PROBE = b"0" * 2**20
_CHUNK = 1 << 16  # bytes
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)  # some network file systems do not offer it

# Why the environment refuses a write, and what helps.
_FAULTS = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EFBIG: ("the file exceeds the largest size that is allowed", "raise `ulimit -f`"),
    errno.EROFS: ("the file system is read-only", "make it writable"),
    errno.EACCES: ("permission is denied", "make it writable"),
    errno.EPERM: ("the operation is not permitted", "make it writable"),
    errno.EIO: ("the device fails", "repair the device"),
    errno.ENOENT: ("its folder is gone", "restore the folder"),
    errno.ENOTDIR: ("its folder is no folder", "restore the folder"),
}
_OF_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_SQLITE_FAULTS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}

_log = logging.getLogger(__name__)


def path_problem(path: str | Path) -> str | None:
    """Return the rule that a folder's path breaks, or None if the system can take it."""
    if "\0" in str(path):
        return "must have no null character"
    whole = Path(path).absolute()
    longest = max((len(os.fsencode(part)) for part in whole.parts), default=0)
    if longest > LONGEST_NAME:
        return f"must have parts of at most {LONGEST_NAME} bytes, but one has {longest}"
    length = len(os.fsencode(whole))
    if length > LONGEST_PATH:
        return f"must be a path of at most {LONGEST_PATH} bytes, but has {length}"
    return None


def write_atomically(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace a file's content so that a reader sees the old or the new content, never a part.

    Args:
        path: the file. A failed write leaves it as it was.
        content: the new content.
        sync: wait until the content and the name are on the disk. Files that a resume depends on
            need it; files that are derived from others do not.

    Raises:
        OSError: naming the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _naming(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if sync:
            _sync_directory(path.parent)


def append(path: Path, lines: bytes, *, sync: bool = False) -> None:
    """Append whole lines to a file, or nothing.

    A torn line at the end of the file is removed first. A failed write is undone. Writers take
    turns; readers need no lock if they ignore a line without an end.

    Args:
        path: the file, created if it is missing.
        lines: one or more lines with their ends.
        sync: wait until the lines are on the disk.

    Raises:
        OSError: naming the file.
    """
    with _naming(path), path.open("a+b", buffering=0) as file:
        end = _drop_torn_line(file, path)
        try:
            written = 0
            while written < len(lines):
                written += file.write(lines[written:])
            if sync:
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(end)
            raise


def drop_torn_line(path: Path) -> None:
    """Remove a last line without an end, which a failed write has left.

    Raises:
        OSError: naming the file.
    """
    with _naming(path), path.open("r+b", buffering=0) as file:
        _drop_torn_line(file, path)


def _drop_torn_line(file: IO[bytes], path: Path) -> int:
    """Return the file's length without a torn last line, which is cut off."""
    size = file.seek(0, os.SEEK_END)
    end = start = size
    while start:
        start = max(0, end - _CHUNK)
        file.seek(start)
        whole = file.read(end - start).rfind(b"\n") + 1
        if whole:
            end = start + whole
            break
        end = start
    if end < size:
        file.truncate(end)
        warn_once(f"{path}: removed a torn last line of {size - end} bytes")
    return end


def read_lines(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield each whole line from a byte offset on, with the offset behind it."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield line, offset


def read_json(path: Path, consequence: str) -> dict[str, Any] | None:
    """Read a JSON object; return None if the file is missing or damaged.

    Args:
        path: the file.
        consequence: what is lost with a damaged file and what helps, for the warning.
    """
    return _read_mapping(path, json.loads, "no JSON object", consequence)


def read_yaml(path: Path, consequence: str) -> dict[str, Any] | None:
    """Read a YAML mapping; return None if the file is missing or damaged.

    Args:
        path: the file.
        consequence: what is lost with a damaged file and what helps, for the warning.
    """
    return _read_mapping(path, load_yaml, "no YAML mapping", consequence)


def load_yaml(content: bytes) -> Any:
    """Parse a YAML document.

    Raises:
        ValueError: the content is no YAML.
    """
    import yaml

    # PyYAML can be built without the fast loader, which is a safe one, too.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(content, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _read_mapping(
    path: Path, load: Callable[[bytes], Any], otherwise: str, consequence: str
) -> dict[str, Any] | None:
    try:
        content = load(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:  # a wrong syntax or encoding
        warn_of_damage(path, str(error), consequence)
        return None
    if not isinstance(content, dict):
        warn_of_damage(path, otherwise, consequence)
        return None
    return content


def warn_of_damage(path: Path, detail: str, consequence: str) -> None:
    """Log, once, that a file is damaged, what is lost and what helps."""
    warn_once(f"{path}: damaged ({detail}): {consequence}")


@lru_cache(maxsize=4096)
def warn_once(text: str) -> None:
    """Log a warning the first time that this process has it."""
    _log.warning("%s", text)


def unwritable(error: BaseException) -> str | None:
    """Return the message for an error if the environment refuses to write a file, or None.

    The message names the file, the cause and the remedy. A full disk, a used-up quota, a read-only
    or missing folder and SQLite's errors of that kind count.
    """
    for cause in _chain(error):
        number = _error_number(cause)
        if number in _FAULTS:
            fault, remedy = _FAULTS[number]
            path, detail = "the database", str(cause)
            if isinstance(cause, OSError):
                path, detail = cause.filename or "the disk", cause.strerror or str(cause)
            return f"{path}: must be writable, but {fault} ({detail}): {remedy}"
    return None


def refused_number(error: BaseException) -> int | None:
    """Return the number of an error by which a full disk, a quota or the like refuses a write."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _OF_WRITES:
            return cause.errno
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what led to it. A chain of causes and contexts can be a ring."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def refusal_of_writes(folder: Path, number: int | None = None) -> str | None:
    """Return why files cannot be written to a folder, or None if they can.

    Args:
        folder: is written to, for a moment.
        number: of the error that a write failed with; see :func:`refused_number`.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(_PROBE)
            probe.flush()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        error.filename = str(folder)
        return unwritable(error)
    if free < ROOM:
        return (
            f"{folder}: the disk must have {ROOM >> 20} MiB free, but has {free >> 20}: make room"
        )
    # Neither a quota nor a limit needs to show in a small file.
    limited = resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
    if number is not None and (number == errno.EDQUOT or (number == errno.EFBIG and limited)):
        return unwritable(OSError(number, os.strerror(number), str(folder)))
    return None


@contextmanager
def environment_faults() -> Iterator[None]:
    """Turn an error of a refused write into one message.

    Raises:
        EnvironmentFault: a file cannot be written.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, EnvironmentFault) or (fault := unwritable(error)) is None:
            raise
        raise EnvironmentFault(fault) from error


def _error_number(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, sqlite3.Error):
        return _SQLITE_FAULTS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have an error name the file: the system names none for a write."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
        raise


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def take_lock(path: Path, patience: float = 0.0) -> IO[str] | None:
    """Lock a file for as long as this process lives.

    The system lets go of the lock when the process ends, however it ends.

    Args:
        path: the file, created where it is missing.
        patience: seconds to wait for another process that has it.

    Returns:
        The open file, to be kept, or None where another process has the lock.
    """
    give_up = time.monotonic() + patience
    while True:
        file = path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() >= give_up:
                return None
            time.sleep(0.05)
            continue
        if _is_still(path, file):
            return file
        file.close()  # whoever had it has removed it


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a file's lock; wait for any other process that holds it."""
    while True:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(path, file):
                yield
                return


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
