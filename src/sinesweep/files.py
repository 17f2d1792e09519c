"""Files and locks that survive a killed process."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

LOCK_FILE = "run.lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content so that a reader sees the old or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


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


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
