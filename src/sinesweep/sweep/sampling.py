"""Samplers that keep their place: what a sampler would propose next survives the process.

After each proposal the sampler is written to the sweep's ledger. A sweep that is continued, or
joined, goes on with the very state it was left in, so it proposes what it would have proposed all
along, and repeats nothing.
"""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sinesweep.files import warn_of_damage
from sinesweep.sweep.hooks import hook
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.space import Space

# These take a trial's number for its place in the sequence; a trial that was run again has another.
_BY_NUMBER = (CmaEsSampler, GridSampler)

_CONSTRAINTS = "constraints"  # what Optuna keeps of a trial's constraints begins so

_log = logging.getLogger(__name__)


class Grid(BaseSampler):
    """Every combination once, in order, the last dimension changing fastest.

    Args:
        space: a finite search space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space.without_secrets  # a sampler is saved
        self._next = 0

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 # Optuna's interface
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Propose every dimension."""
        return self._space.distributions()

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the next combination."""
        point = self._space.point(self._next)
        self._next += 1
        return self._space.encoded(point)

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Refuse a parameter that the grid does not have."""
        raise ValueError(f"{param_name} must be one of the grid's, but the grid does not have it")


class Again(BaseSampler):
    """Proposes the point of an earlier trial."""

    def __init__(self, earlier: FrozenTrial) -> None:
        self._earlier = earlier

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Hand on what a sampler noted of the earlier trial, such as its generation."""
        for key, value in self._earlier.system_attrs.items():
            if not key.startswith(_CONSTRAINTS):
                study._storage.set_trial_system_attr(trial._trial_id, key, value)

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Propose what the earlier trial was proposed."""
        return self._earlier.distributions

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the point."""
        return self._earlier.params

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002
        trial: FrozenTrial,  # noqa: ARG002
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Return the point's coordinate."""
        return self._earlier.params[param_name]


