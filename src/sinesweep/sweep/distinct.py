"""A sampler that proposes each point of a finite space once, through any other sampler."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, _get_single_value
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sinesweep.seeds import generator
from sinesweep.sweep.sampling import Grid, Sequencer
from sinesweep.sweep.space import Space, point_key

_PROPOSALS = 10  # of points that were tried before, until a new point is drawn at random
_DRAWS = 100  # at random, until the points that are left are listed


class DistinctSampler(BaseSampler):
    """Asks a sampler again where it proposes a point that was tried, and draws one at last.

    What is drawn depends on the number of the proposal alone, so that a continued sweep draws what
    one without a break would.

    Args:
        sequencer: the sampler that proposes.
        space: a space with a count of points.
    """

    def __init__(self, sequencer: Sequencer, space: Space) -> None:
        self._sequencer = sequencer
        self._space = space
        self._distributions = space.distributions()
        self._keys: dict[int, str] = {}
        self._tried: Counter[str] = Counter()

    @property
    def is_exhausted(self) -> bool:
        """Whether the space has no untried point left."""
        return len(self._tried) >= (self._space.count or 0)

    def note(self, number: int, point: Mapping[str, Any] | None) -> None:
        """Take note of a trial's point as it was written, or that the trial was dropped: None."""
        key = None if point is None else point_key(point)
        before = self._keys.get(number)
        if before == key:
            return
        if before is not None:
            del self._keys[number]
            self._tried[before] -= 1
            if not self._tried[before]:
                del self._tried[before]
        if key is not None:
            self._keys[number] = key
            self._tried[key] += 1

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002 # Optuna's interface
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Propose all dimensions together."""
        return self._distributions

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return a point that was not tried."""
        relative = self._sequencer.infer_relative_search_space(study, trial)
        for _ in range(self._proposals):
            params = self._proposed(study, trial, relative)
            if point_key(self._space.decoded(params)) not in self._tried:
                return params
        return self._space.encoded(self._drawn())

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Hand on."""
        return self._sequencer.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Hand on."""
        self._sequencer.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Hand on."""
        self._sequencer.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Hand on."""
        self._sequencer.reseed_rng()

    @property
    def _proposals(self) -> int:
        # A grid comes to the next point that was not tried, in its order.
        is_grid = isinstance(self._sequencer.inner, Grid)
        return _PROPOSALS + len(self._tried) if is_grid else _PROPOSALS

    def _proposed(
        self, study: Study, trial: FrozenTrial, relative: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return what the sampler proposes, as Optuna would ask it for each dimension."""
        found = self._sequencer.sample_relative(study, trial, relative)
        # As it is now: a sampler may have noted of it, in the storage, what it proposes next.
        shown = copy.copy(study._storage.get_trial(trial._trial_id))
        shown.params, shown.distributions = {}, {}
        for key, distribution in self._distributions.items():
            if distribution.single():
                value = _get_single_value(distribution)
            elif key in found and distribution._contains(distribution.to_internal_repr(found[key])):
                value = found[key]
            else:
                value = self._sequencer.sample_independent(study, shown, key, distribution)
            shown.params = {**shown.params, key: value}
            shown.distributions = {**shown.distributions, key: distribution}
        return shown.params

    def _drawn(self) -> dict[str, Any]:
        """Return a point at random of those that were not tried."""
        count = self._space.count
        assert count is not None
        draw = generator(0, "distinct", self._sequencer.asks)
        for _ in range(_DRAWS):
            point = self._space.point(int(draw.random() * count))
            if point_key(point) not in self._tried:
                return point
        # Most points were tried, so that there are hardly more than those.
        points = (self._space.point(index) for index in range(count))
        left = [point for point in points if point_key(point) not in self._tried]
        return left[draw.integers(len(left))]
