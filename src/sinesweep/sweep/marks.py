"""What a sweep notes in Optuna's trials, and how it reads them.

A trial's user attribute ``sinesweep`` says which proposal it is, or which trial it runs again, and
who runs it where; a trial without it never began.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sinesweep.sweep.entry import COMPLETE, DROPPED, FAIL, PRUNED, REUSED, WAITING, Entry
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.outcome import Outcome, read_outcome
from sinesweep.sweep.space import Space

PLACE = "sinesweep"
OUTCOME = "sinesweep.outcome"
SECONDS = "sinesweep.seconds"
WAITED = "sinesweep.waited"
CONSTRAINT = "constraints:"  # Optuna's own, before each constraint's name
_ERROR = "sinesweep.error"


def place_of(trial: FrozenTrial) -> dict[str, Any]:
    """Return what a trial is, and whose; nothing where it never began."""
    return trial.user_attrs.get(PLACE, {})


def whose(ledger: Ledger, directory: Path) -> dict[str, Any]:
    """Return what a trial's place says of who runs it where: nothing where that is one only."""
    if not ledger.is_shared:
        return {}
    return {
        "participant": ledger.participant,
        "host": socket.gethostname(),
        "directory": str(directory.absolute()),
    }


def to_entry(trial: FrozenTrial, folder: Path, space: Space) -> Entry:
    """Return a trial of Optuna's as the rest of the sweep reads it.

    Args:
        trial: as the storage has it.
        folder: the sweep's folder, or the participant's.
        space: what is searched; it knows the values that the study keeps in another form.
    """
    outcome = trial.user_attrs.get(OUTCOME, trial.state.name)
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and outcome != REUSED:
        outcome = trial.state.name  # its owner told it while another was about to take it over
    start = trial.datetime_start
    began = outcome not in (DROPPED, WAITING, REUSED)
    state, error = trial.state.name, trial.user_attrs.get(_ERROR)
    if outcome != DROPPED and (lost := _lost_params(trial, space)):
        state, outcome = FAIL, DROPPED
        error = f"the study has lost the trial's value of {', '.join(lost)}"
    params = space.decoded(trial.params)
    place, waited = place_of(trial), trial.user_attrs.get(WAITED, 0.0)
    return Entry(
        number=trial.number,
        state=state,
        outcome=outcome,
        values=tuple(trial.values) if state == COMPLETE else None,
        params=params,
        overrides=space.overrides(params),
        directory=_directory(trial, folder) if began else None,
        start=start.timestamp() if start else None,
        seconds=_seconds(trial),
        error=error,
        origin=place.get("origin"),
        waited=waited,
        participant=place.get("participant"),
        host=place.get("host"),
        constraints=trial.constraints,
        reported=None if trial.last_step is None else trial.intermediate_values[trial.last_step],
    )


def _lost_params(trial: FrozenTrial, space: Space) -> list[str]:
    """Return the dimensions that an ended trial lacks, because a line of the journal is damaged.

    A custom search space only adds parameters, so each trial has a value of every dimension. A
    running trial has none until it is asked for.
    """
    is_ended = trial.state.is_finished()
    return [key for key in space.dimensions if key not in trial.params] if is_ended else []


def _seconds(trial: FrozenTrial) -> float | None:
    """Return the measured duration of a trial.

    Optuna's two timestamps follow changes of the wall clock, and one of them may be from a later
    command. So they count only for trials that no sweep has run.
    """
    if SECONDS in trial.user_attrs or place_of(trial):
        return trial.user_attrs.get(SECONDS)
    start, end = trial.datetime_start, trial.datetime_complete
    return (end - start).total_seconds() if start and end else None


def _directory(trial: FrozenTrial, folder: Path) -> Path:
    own = folder / "trials" / str(trial.number)
    said = place_of(trial).get("directory")
    return own if said is None or said == str(own.absolute()) else Path(said)


def orphans(
    trials: Iterable[FrozenTrial], folder: Path, ledger: Ledger, asks: int
) -> Iterator[tuple[int, Outcome]]:
    """Find the trials that nobody runs, with what became of them, those that never began first.

    One that was begun is what its worker left in its folder, where that can be read here, or else
    INTERRUPTED, to be run again.

    Args:
        trials: that run, and not in the caller's hands.
        folder: the sweep's folder, or the participant's.
        ledger: who takes part; the turn is the caller's, so that nobody is about to begin a trial.
        asks: the proposals that the sampler is known to have made.
    """
    found = list(trials)
    known = {place_of(trial).get("participant") for trial in found}
    others = {each for each in known if each not in (None, ledger.participant)}
    gone = {None, ledger.participant, *ledger.gone(others)}
    left = []
    for trial in found:
        place = place_of(trial)
        is_nobodys = place.get("participant") in gone
        if not place or place.get("ask", -1) >= asks or (_waits(trial) and is_nobodys):
            cause = "the sweep was killed before the trial began"
            yield trial.number, Outcome(DROPPED, error=cause)
        elif is_nobodys:
            left.append(trial)
    for trial in left:
        host = place_of(trial).get("host")
        cause = f"the sweep was killed on {host}" if host else "the sweep was killed"
        outcome = read_outcome(_directory(trial, folder))
        yield trial.number, outcome or Outcome.interrupted(cause)


def _waits(trial: FrozenTrial) -> bool:
    return trial.user_attrs.get(OUTCOME) == WAITING


def tell(study: optuna.Study, number: int, outcome: Outcome) -> None:
    """Tell the study what became of a trial; what another participant has said of it holds."""
    # Optuna has no public way to a trial's attributes by its number.
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    if storage.get_trial(trial_id).state.is_finished():
        return
    try:
        _tell(study, trial_id, outcome)
    except UpdateFinishedTrialError:
        if not storage.get_trial(trial_id).state.is_finished():
            raise


def _tell(study: optuna.Study, trial_id: int, outcome: Outcome) -> None:
    for key, value in (outcome.constraints or {}).items():
        # As optuna.Trial.set_constraint does, and again if the process was killed before the end.
        study._storage.set_trial_system_attr(trial_id, f"{CONSTRAINT}{key}", value)
    if outcome.kind in (COMPLETE, REUSED):
        _finish(study, trial_id, TrialState.COMPLETE, outcome.values)
        return
    if outcome.kind == PRUNED:
        _finish(study, trial_id, TrialState.PRUNED)
        return
    storage = study._storage
    storage.set_trial_user_attr(trial_id, _ERROR, outcome.error)
    storage.set_trial_user_attr(trial_id, OUTCOME, outcome.kind)
    if outcome.kind == DROPPED:  # the sampler is not told: to it, the trial never was
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    else:
        _finish(study, trial_id, TrialState.FAIL)


def _finish(
    study: optuna.Study,
    trial_id: int,
    state: TrialState,
    values: Sequence[float] | None = None,
) -> None:
    """Do what :meth:`optuna.Study.tell` does, unless the sampler refuses the trial.

    Then Optuna ends the trial all the same, without the constraints that decide if it is feasible.
    Here it runs on, to be told again when the sweep is continued.

    Raises:
        HookFailed: the sampler has raised an exception.
    """
    trial = study._storage.get_trial(trial_id)
    study._thread_local.cached_all_trials = None
    if state == TrialState.PRUNED and trial.last_step is not None:
        values = [trial.intermediate_values[trial.last_step]]
    shown = optuna.pruners._filter_study(study, trial)
    shown.sampler.after_trial(shown, trial, state, values)
    study._storage.set_trial_state_values(trial_id, state, values)
