"""The sweep's study: what was proposed, what became of it, and what is still to be run.

Everything is kept in Optuna's storage at the moment it is known, so that a killed sweep can be
continued from the storage, the sampler's place and the trials' folders alone. A trial's user
attribute ``sinesweep`` says which proposal it is, or which trial it runs again; a trial without it
never began.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sinesweep.errors import InputError
from sinesweep.redaction import HIDDEN
from sinesweep.sweep.custom_space import extend
from sinesweep.sweep.entry import (
    COMPLETE,
    DROPPED,
    FAIL,
    PRUNED,
    RETRIED,
    REUSED,
    RUN_AGAIN,
    WAITING,
    Entry,
)
from sinesweep.sweep.outcome import Outcome, read_outcome
from sinesweep.sweep.plan import DEFINITION_FILE, Plan, other_name
from sinesweep.sweep.sampling import Again, Place
from sinesweep.sweep.storage import JOURNAL_FILE, open_storage
from sinesweep.sweep.wording import counted

_PLACE = "sinesweep"
_OUTCOME = "sinesweep.outcome"
_ERROR = "sinesweep.error"
_WAITED = "sinesweep.waited"

optuna.logging.set_verbosity(optuna.logging.WARNING)


class SweepStudy:
    """Optuna's study, asked and told for a whole sweep.

    Args:
        plan: the sweep.
        storage: where the study is kept.
        sampler: as configured; it goes on from where it was left.
        pruner: decides on reports.
        place: where the sampler's state is kept.

    Attributes:
        entries: every trial by its number.
        closed: the trials that a killed process had left running, as they were closed.
    """

    def __init__(
        self,
        plan: Plan,
        storage: BaseStorage,
        sampler: BaseSampler,
        pruner: BasePruner,
        place: Place,
    ) -> None:
        self._plan = plan
        self.optuna = optuna.create_study(
            study_name=plan.name,
            storage=storage,
            pruner=pruner,
            directions=list(plan.settings.objectives),
            load_if_exists=True,
        )
        self._place = place
        self._sequencer = place.find(sampler, _proposals(self._trials()))
        self._sequencer.settle(self.optuna)
        self._sequencer.on_stop = lambda: place.save(self._sequencer)
        self.optuna.sampler = self._sequencer
        self._distributions = plan.space.distributions()
        self._running: dict[int, optuna.Trial] = {}
        self._waiting: dict[int, tuple[optuna.Trial, int]] = {}  # each with whom it waits for
        self._about_to_have: dict[int, float] = {}
        self._known: dict[str, Entry] = {}
        self._counted = 0
        self.entries: dict[int, Entry] = {}
        closed = drop_unbegun(self.optuna, self._sequencer.asks)
        for trial in self._trials():
            self._note(trial)
        self._sequencer.hidden = frozenset(
            entry.number for entry in self.entries.values() if entry.outcome == DROPPED
        )
        for number, outcome in running(self.optuna, plan.folder):
            self._tell(number, self._or_retried(number, outcome))
            closed.append(number)
        self.closed = [self.entries[number] for number in sorted(closed)]
        self._again = deque(_not_repeated(self.entries.values()))

    @property
    def counted(self) -> int:
        """How many trials of ``n_trials`` have ended."""
        return self._counted

    @property
    def left(self) -> int | None:
        """How many trials are still to begin, or None where another budget ends the sweep."""
        total = self._plan.total
        return None if total is None else max(0, total - self._counted - len(self._running))

    @property
    def has_more(self) -> bool:
        """Whether another trial may begin."""
        if self._again or self._settled is not None:
            return True
        if self._sequencer.wants_to_stop or len(self._waiting) >= self._plan.places:
            return False
        return self.left != 0

    def next(self) -> Entry:
        """Begin a trial: one that is to be run again, or the sampler's next proposal.

        Returns:
            An entry whose outcome is RUNNING, or, where points are not evaluated twice, one that
            has ended, or one that is WAITING until the trial that evaluates its point has.
        """
        if self._settled is not None:
            return self._settle(self._settled)
        trial = self._ask_again(self._again[0]) if self._again else self._ask()
        if self._again:
            self._again.popleft()
        entry = self._note(self._trials()[trial.number])
        if self._plan.settings.deduplicate:
            if known := self._known.get(_point(entry.params)):
                return self._reuse(trial, known)
            if (first := self._evaluating(entry.params)) is not None:
                return self._wait(trial, first)
        self._running[trial.number] = trial
        return entry

    def end_waiting(self) -> list[Entry]:
        """End the trials that wait for others, when no more trials begin; return them."""
        return [self._settle(number) for number in list(self._waiting)]

    def report(self, number: int, value: float, step: int) -> None:
        """Store an intermediate value; Optuna takes none where there are several objectives."""
        if len(self._plan.settings.objectives) == 1:
            self._running[number].report(value, step)

    def should_prune(self, number: int) -> bool:
        """Ask the pruner."""
        return len(self._plan.settings.objectives) == 1 and self._running[number].should_prune()

    def is_among_best(self, number: int, value: float, count: int) -> bool:
        """Whether fewer than so many trials have a better first value, or are about to have.

        Args:
            number: of the trial that asks, and is about to complete.
            value: its own.
            count: so many.
        """
        sign = -1 if self._plan.settings.objectives[0] == "maximize" else 1
        completed = [e.values for e in self.entries.values() if e.outcome == COMPLETE and e.values]
        known = [*(values[0] for values in completed), *self._about_to_have.values()]
        self._about_to_have[number] = value
        return sum(sign * other < sign * value for other in known) < count

    def end(self, number: int, outcome: Outcome, waited: float = 0.0) -> Entry:
        """Tell the study what became of a trial.

        Where the trial is to be run again, that is known from here on, and survives the process.

        Args:
            number: the trial's.
            outcome: what became of it.
            waited: seconds in which it had begun and could not run.
        """
        if waited:
            self._running[number].set_user_attr(_WAITED, waited)
        entry = self._tell(number, self._or_retried(number, outcome))
        if entry.outcome in RUN_AGAIN:
            self._again.append(number)
        return entry

    def attempts(self, number: int) -> int:
        """Return how often a trial's point has failed before."""
        failed = 0
        origin = self.entries[number].origin
        while origin is not None:
            failed += self.entries[origin].outcome == RETRIED
            origin = self.entries[origin].origin
        return failed

    def _evaluating(self, params: Mapping[str, Any]) -> int | None:
        """Return the trial that is evaluating a point."""
        point = _point(params)
        return next((n for n in self._running if _point(self.entries[n].params) == point), None)

    def _reuse(self, trial: optuna.Trial, known: Entry) -> Entry:
        trial.set_user_attr(_OUTCOME, REUSED)
        return self._tell(trial.number, Outcome(REUSED, values=known.values))

    def _wait(self, trial: optuna.Trial, first: int) -> Entry:
        trial.set_user_attr(_OUTCOME, WAITING)
        self._waiting[trial.number] = (trial, first)
        return self._note(self._trials()[trial.number])

    @property
    def _settled(self) -> int | None:
        """A trial that waits for one that has ended."""
        waiting = self._waiting.items()
        return next((n for n, (_, first) in waiting if first not in self._running), None)

    def _settle(self, number: int) -> Entry:
        """End a trial that has waited: with the values of the other, or as if it never was.

        Where there are no values, the sampler is free to propose the point again.
        """
        trial, first = self._waiting.pop(number)
        waited = self.entries[number]
        if known := self._known.get(_point(waited.params)):
            return self._reuse(trial, known)
        if waited.origin is not None:
            self._again.append(waited.origin)
        self._sequencer.hidden |= {number}
        cause = f"trial {first}, which evaluated this point, did not complete"
        return self._tell(number, Outcome(DROPPED, error=cause))

    def _or_retried(self, number: int, outcome: Outcome) -> Outcome:
        if outcome.kind == FAIL and self.attempts(number) < self._plan.settings.retries:
            return outcome.to_be_retried()
        return outcome

    def _ask_again(self, number: int) -> optuna.Trial:
        earlier = self._trials()[number]
        self.optuna.sampler = Again(earlier)
        try:
            trial = self.optuna.ask(earlier.distributions)
        finally:
            self.optuna.sampler = self._sequencer
        trial.set_user_attr(_PLACE, {"origin": number})
        return trial

    def _ask(self) -> optuna.Trial:
        trial = self.optuna.ask(self._distributions)
        if self._plan.settings.custom_search_space:
            extend(self._plan, self._plan.base, trial)
        # In this order: a proposal that was not saved is made again, and this trial dropped.
        trial.set_user_attr(_PLACE, {"ask": self._sequencer.asks})
        self._sequencer.asks += 1
        self._place.save(self._sequencer)
        self._sequencer.settle(self.optuna)
        return trial

    def _tell(self, number: int, outcome: Outcome) -> Entry:
        _tell(self.optuna, number, outcome)
        self._running.pop(number, None)
        self._about_to_have.pop(number, None)
        return self._note(self._trials()[number])

    def _trials(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False)

    def _note(self, trial: FrozenTrial) -> Entry:
        entry = to_entry(trial, self._plan.folder, self._plan.space.overrides(trial.params))
        self.entries[entry.number] = entry
        self._counted += entry.counts
        if entry.outcome == COMPLETE:
            self._known.setdefault(_point(entry.params), entry)
        return entry


