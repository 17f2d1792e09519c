"""The sweeps' part of ``sinesweep audit``: study and tracker agree, and nothing died unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sinesweep import runs
from sinesweep.commands.finding import Finding
from sinesweep.commands.sending import send
from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.report import process
from sinesweep.report.files import REPORT_FILE
from sinesweep.sweep.entry import DROPPED, INTERRUPTED, REUSED, RUNNING, Entry
from sinesweep.sweep.plan import JOINED, SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.sweep_record import SweepRecord

_WITHOUT_END = (RUNNING, DROPPED, REUSED)


def audit_sweeps(root: Path, location: Location) -> Iterator[Finding]:
    """Close what killed sweeps left running, and send what was not sent; yield each finding.

    A sweep that is being run is left alone.
    """
    sweeps = root / "sweeps"
    locks = [*sweeps.glob(f"*/{SWEEP_LOCK}"), *sweeps.glob(f"*/{JOINED}/*/{SWEEP_LOCK}")]
    inside = sorted(path.parent for path in locks)
    try:
        outside = _open_sweeps_outside(root, location)
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        outside = []
        yield Finding(f"sweeps in other folders were not looked for ({error})", remains=True)
    for folder in (*inside, *outside):
        lock = take_lock(folder / SWEEP_LOCK)
        if lock is None:
            continue
        with lock:
            for found in _audit_sweep(folder, location):
                yield Finding(f"{folder.name}: {found.text}", found.remains)


def _open_sweeps_outside(root: Path, location: Location) -> list[Path]:
    """Return the sweeps that the tracker calls RUNNING and an application keeps elsewhere."""
    from sinesweep.tracking.connection import open_runs

    known = runs.root_id(root)
    if known is None:
        return []
    folders = sorted({Path(directory) for _, directory in open_runs(location, known)})
    return [
        folder
        for folder in folders
        if (folder / SWEEP_LOCK).exists() and not folder.is_relative_to(root.absolute())
    ]


def _audit_sweep(folder: Path, location: Location) -> Iterator[Finding]:
    from sinesweep.sweep.orphans import close_orphans

    try:
        entries, closed = close_orphans(folder)
    except Exception as error:  # noqa: BLE001 # every storage raises its own driver's errors
        yield Finding(f"its study cannot be opened ({error})", remains=True)
        return
    is_tracked = (folder / record.FILE_NAME).exists()
    was_killed = bool(closed) or (is_tracked and record.last_end(folder) is None)
    if closed:
        _write_table(folder, entries)
    for number in closed:
        yield Finding(f"trial {number}: its process is gone: closed")
    has_report = False
    if entries and was_killed:
        try:
            has_report = _write_report(folder, location)
        except (InputError, OSError) as error:
            yield Finding(f"its report is not up to date ({error})", remains=True)
    if not is_tracked:
        return
    account = SweepRecord(folder)
    if has_report:
        account.log_artifact(folder / REPORT_FILE)
    _end_trials(account, entries, closed)
    if account.open_trials:
        text = f"{len(account.open_trials)} of its trials are open, and its study is out of reach"
        yield Finding(f"{text}: continue the sweep with the command that began it", remains=True)
    if record.last_end(folder) is None:
        yield Finding(_end(account, entries))
    yield from _send(folder, location)


def _end_trials(account: SweepRecord, entries: Sequence[Entry], closed: Sequence[int]) -> None:
    for entry in entries:
        if entry.outcome in _WITHOUT_END:
            continue
        if account.names(entry.number) or not account.is_shared:
            account.trial_ended(entry)
        elif entry.number in closed or account.has_reaped(entry.number):
            account.trial_reaped(entry)


def _end(account: SweepRecord, entries: Sequence[Entry]) -> str:
    """Close a record that its process has left open; return what that came to."""
    if account.is_shared and any(entry.state == RUNNING for entry in entries):
        account.leave()
        return "its process is gone: others go on with the sweep"
    account.end(INTERRUPTED, "the sweep was killed", if_running=account.is_shared)
    return "its process is gone: closed as INTERRUPTED"


def _send(folder: Path, location: Location) -> Iterator[Finding]:
    from sinesweep.tracking.delivery import unsent
    from sinesweep.tracking.sweep_delivery import SweepDelivery

    if unsent(folder):
        yield from send(folder, location, SweepDelivery)


def _write_table(folder: Path, entries: Sequence[Entry]) -> None:
    from sinesweep.sweep.results import Results

    objectives = max((len(entry.values or ()) for entry in entries), default=1) or 1
    Results(folder, ["minimize"] * objectives).write_trials(entries, final=True)


def _write_report(folder: Path, location: Location) -> bool:
    """Let a report that was written while the sweep ran say how it ended, if there is one."""
    if not (folder / REPORT_FILE).exists() or not process.is_possible():
        return False
    from sinesweep.report import build

    # Its lock is held here, so that the folder itself would say that it runs.
    build.write(build.read(folder, state=INTERRUPTED, tracker=location.uri))
    return True
