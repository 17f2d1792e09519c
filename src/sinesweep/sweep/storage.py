"""Where a sweep's study is kept: a journal, PostgreSQL, or any other storage of Optuna's."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.storages.journal._storage import JournalOperation

from sinesweep.errors import InputError
from sinesweep.redaction import redact
from sinesweep.sweep.building import build
from sinesweep.sweep.patience import Patience
from sinesweep.sweep.settings import Target

JOURNAL_FILE = "study.journal"

optuna.logging.set_verbosity(optuna.logging.WARNING)  # each study that is made, each trial


class _SystemLock(JournalFileOpenLock):
    """A lock that the system lets go of when its process dies; Optuna's own wait 30 s for that."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self._descriptor)


class _Backend(JournalFileBackend):
    """Optuna's file of a journal, which does not wait for the disk at each reported value.

    A killed process loses nothing by that. A machine that fails loses at most values of trials that
    were running, and those are run again: whatever else is appended brings all before it to disk.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if any(log["op_code"] != JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE for log in logs):
            super().append_logs(logs)
            return
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._lock.acquire()
        try:
            with Path(self._file_path).open("ab", buffering=0) as file:
                file.write(lines.encode())
        finally:
            self._lock.release()


def is_shared(chosen: str | Target | None) -> bool:
    """Whether a study is kept where several processes may run it together: in PostgreSQL."""
    if not isinstance(chosen, str):
        return False
    return chosen.partition("://")[0].partition("+")[0] == "postgresql"


def open_storage(
    chosen: str | Target | None,
    folder: Path,
    *,
    read_only: bool = False,
    patience: Patience | None = None,
) -> BaseStorage:
    """Open the storage of a sweep.

    Args:
        chosen: an address, an Optuna storage by ``_target_``, or None for the journal in the
            folder. An address is a database's; or a journal's, ``journal:///`` with a path, or a
            path that ends with ``.journal``.
        folder: the sweep's folder, which exists.
        read_only: another process may be writing the journal, so it is not mended.
        patience: with a PostgreSQL database that is away, once it is open; None for the usual.

    Raises:
        InputError: the storage does not answer, or its driver is missing.
    """
    if chosen is None:
        return _open_journal(folder / JOURNAL_FILE, mend=not read_only)
    try:
        if isinstance(chosen, Target):
            return build(chosen.values)
        if (path := _journal(chosen)) is not None:
            return _open_journal(path, mend=not read_only)
        if is_shared(chosen):
            from sinesweep.sweep.joint_ledger import make_tables
            from sinesweep.sweep.postgres import open_study_storage

            return open_study_storage(chosen, make_tables, patience or Patience())
        return get_storage(chosen)
    except Exception as error:  # every database raises its own driver's errors
        raise refusal(chosen, error) from error


def close_storage(storage: BaseStorage) -> None:
    """Let go of a database's connections."""
    backend = getattr(storage, "_backend", None)
    if hasattr(backend, "engine"):
        assert backend is not None
        backend.remove_session()
        backend.engine.dispose()


def refusal(chosen: str | Target, error: Exception) -> InputError:
    """Return what to say where a storage cannot be opened, without credentials."""
    shown: Any = redact(chosen) if isinstance(chosen, str) else chosen.target
    cause = redact(str(error.__cause__ or error)).splitlines()[0]
    if isinstance(error, ImportError) and is_shared(chosen):
        return InputError(
            f"hydra.sweeper.storage: {shown} must have its driver, which is not installed "
            f'({cause}): pip install "sinesweep[postgresql]"'
        )
    return InputError(
        f"hydra.sweeper.storage: the study's storage must answer, but {shown} does not "
        f"({cause}): correct the address, or leave the key out to keep the study in the "
        "sweep's folder"
    )


def _journal(chosen: str) -> Path | None:
    """Return the file of a journal that is named by its address, as SQLite's are."""
    scheme = "journal:///"
    if chosen.startswith(scheme):
        return Path(chosen.removeprefix(scheme))
    return Path(chosen) if chosen.endswith(".journal") and "://" not in chosen else None


def _open_journal(path: Path, *, mend: bool) -> JournalStorage:
    lock = _SystemLock(path)
    if mend and path.exists():
        lock.acquire()  # another sweep may be writing a journal that is named
        try:
            _drop_torn_line(path)
        finally:
            lock.release()
    return JournalStorage(_Backend(str(path), lock_obj=lock))


def _drop_torn_line(path: Path) -> None:
    """Cut off what a failing machine left half written: Optuna would read it as damage."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        start = max(0, end - (1 << 20))
        file.seek(start)
        whole = file.read().rfind(b"\n") + 1
        if start + whole < end and (whole or not start):
            file.truncate(start + whole)
