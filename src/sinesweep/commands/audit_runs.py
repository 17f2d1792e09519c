"""The runs' part of ``sinesweep audit``: what died is closed, what is missing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sinesweep import runs
from sinesweep.commands.audit_sweeps import audit_sweeps
from sinesweep.commands.finding import Finding
from sinesweep.commands.sending import Sender
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
    """Close runs that the tracker calls RUNNING and whose folder in this root is gone.

    A tracker can be shared. A run that is missing here may be training somewhere else: on another
    machine, in a container that has this one's name, or under this very path on another disk. So
    only those are closed that carry this root's own id and whose folder was inside this root.
    """
    from sinesweep.tracking.connection import open_runs, set_killed

    known = runs.root_id(root)
    if known is None:
        return
    try:
        for run_id, directory in open_runs(location, known):
            folder = Path(directory)
            if folder.is_relative_to(root.absolute()) and not folder.is_dir():
                set_killed(location, run_id, "its folder is gone")
                yield Finding(f"run {run_id}: its folder {folder} is gone: closed as INTERRUPTED")
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        yield Finding(f"runs without a folder were not all looked for ({error})", remains=True)
