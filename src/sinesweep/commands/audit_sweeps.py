"""The sweeps' part of ``sinesweep audit``: study and tracker agree, and nothing died unnoticed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sinesweep.commands.finding import Finding
from sinesweep.commands.sending import Sender, shown, sweep_folders
from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.report import process
from sinesweep.report.files import REPORT_FILE
from sinesweep.sweep.entry import INTERRUPTED, RUNNING, Entry
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.location import Location
from sinesweep.tracking.sweep_record import SweepRecord


def audit_sweeps(root: Path, location: Location) -> Iterator[Finding]:
    """Close what killed sweeps left running, and send what was not sent; yield each finding.

    A sweep that is being run is left alone.
    """
    sender = Sender(location)
    for folder in sweep_folders(root):
        lock = take_lock(folder / SWEEP_LOCK)
        if lock is None:
            continue
        with lock:
            for found in _audit_sweep(folder, location, sender):
                yield replace(found, text=f"{shown(folder, root)}: {found.text}")


def _audit_sweep(folder: Path, location: Location, sender: Sender) -> Iterator[Finding]:
    from sinesweep.sweep.orphans import close_orphans

    try:
        entries, closed = close_orphans(folder)
    except Exception as error:  # noqa: BLE001 # every storage raises its own driver's errors
        yield Finding(f"its study cannot be opened ({error})", remains=True)
        return
    is_tracked = (folder / record.FILE_NAME).exists()
    was_killed = bool(closed) or (is_tracked and record.last_end(folder) is None)
    table = _write_table(folder, entries) if closed else None
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
    if table is not None:
        account.log_artifact(table)
    if has_report:
        account.log_artifact(folder / REPORT_FILE)
    _end_trials(account, entries, closed)
    if account.open_trials:
        text = f"{len(account.open_trials)} of its trials are open, and its study is out of reach"
        yield Finding(f"{text}: continue the sweep with the command that began it", remains=True)
    if record.last_end(folder) is None:
        yield Finding(_end(account, entries))
    yield from sender.sweep(folder)


def _end_trials(account: SweepRecord, entries: Sequence[Entry], closed: Sequence[int]) -> None:
    for entry in entries:
        if entry.state == RUNNING or entry.directory is None:  # it has no run that could end
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


def _write_table(folder: Path, entries: Sequence[Entry]) -> Path:
    from sinesweep.sweep.results import TRIALS_FILE, Results

    objectives = max((len(entry.values or ()) for entry in entries), default=1) or 1
    Results(folder, ["minimize"] * objectives).write_trials(entries, final=True)
    return folder / TRIALS_FILE


def _write_report(folder: Path, location: Location) -> bool:
    """Let a report that was written while the sweep ran say how it ended, if there is one."""
    if not (folder / REPORT_FILE).exists() or not process.is_possible():
        return False
    from sinesweep.report import build

    # Its lock is held here, so that the folder itself would say that it runs.
    build.write(build.read(folder, state=INTERRUPTED, tracker=location.uri))
    return True
