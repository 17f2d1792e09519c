"""``sinesweep audit``: make what the tracker says of runs true."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from sinesweep import runs
from sinesweep.files import take_lock
from sinesweep.tracking.location import Location, check, locate
from sinesweep.tracking.writer import close_if_open


def audit(root: Path, uri: str | None) -> Iterator[str]:
    """Close runs whose process is gone and send what was not sent; yield a line for each.

    Raises:
        InputError: the tracker does not answer.
    """
    location = locate(uri, root)
    check(location)
    changed = 0
    for folder in runs.folders(root):
        for line in _audit_run(folder, location):
            changed += 1
            yield f"{folder.name}: {line}"
    for line in _audit_lost_runs(location):
        changed += 1
        yield line
    if not changed:
        yield "every run is as the tracker says"


def _audit_run(folder: Path, location: Location) -> Iterator[str]:
    from sinesweep.tracking.delivery import LOCK_FILE, Delivery, is_delivered

    if runs.is_alive(folder):
        return
    if close_if_open(folder, "the process died"):
        yield "its process is gone: closed as INTERRUPTED"
    if is_delivered(folder) or not _is_tracked(folder):
        return
    lock = take_lock(folder / LOCK_FILE)
    if lock is None:
        yield "its writer is still sending"
        return
    with lock:
        try:
            delivery = Delivery(folder, location)
            delivery.pump()
        except Exception as error:  # noqa: BLE001 # the next run may still be sent
            yield f"the tracker did not take it ({error})"
        else:
            yield f"sent to the tracker as run {delivery.run_id}"


def _is_tracked(folder: Path) -> bool:
    from omegaconf import OmegaConf

    config = OmegaConf.load(folder / runs.CONFIG_FILE)
    return OmegaConf.select(config, "tracking.backend") == "mlflow"


def _audit_lost_runs(location: Location) -> Iterator[str]:
    """Close runs of this machine that the tracker calls RUNNING and that have no folder left."""
    from sinesweep.tracking.delivery import open_runs, set_killed

    for run_id, directory in open_runs(location, socket.gethostname()):
        if not Path(directory).is_dir():
            set_killed(location, run_id, "its folder is gone")
            yield f"run {run_id}: its folder {directory} is gone: closed as INTERRUPTED"
