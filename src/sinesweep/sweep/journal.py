"""The journal of a study: Optuna's file of operations, protected against damage.

A trial's code, a full disk or a failing machine can damage the file. Lines that are no operations
are skipped with a warning. If the operations that this process has read are gone from the file,
it writes them again from memory, so that neither the running nor the next command loses the study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation

from sinesweep import files
from sinesweep.errors import InputError

_OPERATIONS = frozenset(JournalOperation)

Log = dict[str, Any]


def open_journal(path: Path, *, repair: bool) -> JournalStorage:
    """Open a journal; create it if it is missing.

    Args:
        path: the file.
        repair: remove a torn last line, which a failing machine leaves. A reader of a journal that
            another process is writing must not.

    Raises:
        InputError: the file cannot be a journal.
    """
    if path.is_dir():
        raise InputError(f"{path}: must be a study's journal, but is a folder: move it away")
    backend = _Backend(path, repair=repair)
    if repair:
        with backend.locked():
            files.drop_torn_line(path)
    return _Storage(backend)


class _Storage(JournalStorage):
    """Optuna's storage in a journal; operations that cannot be applied are skipped."""

    def __init__(self, backend: _Backend) -> None:
        self._file = backend
        backend.restore = self._restore
        super().__init__(backend)

    def _sync_with_backend(self) -> None:
        result = self._replay_result
        for log in self._file.read_logs(result.log_number_read):
            self._create_lost_trials(log.get("trial_id"))
            try:
                result.apply_logs([log])
            except Exception as error:
                if log.get("worker_id") == result.worker_id:
                    raise  # the answer to this process's own operation
                self._file.skip(f"an operation that cannot be applied: {error!r}")

    def _create_lost_trials(self, trial_id: Any) -> None:
        """Create a trial that an operation refers to if a skipped line can have created it.

        Trials have no ids in the file: they are counted. Without this, each later trial would take
        the id of the one after it, and the operations on it would be lost or meet another trial.
        """
        result = self._replay_result
        if not isinstance(trial_id, int) or len(result._studies) != 1:
            return
        (study_id,) = result._studies
        while len(result._trials) <= trial_id and self._file.skipped:
            self._file.skipped -= 1
            result._apply_create_trial(
                {"study_id": study_id, "datetime_start": None, "worker_id": ""}
            )

    def _restore(self) -> bytes:
        """Return the operations that make every study as this process knows it."""
        copied = Lines()
        storage = JournalStorage(copied)
        result = self._replay_result
        # Ids count up in the order of creation. They must stay the same.
        trials = sorted(result._trials.items())
        for _, study in sorted(result._studies.items()):
            made = storage.create_new_study(study.directions, study.study_name)
            for key, value in study.user_attrs.items():
                storage.set_study_user_attr(made, key, value)
            for key, value in study.system_attrs.items():
                storage.set_study_system_attr(made, key, value)
        for trial_id, trial in trials:
            storage.create_new_trial(result._trial_id_to_study_id[trial_id], trial)
        return encoded(copied.logs)


class _Backend(BaseJournalBackend):
    """The file of a journal.

    A reported value does not wait for the disk. A killed process loses nothing by that. A machine
    that fails loses at most values of trials that were running, and those are run again: any other
    operation brings all before it to disk.

    Attributes:
        restore: returns the content to write if the file has lost what was read from it.
        skipped: lines that could not be read and for which no trial was created.
    """

    restore: Callable[[], bytes]

    def __init__(self, path: Path, *, repair: bool) -> None:
        self._path = path
        self._repair = repair
        self._offset = 0  # behind the last line that was read
        self._line = 0  # its number
        self._last = b""  # its content
        self._unread = b""  # what this process has appended behind it
        self.skipped = 0
        with path.open("ab"):
            pass

    def read_logs(self, log_number_from: int) -> Iterator[Log]:  # pyright: ignore[reportIncompatibleMethodOverride] # Optuna only iterates
        """Yield the operations behind the last one that was read; skip lines that are none.

        Args:
            log_number_from: how many the storage has; none: read from the beginning.
        """
        if log_number_from == 0:
            self._offset, self._line, self._last, self.skipped = 0, 0, b"", 0
        elif not self._is_intact():
            if not self._repair:
                return
            with self.locked():
                self._restore_file()
        for line, behind in files.read_lines(self._path, self._offset):
            self._offset, self._line, self._last = behind, self._line + 1, line
            self._unread = b""
            log = _operation(line)
            if log is None:
                self.skip("no operation of Optuna's")
            else:
                yield log

    def append_logs(self, logs: list[Log]) -> None:
        """Append operations, or none of them.

        Raises:
            OSError: naming the file.
        """
        sync = any(log["op_code"] != JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE for log in logs)
        with self.locked():
            if not self._is_intact():
                self._restore_file()
            files.append(self._path, encoded(logs), sync=sync)
            self._unread = encoded(logs)

    def skip(self, what: str) -> None:
        """Count the line that was read last, and warn of it."""
        self.skipped += 1
        files.warn_of_damage(
            self._path, f"line {self._line}: {what}", "the line is skipped, the rest is read"
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other process write; the system releases the lock if this process dies."""
        with files.wait_for_lock(self._path):
            yield

    def _is_intact(self) -> bool:
        """Whether the last line that was read is where it was."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset - len(self._last))
                return file.read(len(self._last)) == self._last
        except FileNotFoundError:
            return False

    def _restore_file(self) -> None:
        content = self.restore()
        files.write_atomically(self._path, content + self._unread)
        lines = content.splitlines(keepends=True)
        self._offset, self._line, self._last = len(content), len(lines), (lines or [b""])[-1]
        files.warn_of_damage(
            self._path, "its content was replaced or cut off", "it is written again from memory"
        )


class Lines(BaseJournalBackend):
    """A journal in memory."""

    def __init__(self) -> None:
        self.logs: list[Log] = []

    def read_logs(self, log_number_from: int) -> Iterator[Log]:  # pyright: ignore[reportIncompatibleMethodOverride] # Optuna only iterates
        """Yield the operations from a number on."""
        yield from self.logs[log_number_from:]

    def append_logs(self, logs: list[Log]) -> None:
        """Append operations."""
        self.logs += logs


def encoded(logs: Sequence[Log]) -> bytes:
    """Return operations as the lines of a journal."""
    return "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs).encode()


def _operation(line: bytes) -> Log | None:
    try:
        log = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(log, dict) or not isinstance(log.get("op_code"), int):
        return None
    return log if log["op_code"] in _OPERATIONS and "worker_id" in log else None