class Sequencer(BaseSampler):
    """A sampler and how many proposals it has made.

    Args:
        inner: any of Optuna's samplers, or a user's own.
        asks: the proposals made so far.
        notes: what the sampler noted of the study with its last proposal.
        wants_to_stop: whether the sampler has called ``study.stop``.

    Attributes:
        hidden: numbers of dropped trials: to the sampler, they never were.
        on_stop: called when the sampler calls ``study.stop``.
    """

    def __init__(
        self,
        inner: BaseSampler,
        asks: int = 0,
        notes: Mapping[str, Any] | None = None,
        wants_to_stop: bool = False,
    ) -> None:
        self.inner = inner
        self.asks = asks
        self.notes: dict[str, Any] = dict(notes or {})
        self.wants_to_stop = wants_to_stop
        self.hidden: frozenset[int] = frozenset()
        self.on_stop: Callable[[], None] = lambda: None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Hand on."""
        with self._hook:
            return self.inner.infer_relative_search_space(self._view(study), self._placed(trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Hand on."""
        with self._hook:
            return self.inner.sample_relative(self._view(study), self._placed(trial), search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Hand on."""
        with self._hook:
            return self.inner.sample_independent(
                self._view(study), self._placed(trial), param_name, param_distribution
            )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Hand on."""
        with self._hook:
            self.inner.before_trial(self._view(study), self._placed(trial))

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Hand on."""
        with self._hook:
            self.inner.after_trial(self._view(study), trial, state, values)
        self.settle(study)

    def reseed_rng(self) -> None:
        """Hand on."""
        self.inner.reseed_rng()

    def settle(self, study: Study) -> None:
        """Write what the sampler noted of the study, now that its proposal is saved."""
        for key, value in self.notes.items():
            study._storage.set_study_system_attr(study._study_id, key, value)
        self.notes.clear()

    def stop(self) -> None:
        """Note that the sampler has no more to propose."""
        if not self.wants_to_stop:
            self.wants_to_stop = True
            self.on_stop()

    @property
    def _hook(self) -> AbstractContextManager[None]:
        return hook("sampler", type(self.inner).__name__)

    def _view(self, study: Study) -> Any:
        return _View(study, self)

    def _placed(self, trial: FrozenTrial) -> FrozenTrial:
        if not isinstance(self.inner, _BY_NUMBER):
            return trial
        placed = copy.copy(trial)
        placed.number = self.asks
        return placed


class _View:
    """A study as a sampler sees it.

    There are no dropped trials in it. What the sampler notes of the study is held back until its
    proposal is saved: a proposal that is made again finds all as it was. And ``stop`` can be
    called outside of Optuna's own loop.
    """

    def __init__(self, study: Study, sampler: Sequencer) -> None:
        self._study = study
        self._sampler = sampler
        self._storage = _StorageView(study._storage, sampler)

    def stop(self) -> None:
        self._sampler.stop()

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.get_trials()

    def get_trials(self, *arguments: Any, **more: Any) -> list[FrozenTrial]:
        return _shown(self._study.get_trials(*arguments, **more), self._sampler)

    def _get_trials(self, *arguments: Any, **more: Any) -> list[FrozenTrial]:
        return _shown(self._study._get_trials(*arguments, **more), self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


class _StorageView:
    """A study's storage as a sampler sees it."""

    def __init__(self, storage: BaseStorage, sampler: Sequencer) -> None:
        self._storage = storage
        self._sampler = sampler

    def get_all_trials(self, *arguments: Any, **more: Any) -> list[FrozenTrial]:
        return _shown(self._storage.get_all_trials(*arguments, **more), self._sampler)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return {**self._storage.get_study_system_attrs(study_id), **self._sampler.notes}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ARG002
        self._sampler.notes[key] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def _shown(trials: list[FrozenTrial], sampler: Sequencer) -> list[FrozenTrial]:
    if not sampler.hidden:
        return trials
    return [trial for trial in trials if trial.number not in sampler.hidden]


@dataclass(frozen=True)
class _Kept:
    """A sampler's state as it is kept: without the sampler if that cannot be pickled."""

    inner: BaseSampler | None
    asks: int
    made_from: str
    notes: Mapping[str, Any]
    wants_to_stop: bool


class Place:
    """Where a sampler's state is kept.

    Only the sweep's own processes write and read it. It is a pickle: whoever can write into the
    sweep's folder, or its study's database, can run code in the sweep.

    Args:
        ledger: keeps it.
        made_from: the sampler's configuration: another sampler does not go on from this one's
            state.
    """

    def __init__(self, ledger: Ledger, made_from: Mapping[str, Any]) -> None:
        self._ledger = ledger
        self._made_from = json.dumps(made_from, sort_keys=True, default=str)
        self._works = True

    def find(self, fresh: BaseSampler, begun: int) -> Sequencer:
        """Return the sampler where it was left.

        Args:
            fresh: the sampler as configured.
            begun: proposals that the study knows of.
        """
        kept = self._ledger.load_place()
        found = self._read(kept) if kept is not None else None
        if found is None and begun <= (kept is None):
            return Sequencer(fresh)
        # Another sampler does not go on from this one's state.
        if found and found.made_from == self._made_from and found.asks >= begun - 1:
            if found.inner is not None:
                return Sequencer(found.inner, found.asks, found.notes, found.wants_to_stop)
            begun = found.asks
        # It must not begin with the draws that were made before.
        fresh.reseed_rng()
        return Sequencer(fresh, begun)

    def _read(self, kept: bytes) -> _Kept | None:
        try:
            return _unpickled(kept)
        except Exception as error:  # noqa: BLE001 # damaged bytes may raise anything
            warn_of_damage(
                self._ledger.place,
                repr(error),
                "the sampler's state is lost; it goes on with new random draws from the trials "
                "that the study has",
            )
            return None

    def follow(self, sampler: Sequencer) -> None:
        """Bring a sampler to where another participant, or a turn that was lost, has left it."""
        if not self._ledger.is_stale:
            return
        kept = self._ledger.load_place()
        assert kept is not None, "whoever opens a shared sweep saves its sampler's place"
        found = _unpickled(kept)
        if found.inner is not None:
            sampler.inner = found.inner
        sampler.asks, sampler.notes = found.asks, dict(found.notes)
        sampler.wants_to_stop = found.wants_to_stop

    def save(self, sampler: Sequencer) -> None:
        """Write the sampler's state, whole or not at all.

        Raises:
            TurnLost: another participant may have saved its own meanwhile.
        """
        header = {
            "asks": sampler.asks,
            "made_from": self._made_from,
            "notes": sampler.notes,
            "wants_to_stop": sampler.wants_to_stop,
        }
        self._ledger.save_place(json.dumps(header).encode() + b"\n" + self._pickled(sampler.inner))

    def _pickled(self, inner: BaseSampler) -> bytes:
        if self._works:
            try:
                return pickle.dumps(inner)
            except Exception as error:  # noqa: BLE001 # a user's class may fail in any way
                self._works = False
                _log.warning(
                    "the sampler cannot be pickled (%s): a continued sweep will not propose "
                    "exactly what this one would",
                    error,
                )
        return b""


def asks(ledger: Ledger, begun: int) -> int:
    """Return how many proposals are known to have been made.

    Args:
        ledger: keeps the sampler's state.
        begun: proposals that the study knows of, which count if that state is missing or damaged.
    """
    kept = ledger.load_place()
    try:
        return begun if kept is None else int(_parts(kept)[0]["asks"])
    except (ValueError, KeyError, TypeError):  # the command that continues the sweep says so
        return begun


def _unpickled(kept: bytes) -> _Kept:
    header, pickled = _parts(kept)
    return _Kept(
        inner=pickle.loads(pickled) if pickled else None,  # our own
        asks=int(header["asks"]),
        made_from=header["made_from"],
        notes=dict(header["notes"]),
        wants_to_stop=bool(header["wants_to_stop"]),
    )


def _parts(kept: bytes) -> tuple[dict[str, Any], bytes]:
    header, _, pickled = kept.partition(b"\n")
    return json.loads(header), pickled