def to_entry(trial: FrozenTrial, folder: Path, overrides: Sequence[str] = ()) -> Entry:
    """Return a trial of Optuna's as the rest of the sweep reads it.

    Args:
        trial: as the storage has it.
        folder: the sweep's folder.
        overrides: what makes the trial's configuration.
    """
    outcome = trial.user_attrs.get(_OUTCOME, trial.state.name)
    start, end = trial.datetime_start, trial.datetime_complete
    began = outcome not in (DROPPED, WAITING, REUSED)
    waited = trial.user_attrs.get(_WAITED, 0.0)
    return Entry(
        number=trial.number,
        state=trial.state.name,
        outcome=outcome,
        values=tuple(trial.values) if trial.state == TrialState.COMPLETE else None,
        params=dict(trial.params),
        overrides=overrides,
        directory=folder / "trials" / str(trial.number) if began else None,
        start=start.timestamp() if start else None,
        seconds=(end - start).total_seconds() - waited if start and end else None,
        error=trial.user_attrs.get(_ERROR),
        origin=trial.user_attrs.get(_PLACE, {}).get("origin"),
        waited=waited,
    )


def drop_unbegun(study: optuna.Study, asks: int) -> list[int]:
    """Drop the trials that a killed process had proposed and not begun.

    Args:
        study: nobody else may be running it.
        asks: the proposals that the sampler is known to have made.

    Returns:
        The numbers of the trials that were dropped.
    """
    dropped = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        place = trial.user_attrs.get(_PLACE)
        waiting = trial.user_attrs.get(_OUTCOME) == WAITING
        if place is None or place.get("ask", -1) >= asks or waiting:
            cause = "the sweep was killed before the trial began"
            _tell(study, trial.number, Outcome(DROPPED, error=cause))
            dropped.append(trial.number)
    return dropped


