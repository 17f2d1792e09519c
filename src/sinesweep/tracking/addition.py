"""One more file for a sweep that has ended."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking.delivery import LOCK_FILE
from sinesweep.tracking.location import Location, limit_waiting
from sinesweep.tracking.sweep_delivery import SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord

_PATIENCE = 0.5  # seconds: whoever looks whether the sweep is running has its lock for a moment


def add_artifact(folder: Path, path: Path, location: Location | None) -> None:
    """Send one more file of a sweep that has ended; should it fail, ``sinesweep sync`` sends it.

    Args:
        folder: the sweep's.
        path: the file, in that folder.
        location: the tracker, or None if the file is to be sent by ``sinesweep sync`` alone.

    Raises:
        InputError: the sweep is being run, or its writer is still sending.
        MlflowException, OSError: the tracker did not take it.
    """
    limit_waiting()
    with _hold(folder / SWEEP_LOCK), _hold(folder / LOCK_FILE):
        SweepRecord(folder).log_artifact(path)
        if location is not None:
            SweepDelivery(folder, location).pump()


def _hold(path: Path) -> IO[str]:
    lock = take_lock(path, _PATIENCE)
    if lock is None:
        raise InputError(f"{path}: must be free, but another process has it: wait for it")
    return lock
