"""Where a sweep's study is kept: a journal, PostgreSQL, or any other storage of Optuna's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, get_storage

from sinesweep.errors import InputError
from sinesweep.redaction import redact
from sinesweep.sweep.building import build
from sinesweep.sweep.journal import open_journal
from sinesweep.sweep.patience import Patience
from sinesweep.sweep.settings import Target

JOURNAL_FILE = "study.journal"

optuna.logging.set_verbosity(optuna.logging.WARNING)  # each study that is made, each trial


def is_shared(chosen: str | Target | None) -> bool:
    """Whether a study is kept where several processes may run it together: in PostgreSQL."""
    if not isinstance(chosen, str):
        return False
    return chosen.partition("://")[0].partition("+")[0] == "postgresql"


def refuse_memory(chosen: str | Target | None) -> None:
    """Refuse a storage that ends with the command, so that no sweep in it can be continued.

    Raises:
        InputError: the storage is in memory.
    """
    if isinstance(chosen, Target):
        is_kept, shown = not chosen.target.endswith(".InMemoryStorage"), chosen.target
    else:
        shown = chosen or ""
        scheme, _, place = shown.partition("://")
        path = place.partition("?")[0].lstrip("/")
        is_kept = scheme.partition("+")[0] != "sqlite" or (path and ":memory:" not in path)
    if not is_kept:
        raise InputError(
            f"hydra.sweeper.storage: must outlive the command, but {shown} is in memory, so that "
            "the sweep could not be continued: leave the key out to keep the study in the sweep's "
            "folder, or use sqlite:///study.db"
        )


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
        return open_journal(folder / JOURNAL_FILE, repair=not read_only)
    try:
        if isinstance(chosen, Target):
            return _checked(build(chosen.values))
        if (path := _journal(chosen)) is not None:
            return open_journal(path, repair=not read_only)
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


def _checked(made: object) -> BaseStorage:
    if not isinstance(made, BaseStorage):
        raise TypeError(f"it makes a {type(made).__name__}, which is no storage of Optuna's")
    return made


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
