"""What an audit sends to the tracker: whatever of a record the tracker was not told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.commands.finding import Finding
from sinesweep.files import take_lock
from sinesweep.tracking.location import Location

if TYPE_CHECKING:
    from sinesweep.tracking.delivery import Delivery
    from sinesweep.tracking.sweep_delivery import SweepDelivery

Open = Callable[[Path, Location], "Delivery | SweepDelivery"]


def send(folder: Path, location: Location, delivery: Open) -> Iterator[Finding]:
    """Send what was not sent, unless another process is about it; yield what came of it.

    Args:
        folder: a run's or a sweep's.
        location: the tracker.
        delivery: the class that sends such a folder.
    """
    from sinesweep.tracking.delivery import LOCK_FILE, unsent

    lock = take_lock(folder / LOCK_FILE)
    if lock is None:
        yield Finding("its writer is still sending")
        return
    with lock:
        try:
            run_id = _pump(delivery(folder, location))
        except Exception as error:  # noqa: BLE001 # what comes after it may still be sent
            text = f"not all could be sent to the tracker, {unsent(folder)} to go ({error})"
            yield Finding(text, remains=True)
        else:
            yield Finding(f"sent to the tracker as run {run_id}")


def _pump(delivery: Delivery | SweepDelivery) -> str | None:
    try:
        delivery.pump()
    except Exception:
        delivery.pump(skip_files=True)  # a lost file must not keep an end from being told
        raise
    return delivery.run_id
