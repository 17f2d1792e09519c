"""The runs' part of ``sinesweep audit``: what died is closed, what is missing is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sinesweep import runs
from sinesweep.commands.audit_sweeps import audit_sweeps
from sinesweep.commands.finding import Finding
from sinesweep.commands.sending import Sender
from sinesweep.files import take_lock
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.location import OF_A_COMMAND, Location, check, locate
from sinesweep.tracking.writer import close_if_open


def audit(root: Path, uri: str | None) -> Iterator[Finding]:
    """Close runs whose process is gone and send what was not sent; yield each finding.

    Raises:
        InputError: the tracker does not answer.
    """
    location = locate(uri, root, OF_A_COMMAND)
    check(location)
    changed = 0
    sender = Sender(location)
    for folder in runs.folders(root):
        for found in _audit_run(folder, sender):
            changed += 1
            yield replace(found, text=f"{folder.name}: {found.text}")
    for found in audit_sweeps(root, location):
        changed += 1
        yield found
    for found in _audit_lost_runs(root, location):
        changed += 1
        yield found
    if not changed:
        yield Finding("every run is as the tracker says")


def _audit_run(folder: Path, sender: Sender) -> Iterator[Finding]:
    if runs.is_alive(folder):
        return
    if close_if_open(folder, "the process died"):
        yield Finding("its process is gone: closed as INTERRUPTED")
    yield from sender.run(folder)


def _audit_lost_runs(root: Path, location: Location) -> Iterator[Finding]:
    """Close runs that the tracker calls RUNNING and that no folder of this root sends to any more.

    Their folder is gone, or it was created again and sends to another run, or its record is gone.

    A tracker can be shared. A run that is missing here may be training somewhere else: on another
    machine, in a container that has this one's name, or under this very path on another disk. So
    only those are closed that carry this root's own id and whose folder was inside this root, or
    inside a sweep's folder that the root knows of.
    """
    from sinesweep.tracking.connection import open_runs, set_killed

    known = runs.root_id(root)
    if known is None or not location.exists:
        return
    places = [root.absolute(), *runs.sweeps_elsewhere(root)]
    try:
        for run_id, directory in open_runs(location, known):
            cause = _lost(Path(directory), run_id, places)
            if cause is not None:
                set_killed(location, run_id, cause)
                yield Finding(f"run {run_id}: {cause}: closed as INTERRUPTED")
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        yield Finding(f"runs without a folder were not all looked for ({error})", remains=True)


def _lost(folder: Path, run_id: str, places: Sequence[Path]) -> str | None:
    """Return why nothing will end a run, or None if something may, or it is of another place."""
    if not any(folder.is_relative_to(place) for place in places):
        return None
    if not folder.is_dir():
        return f"its folder {folder} is gone"
    if any(map(_is_held, (folder / runs.LOCK_FILE, folder.parent.parent / SWEEP_LOCK))):
        return None
    if not (folder / record.FILE_NAME).exists():
        return f"its record in {folder} is gone"
    if runs.run_id(folder) not in (None, run_id):
        return f"its folder {folder} was created again, for another run"
    return None


def _is_held(path: Path) -> bool:
    """Whether a process holds the lock of a run or of the sweep that a trial belongs to."""
    if not path.exists():
        return False
    lock = take_lock(path)
    if lock is None:
        return True
    lock.close()
    return False
