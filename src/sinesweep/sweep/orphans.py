"""A sweep that nobody runs: whether its study is still there, and what it left running."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from sinesweep.errors import InputError
from sinesweep.redaction import HIDDEN
from sinesweep.sweep import space
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.marks import orphans, place_of, tell, to_entry
from sinesweep.sweep.plan import DEFINITION_FILE, JOINED, Plan, other_name, read_definition
from sinesweep.sweep.sampling import asks
from sinesweep.sweep.storage import JOURNAL_FILE, close_storage, is_shared, open_storage
from sinesweep.sweep.wording import counted

# An audit looks at a sweep for a moment; should it be killed, others wait for it so long. How long
# the participants themselves are waited for is in their rows.
_LEASE = 10.0  # seconds


def refuse_lost_study(plan: Plan, storage: BaseStorage | None) -> None:
    """Refuse a folder that holds trials which the study does not know: it is another, or gone.

    Args:
        plan: the sweep.
        storage: as configured, or None for the journal in the folder.

    Raises:
        InputError: the folder holds trials that the study does not know.
    """
    found = (path for each in ("", f"{JOINED}/*/") for path in plan.folder.glob(f"{each}trials/*"))
    there = [int(path.name) for path in found if path.name.isdigit()]
    if not there:
        return
    known = 0
    if storage is None and (plan.folder / JOURNAL_FILE).exists():
        storage = open_storage(None, plan.folder, read_only=True)
    if storage is not None:
        with suppress(KeyError):  # no such study
            known = storage.get_n_trials(storage.get_study_id_from_name(plan.name))
    if max(there) >= known:
        where = "its study.journal" if plan.settings.storage is None else "hydra.sweeper.storage"
        raise InputError(
            f"sweep {plan.name}: must be continued with its study, but {plan.folder} holds the "
            f"folder of trial {max(there)}, and {where} knows {counted(known, 'trial')}: bring the "
            f"study back, or begin another sweep: {other_name(plan.name)}"
        )


def close_orphans(folder: Path) -> tuple[list[Entry], list[int]]:
    """Close what a sweep's killed process left running, without continuing the sweep.

    Where several run the sweep together, that is what those have left whose lease is over, or who
    ran it from this folder.

    Args:
        folder: a sweep's folder, or a participant's, whose lock the caller has.

    Returns:
        Every trial, and the numbers of those just closed; none where the study is kept in a storage
        whose address holds a password, which only the sweep's own command knows.
    """
    path = folder / DEFINITION_FILE
    if not path.exists():
        return [], []
    content = read_definition(path)
    address = content["study"]["storage"]
    if address is None and not (folder / JOURNAL_FILE).exists():
        return [], []
    if HIDDEN in str(address) or isinstance(address, Mapping):
        return [], []
    storage = open_storage(address, folder)
    try:
        study = optuna.load_study(study_name=content["study"]["name"], storage=storage)
        closed = _close(study, folder, address, content["definition"])
        found = space.read(content["definition"]["space"], content["command"]["fixed"])
        trials = study.get_trials(deepcopy=False)
        return [to_entry(trial, folder, found) for trial in trials], closed
    finally:
        close_storage(storage)


def _close(
    study: optuna.Study, folder: Path, address: str | None, definition: Mapping[str, Any]
) -> list[int]:
    if not is_shared(address):
        return _close_in_turn(study, folder, Ledger(folder))
    from sinesweep.sweep.joint_ledger import JointLedger

    assert address is not None
    ledger = JointLedger(address, study.study_name, _LEASE)
    try:
        ledger.enter(folder, definition, {})
        try:
            return ledger.in_turn(lambda: _close_in_turn(study, folder, ledger))
        finally:
            ledger.withdraw()  # nothing is to be closed
    finally:
        ledger.close()


def _close_in_turn(study: optuna.Study, folder: Path, ledger: Ledger) -> list[int]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    begun = 1 + max((place_of(trial).get("ask", -1) for trial in trials), default=-1)
    found = list(orphans(trials, folder, ledger, asks(ledger, begun)))
    for number, outcome in found:
        tell(study, number, outcome)
    return [number for number, _ in found]
