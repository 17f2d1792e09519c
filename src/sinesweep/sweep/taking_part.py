"""A process takes part in a sweep: alone, or with others where the study is in PostgreSQL."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.redaction import redact_tree
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.patience import Patience
from sinesweep.sweep.plan import JOINED, SWEEP_LOCK, Plan
from sinesweep.sweep.storage import is_shared, refusal
from sinesweep.tracking.location import Location

_PATIENCE = 0.5  # seconds: whoever looks whether the sweep is running has its lock for a moment


def refuse_trackers_database(plan: Plan, location: Location | None) -> None:
    """Refuse a study in the database of the tracker.

    Raises:
        InputError: it is one, or the database does not answer.
    """
    storage = plan.settings.storage
    if not is_shared(storage):
        return
    assert isinstance(storage, str)
    try:
        from sinesweep.sweep.postgres import refuse_trackers_tables

        refuse_trackers_tables(storage, location.uri if location else None)
    except InputError:
        raise
    except Exception as error:  # every driver raises its own
        raise refusal(storage, error) from error


@contextmanager
def taking_part(plan: Plan, patience: Patience) -> Iterator[tuple[Plan, Ledger]]:
    """Take part in a sweep from a folder that nobody else takes part from.

    Where others may take part, and share the file system, that is one within the sweep's.

    Args:
        plan: the sweep.
        patience: with a database that is away.

    Yields:
        The plan with this folder, and the ledger.

    Raises:
        InputError: another process runs the sweep and must be alone, or runs it otherwise.
    """
    if not is_shared(plan.settings.storage):
        with _lock_or_refuse(plan):
            plan.save_definition()
            yield plan, Ledger(plan.folder)
        return
    from sinesweep.sweep.joint_ledger import JointLedger

    assert isinstance(plan.settings.storage, str)
    ledger = JointLedger(plan.settings.storage, plan.name, plan.settings.lease, patience)
    try:
        with _free_folder(plan) as (folder, made):
            plan = replace(plan, folder=folder)
            try:
                ledger.enter(
                    folder, plan.definition, _manner(plan), lambda: _refuse_difference(plan, ledger)
                )
            except BaseException:
                _remove(made)
                raise
            plan.save_definition()
            yield plan, ledger
    finally:
        ledger.close()


def _lock_or_refuse(plan: Plan) -> IO[str]:
    """Hold the sweep's lock; two controllers would run the same trials twice."""
    lock = _lock(plan.folder, plan.command.text)
    if lock is None:
        holder = (plan.folder / SWEEP_LOCK).read_text(errors="replace").strip() or "another one"
        raise InputError(
            f"sweep {plan.name}: must be run by one process at a time, but is being run by "
            f"{holder}: wait for it, begin another sweep with hydra.sweeper.study_name=..., or "
            "keep the study in PostgreSQL, where several can share the work: "
            "hydra.sweeper.storage=postgresql://..."
        )
    return lock


@contextmanager
def _free_folder(plan: Plan) -> Iterator[tuple[Path, list[Path]]]:
    """Hold the lock of a folder that nobody takes part from.

    Yields:
        The folder, and what had to be made for that, the innermost first.
    """
    folders = (plan.folder / JOINED / str(number) for number in itertools.count(2))
    for folder in itertools.chain([plan.folder], folders):
        parts = [folder / SWEEP_LOCK, folder, *folder.parents]
        made = list(itertools.takewhile(lambda part: not part.exists(), parts))
        if lock := _lock(folder, plan.command.text):
            with lock:
                yield folder, made
            return


def _remove(made: Sequence[Path]) -> None:
    """Remove a lock, and the folders that were made for it, unless others use them meanwhile."""
    with suppress(OSError):
        for path in made:
            path.rmdir() if path.is_dir() else path.unlink()


def _lock(folder: Path, command: str) -> IO[str] | None:
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = take_lock(folder / SWEEP_LOCK, _PATIENCE)
        except FileNotFoundError:
            continue  # another, who was refused, has just removed it
        break
    if lock is not None:
        lock.truncate(0)
        lock.write(
            f"process {os.getpid()} on {socket.gethostname()} since "
            f"{time.strftime('%Y-%m-%d %H:%M:%S')} ({command})\n"
        )
        lock.flush()
    return lock


def _refuse_difference(plan: Plan, ledger: Any) -> None:
    """Refuse to run a sweep otherwise than those do who run it now."""
    definition = ledger.definition()
    if definition is not None:
        plan.refuse_other(definition)
    mine = _manner(plan)
    for who, theirs in ledger.settings_of_others().items():
        changed = [key for key in mine if key in theirs and theirs[key] != mine[key]]
        if changed:
            lines = [f"  {key}: {theirs[key]!r} there, {mine[key]!r} here" for key in changed]
            raise InputError(
                f"sweep {plan.name}: must be run by all in the same manner, but {who} runs it "
                "otherwise:\n" + "\n".join(lines) + "\njoin it with the same values, or wait until "
                "it has ended"
            )


def _manner(plan: Plan) -> dict[str, Any]:
    """Return what all who run a sweep at a time must agree upon, beside its definition."""
    settings = plan.settings
    return redact_tree(
        {
            "n_trials": plan.total,
            "sampler": settings.sampler.values,
            "pruner": settings.pruner.values,
            "terminator": settings.terminator and settings.terminator.values,
            "deduplicate": settings.deduplicate,
            "retries": settings.retries,
            "on_failure": settings.on_failure,
            "max_failure_rate": settings.max_failure_rate,
        }
    )