def running(study: optuna.Study, folder: Path) -> list[tuple[int, Outcome]]:
    """Return the trials that a killed process left running, with what became of them.

    That is what the worker left in the trial's folder, or else INTERRUPTED, to be run again.

    Args:
        study: nobody else may be running it.
        folder: the sweep's folder.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    found = [(t.number, read_outcome(folder / "trials" / str(t.number))) for t in trials]
    return [(n, outcome or Outcome.interrupted("the sweep was killed")) for n, outcome in found]


def refuse_lost_study(plan: Plan, storage: BaseStorage | None) -> None:
    """Refuse a folder that holds trials which the study does not know: it is another, or gone.

    Args:
        plan: the sweep.
        storage: as configured, or None for the journal in the folder.

    Raises:
        InputError: the folder holds trials that the study does not know.
    """
    there = [int(path.name) for path in (plan.folder / "trials").glob("*") if path.name.isdigit()]
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

    Args:
        folder: a sweep's folder, whose lock the caller has.

    Returns:
        Every trial, and the numbers of those just closed; none where the study is kept in a storage
        whose address holds a password, which only the sweep's own command knows.
    """
    definition = folder / DEFINITION_FILE
    if not definition.exists():
        return [], []
    kept = yaml.safe_load(definition.read_text(encoding="utf-8"))["study"]
    if kept["storage"] is None and not (folder / JOURNAL_FILE).exists():
        return [], []
    if HIDDEN in str(kept["storage"]) or isinstance(kept["storage"], Mapping):
        return [], []
    storage = open_storage(kept["storage"], folder)
    study = optuna.load_study(study_name=kept["name"], storage=storage)
    closed = drop_unbegun(study, Place.asks(folder))
    for number, outcome in running(study, folder):
        _tell(study, number, outcome)
        closed.append(number)
    return [to_entry(trial, folder) for trial in study.get_trials(deepcopy=False)], closed


def _tell(study: optuna.Study, number: int, outcome: Outcome) -> None:
    if outcome.kind in (COMPLETE, REUSED):
        study.tell(number, outcome.values, TrialState.COMPLETE)
        return
    if outcome.kind == PRUNED:
        study.tell(number, state=TrialState.PRUNED)
        return
    # Optuna has no public way to a trial's attributes by its number.
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    storage.set_trial_user_attr(trial_id, _ERROR, outcome.error)
    storage.set_trial_user_attr(trial_id, _OUTCOME, outcome.kind)
    if outcome.kind == DROPPED:  # the sampler is not told: to it, the trial never was
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    else:
        study.tell(number, state=TrialState.FAIL)


def _proposals(trials: Iterable[FrozenTrial]) -> int:
    """Return how many of the sampler's proposals the study knows of."""
    asks = (trial.user_attrs.get(_PLACE, {}).get("ask", -1) for trial in trials)
    return 1 + max(asks, default=-1)


def _not_repeated(entries: Iterable[Entry]) -> list[int]:
    entries = list(entries)
    repeated = {entry.origin for entry in entries if entry.outcome != DROPPED}
    return [e.number for e in entries if e.outcome in RUN_AGAIN and e.number not in repeated]


def _point(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
