"""The sweep's study: what was proposed, what became of it, and what is still to be run.

Everything is kept in Optuna's storage at the moment it is known, so that a killed sweep can be
continued from the storage, the sampler's place and the trials' folders alone.

Several processes may run a sweep together. Each begins trials in its turn only, and looks first at
what the others have begun and ended, so that each point is proposed once and each trial run once.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from sinesweep.errors import Interrupted
from sinesweep.sweep.custom_space import extend
from sinesweep.sweep.distinct import DistinctSampler
from sinesweep.sweep.entry import (
    COMPLETE,
    DROPPED,
    FAIL,
    PRUNED,
    RETRIED,
    REUSED,
    RUN_AGAIN,
    RUNNING,
    WAITING,
    Entry,
)
from sinesweep.sweep.hooks import hook
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.marks import (
    CONSTRAINT,
    OUTCOME,
    PLACE,
    SECONDS,
    WAITED,
    orphans,
    place_of,
    tell,
    to_entry,
    whose,
)
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.pruning_check import PruningCheck
from sinesweep.sweep.sampling import Again, Place
from sinesweep.sweep.space import point_key
from sinesweep.sweep.wording import counted
from sinesweep.tracking.sweep_record import trial_tag

_MOST_REUSED = 100  # proposals of known points, until the sampler is taken to know no others
_NOT_EVALUATED = (REUSED, WAITING, DROPPED)
_TERMINATED = "sinesweep.terminated"  # attribute of the study
_LOOKS = 1.0  # seconds between two looks at what others do


@dataclass(frozen=True)
class Begun:
    """A trial that was proposed in a turn, and is ours once that has ended well.

    Attributes:
        entry: the trial, which may have ended at once.
        trial: Optuna's.
        first: the trial that is evaluating its point, which it is to wait for.
    """

    entry: Entry
    trial: optuna.Trial
    first: int | None = None


@dataclass(frozen=True)
class News:
    """What another participant has done, or was to do.

    Attributes:
        entry: the trial, as it is now.
        closed_here: whether it was closed by this process, since nobody runs it any more.
    """

    entry: Entry
    closed_here: bool = False


class SweepStudy:
    """Optuna's study, asked and told for a whole sweep.

    Args:
        plan: the sweep.
        storage: where the study is kept.
        sampler: as configured; it goes on from where it was left.
        pruner: decides on reports.
        ledger: keeps the sampler's state, and knows whose turn it is.

    Attributes:
        entries: every trial by its number.
        closed: the trials that a killed process had left running, as they were closed.
        participant: who takes part here, as trials name it, or None where nobody else can.
        failed: how many trials have failed.
        pruning: whether the trials that are run here give the pruner anything to decide on.
    """

    def __init__(
        self,
        plan: Plan,
        storage: BaseStorage,
        sampler: BaseSampler,
        pruner: BasePruner,
        ledger: Ledger,
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self.participant = ledger.participant
        self._distributions = plan.space.distributions()
        self._distinct: DistinctSampler | None = None  # where each point is proposed once
        self._running: dict[int, optuna.Trial] = {}
        self._waiting: dict[int, tuple[optuna.Trial, int]] = {}  # each with whom it waits for
        self._about_to_have: dict[int, float] = {}
        self._known: dict[str, Entry] = {}
        self._open: set[int] = set()  # that run or wait, here or elsewhere
        self._seen = 0  # trials that others may have begun have been looked at up to here
        self._looked = time.monotonic()
        self._has_orphans = False
        self._heard: list[News] = []
        self._again: dict[int, None] = {}  # in the order in which they are run again
        self._repeated: set[int] = set()
        self._counted = 0
        self.failed = 0
        self.pruning = PruningCheck(plan.settings.pruner.target)
        self.entries: dict[int, Entry] = {}
        ledger.in_turn(lambda: self._open_study(storage, sampler, pruner))
        self._heard.clear()

    def _open_study(self, storage: BaseStorage, sampler: BaseSampler, pruner: BasePruner) -> None:
        self.optuna = optuna.create_study(
            study_name=self._plan.name,
            storage=storage,
            pruner=pruner,
            directions=list(self._plan.settings.objectives),
            load_if_exists=True,
        )
        self._place = Place(self._ledger, self._plan.sampler.values)
        asks = (place_of(trial).get("ask", -1) for trial in self._trials())
        self._sequencer = self._place.find(sampler, 1 + max(asks, default=-1))
        self._sequencer.settle(self.optuna)
        self._sequencer.on_stop = self._save_stop
        if self._plan.is_distinct:
            self._distinct = DistinctSampler(self._sequencer, self._plan.space)
        self.optuna.sampler = self._sampler
        if self._ledger.is_shared:
            self._place.save(self._sequencer)  # others go on from it, even from its seed
        self._see()
        self.closed = sorted(self._close_orphans(), key=lambda entry: entry.number)

    @property
    def counted(self) -> int:
        """How many trials of ``n_trials`` have ended."""
        return self._counted

    @property
    def left(self) -> int | None:
        """How many trials are still to begin, or None where another budget ends the sweep."""
        total = self._plan.total
        under_way = sum(self.entries[number].outcome != WAITING for number in self._open)
        return None if total is None else max(0, total - self._counted - under_way)

    @property
    def has_more(self) -> bool:
        """Whether another trial may begin, as far as is known."""
        known = self._again or self._settled is not None or self._has_orphans
        return bool(known) or self._has_room

    @property
    def _has_room(self) -> bool:
        """Whether the sampler may propose another trial."""
        if len(self._waiting) >= self._plan.places or self.left == 0:
            return False
        return self.exhausted is None

    @property
    def exhausted(self) -> str | None:
        """Why the sampler is not asked again although the budget is not spent, or None."""
        if self._sequencer.wants_to_stop:
            return "its sampler proposes no more points: another hydra.sweeper.sampler may"
        if self._distinct is not None and self._distinct.is_exhausted:
            return f"each of its {counted(self._plan.points or 0, 'point')} was evaluated"
        if self._reused_in_a_row >= _MOST_REUSED:
            return (
                f"its sampler has proposed {_MOST_REUSED} points in a row that were evaluated "
                "before: hydra.sweeper.deduplicate=false evaluates them again"
            )
        return None

    @property
    def is_terminated(self) -> bool:
        """Whether this terminator has ended the sweep, and no greater n_trials is given now."""
        kept = self.optuna.user_attrs.get(_TERMINATED)
        if kept is None or self._plan.settings.terminator is None:
            return False
        before, now = (each["n_trials"] or math.inf for each in (kept, self._budget))
        return kept["terminator"] == self._budget["terminator"] and now <= before

    def note_termination(self) -> None:
        """Keep that the terminator has ended the sweep, for commands that continue it."""
        self.optuna.set_user_attr(_TERMINATED, self._budget)

    @property
    def _budget(self) -> dict[str, Any]:
        settings = self._plan.settings
        assert settings.terminator is not None
        terminator = json.loads(json.dumps(settings.terminator.values, default=str))
        return {"terminator": terminator, "n_trials": settings.n_trials}

    @property
    def _reused_in_a_row(self) -> int:
        latest = reversed(self.entries.values())
        found = itertools.takewhile(lambda entry: entry.outcome in _NOT_EVALUATED, latest)
        return sum(entry.outcome == REUSED for entry in found)

    @property
    def _sampler(self) -> BaseSampler:
        return self._distinct or self._sequencer

    @property
    def awaits_others(self) -> bool:
        """Whether others have trials whose ends may leave some to be run here."""
        return not self._open <= self._running.keys() | self._waiting.keys()

    def look(self) -> list[News]:
        """Return what others have begun or ended since, or closed although it is ours.

        The study is asked at most once a second.
        """
        if self._ledger.is_shared and time.monotonic() > self._looked + _LOOKS:
            self._ledger.stay()
            self._see()
            self._has_orphans = self._may_have_orphans()
        heard, self._heard = self._heard, []
        return heard

    def next(self) -> Entry | None:
        """Begin a trial: one that is to be run again, or the sampler's next proposal.

        Returns:
            An entry whose outcome is RUNNING, or, where points are not evaluated twice, one that
            has ended, or one that is WAITING until the trial that evaluates its point has. None
            where others have begun what there was.
        """
        if self._settled is not None:
            return self._settle(self._settled)
        begun = self._ledger.in_turn(self._begin)
        return self._keep(begun) if begun else None

    def _begin(self) -> Begun | None:
        if self._ledger.is_shared:
            self._place.follow(self._sequencer)
            self._sequencer.settle(self.optuna)
            self._see()
            self._close_orphans()
            if not self._again and not self._has_room:
                return None
        trial = self._ask_again(next(iter(self._again))) if self._again else self._ask()
        entry = self._note(self._trial(trial.number))
        if self._plan.settings.deduplicate:
            if known := self._known.get(point_key(entry.params)):
                return Begun(self._reuse(trial, known), trial)
            if (first := self._evaluating(entry)) is not None:
                trial.set_user_attr(OUTCOME, WAITING)
                return Begun(self._note(self._trial(trial.number)), trial, first)
        return Begun(entry, trial)

    def _keep(self, begun: Begun) -> Entry:
        number = begun.entry.number
        if begun.first is not None:
            self._waiting[number] = (begun.trial, begun.first)
        elif begun.entry.outcome == RUNNING:
            self._running[number] = begun.trial
            self.pruning.begin(number)
        return begun.entry

    def end_waiting(self) -> list[Entry]:
        """End the trials that wait for others, when no more trials begin; return them."""
        return [self._settle(number) for number in list(self._waiting)]

    def run_tag(self, number: int) -> str | None:
        """Return the tag of a trial's run by which others find it, where there may be others."""
        return trial_tag(self._ledger.token, number) if self._ledger.token else None

    def report(self, number: int, value: float, step: int) -> None:
        """Store a step's first value; Optuna takes none where there are several objectives."""
        if self.pruning.report(number, step) and len(self._plan.settings.objectives) == 1:
            with suppress(UpdateFinishedTrialError):  # another has closed it: look() will say so
                self._running[number].report(value, step)

    def should_prune(self, number: int) -> bool:
        """Ask the pruner."""
        self.pruning.ask(number)
        if len(self._plan.settings.objectives) > 1:
            return False
        with hook("pruner", type(self.optuna.pruner).__name__):
            return self._running[number].should_prune()

    def is_among_best(self, number: int, value: float, count: int) -> bool:
        """Whether fewer than so many trials have a better first value, or are about to have.

        Args:
            number: of the trial that asks, and is about to complete.
            value: its own.
            count: so many.
        """
        sign = -1 if self._plan.settings.objectives[0] == "maximize" else 1
        entries = self.entries.values()
        feasible = [e.values for e in entries if e.outcome == COMPLETE and e.is_feasible]
        known = [*(values[0] for values in feasible if values), *self._about_to_have.values()]
        self._about_to_have[number] = value
        return sum(sign * other < sign * value for other in known) < count

    def end(
        self,
        number: int,
        outcome: Outcome,
        *,
        seconds: float | None = None,
        waited: float = 0.0,
    ) -> Entry:
        """Tell the study what became of a trial.

        Where the trial is to be run again, that is known from here on, and survives the process.
        What another participant has said of it, which took this one for dead, holds.

        Args:
            number: the trial's.
            outcome: what became of it.
            seconds: how long it ran, if that is known.
            waited: seconds in which it had begun and could not run.
        """
        with suppress(UpdateFinishedTrialError):  # another has closed it
            if seconds is not None:
                self._running[number].set_user_attr(SECONDS, seconds)
            if waited:
                self._running[number].set_user_attr(WAITED, waited)
        self.pruning.end(number, outcome.kind)
        return self._tell(number, self._or_retried(number, outcome))

    def leave(self, number: int, outcome: Outcome, *, seconds: float) -> Entry:
        """Return what became of a trial where the study cannot be told, as it will be later.

        What a constraints_func says of it is not known until then, so the trial is not feasible.
        """
        outcome = self._or_retried(number, outcome)
        before = self.entries[number]
        state = {COMPLETE: COMPLETE, PRUNED: PRUNED}.get(outcome.kind, FAIL)
        function = getattr(self._sequencer.inner, "_constraints_func", None)
        unknown = {"constraints_func": math.nan} if function and state != FAIL else {}
        self.entries[number] = replace(
            before,
            state=state,
            outcome=outcome.kind,
            values=outcome.values if state == COMPLETE else None,
            seconds=seconds,
            error=outcome.error,
            constraints={**(outcome.constraints or {}), **unknown},
        )
        return self.entries[number]

    def attempts(self, number: int) -> int:
        """Return how often a trial's point has failed before."""
        failed = 0
        origin = self.entries[number].origin
        while origin is not None:
            failed += self.entries[origin].outcome == RETRIED
            origin = self.entries[origin].origin
        return failed

    def _evaluating(self, proposed: Entry) -> int | None:
        """Return the trial that is evaluating a point."""
        point = point_key(proposed.params)
        under_way = (self.entries[n] for n in sorted(self._open) if n != proposed.number)
        return next(
            (e.number for e in under_way if e.outcome != WAITING and point_key(e.params) == point),
            None,
        )

    def _reuse(self, trial: optuna.Trial, known: Entry) -> Entry:
        trial.set_user_attr(OUTCOME, REUSED)
        # Only those that the function has set: constraints_func sets its own again.
        constraints = {
            key.removeprefix(CONSTRAINT): value
            for key, value in self._trial(known.number).system_attrs.items()
            if key.startswith(CONSTRAINT)
        }
        return self._tell(trial.number, Outcome(REUSED, known.values, constraints=constraints))

    @property
    def _settled(self) -> int | None:
        """A trial that waits for one that has ended."""
        waiting = self._waiting.items()
        return next((n for n, (_, first) in waiting if first not in self._open), None)

    def _settle(self, number: int) -> Entry:
        """End a trial that has waited: with the values of the other, or as if it never was.

        Where there are no values, the sampler is free to propose the point again.
        """
        trial, first = self._waiting.pop(number)
        waited = self.entries[number]
        if known := self._known.get(point_key(waited.params)):
            with suppress(UpdateFinishedTrialError):  # another has closed it
                return self._reuse(trial, known)
        cause = f"trial {first}, which evaluated this point, did not complete"
        return self._tell(number, Outcome(DROPPED, error=cause))

    def _or_retried(self, number: int, outcome: Outcome) -> Outcome:
        if outcome.kind == FAIL and self.attempts(number) < self._plan.settings.retries:
            return outcome.to_be_retried()
        return outcome

    def _ask_again(self, number: int) -> optuna.Trial:
        earlier = self._trial(number)
        self.optuna.sampler = Again(earlier)
        try:
            trial = self.optuna.ask(earlier.distributions)
        finally:
            self.optuna.sampler = self._sampler
        self._mark(trial, {"origin": number})
        return trial

    def _ask(self) -> optuna.Trial:
        trial = self.optuna.ask(self._distributions)
        if self._plan.settings.custom_search_space:
            with hook("custom_search_space", self._plan.settings.custom_search_space):
                extend(self._plan, self._plan.base, trial)
        # In this order: a proposal that was not saved is made again, and this trial dropped.
        self._mark(trial, {"ask": self._sequencer.asks})
        self._sequencer.asks += 1
        self._place.save(self._sequencer)
        self._sequencer.settle(self.optuna)
        return trial

    def _mark(self, trial: optuna.Trial, place: Mapping[str, Any]) -> None:
        """Say whose a trial is: whoever lost the turn before has had it dropped by the next."""
        if self._ledger.is_shared:
            self._ledger.hold()
        directory = self._plan.directory(trial.number)
        trial.set_user_attr(PLACE, {**place, **whose(self._ledger, directory)})

    def _save_stop(self) -> None:
        """Keep that the sampler has no more to propose, with the place where the others are."""
        with suppress(Interrupted):  # while the turn was waited for: others find out by themselves
            self._ledger.in_turn(self._save_stop_in_turn)

    def _save_stop_in_turn(self) -> None:
        self._place.follow(self._sequencer)
        self._sequencer.wants_to_stop = True
        self._place.save(self._sequencer)

    # what is known of the trials

    def _see(self) -> None:
        """Look at the trials that are new, or ran when they were last looked at."""
        trials = self._trials()
        for number in [*sorted(self._open), *range(self._seen, len(trials))]:
            before = self.entries.get(number)
            entry = self._note(trials[number])
            is_ours = number in self._running or number in self._waiting
            if entry != before and not (is_ours and entry.state == RUNNING):
                self._heard.append(News(entry))
        self._seen, self._looked = len(trials), time.monotonic()

    @property
    def _elsewhere(self) -> set[int]:
        """The trials that run, and not here."""
        return self._open - self._running.keys() - self._waiting.keys()

    def _may_have_orphans(self) -> bool:
        """Whether a turn is worth while: a trial is nobody's, or is just being proposed."""
        mine = self.participant
        found = {self.entries[number].participant for number in self._elsewhere}
        others = {each for each in found if each is not None and each != mine}
        return found != others or bool(self._ledger.gone(others))

    def _close_orphans(self) -> list[Entry]:
        """Close the trials that nobody runs any more, in a turn; return them."""
        left = [self._trial(number) for number in sorted(self._elsewhere)]
        found = orphans(left, self._plan.folder, self._ledger, self._sequencer.asks)
        closed = [self._tell(number, self._or_retried(number, o)) for number, o in found]
        self._heard += [News(entry, closed_here=True) for entry in closed]
        self._has_orphans = False
        return closed

    def _tell(self, number: int, outcome: Outcome) -> Entry:
        tell(self.optuna, number, outcome)
        self._running.pop(number, None)
        self._about_to_have.pop(number, None)
        return self._note(self._trial(number))

    def _trials(self) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False)

    def _trial(self, number: int) -> FrozenTrial:
        storage = self.optuna._storage  # Optuna has no public way to a trial by its number
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.optuna._study_id, number)
        return storage.get_trial(trial_id)

    def _note(self, trial: FrozenTrial) -> Entry:
        entry = to_entry(trial, self._plan.folder, self._plan.space)
        before = self.entries.get(entry.number)
        self.entries[entry.number] = entry
        if self._distinct is not None:
            self._distinct.note(entry.number, None if entry.outcome == DROPPED else entry.params)
        if before is not None and before.state != RUNNING:
            return entry
        self._counted += entry.counts
        self.failed += entry.outcome == FAIL
        if entry.state == RUNNING:
            self._open.add(entry.number)
        else:
            self._open.discard(entry.number)
        if entry.outcome == COMPLETE:
            self._known.setdefault(point_key(entry.params), entry)
        if entry.outcome == DROPPED:
            self._sequencer.hidden |= {entry.number}
        self._note_repeats(entry)
        return entry

    def _note_repeats(self, entry: Entry) -> None:
        """Keep account of what is to be run again: a trial that was dropped repeats nothing."""
        if entry.outcome in RUN_AGAIN and entry.number not in self._repeated:
            self._again[entry.number] = None
        if entry.origin is None:
            return
        if entry.outcome != DROPPED:
            self._repeated.add(entry.origin)
            self._again.pop(entry.origin, None)
        elif entry.origin in self._repeated:
            self._repeated.discard(entry.origin)
            self._again[entry.origin] = None
