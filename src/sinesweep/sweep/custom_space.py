"""What the application's own function adds to a search space, point by point."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from hydra.utils import get_method
from omegaconf import DictConfig
from optuna.distributions import CategoricalDistribution
from optuna.samplers import RandomSampler

from sinesweep.errors import InputError
from sinesweep.forks import ended_forked_children
from sinesweep.redaction import is_secret, is_storable, redact_overrides, sanitize
from sinesweep.sweep.hooks import place
from sinesweep.sweep.wording import error_text, one_line

if TYPE_CHECKING:
    from sinesweep.sweep.plan import Plan
    from sinesweep.sweep.space import Space

_KEY = "hydra.sweeper.custom_search_space"
_SAMPLES = 20  # conditions of the function's own hide keys from a single one


class _Trial(optuna.Trial):
    """A trial of Optuna's whose choices are read as they were written."""

    _space: Space

    @classmethod
    def of(cls, trial: optuna.Trial, space: Space) -> _Trial:
        """Return another view of a trial, with which it shares its state."""
        made = cls.__new__(cls)
        vars(made).update(vars(trial))
        made._space = space
        return made

    @property
    def params(self) -> dict[str, Any]:
        """The point so far."""
        return self._space.decoded(super().params)


def extend(plan: Plan, config: DictConfig, trial: optuna.Trial) -> None:
    """Have the function add to a trial's point; it finds what is fixed in the trial's attributes.

    Raises:
        Exception: whatever the function fails with.
    """
    assert plan.settings.custom_search_space is not None
    for override in redact_overrides(plan.space.fixed):
        key, _, text = override.partition("=")
        trial.set_user_attr(key, text)
    shown = _Trial.of(trial, plan.space)
    function = get_method(plan.settings.custom_search_space)
    with ended_forked_children():
        function(config, shown)


def samples(plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield a random point for each set of keys that the function was seen to make.

    Raises:
        InputError: the function fails, or adds to a grid.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=list(plan.settings.objectives), sampler=RandomSampler(seed=0)
    )
    config = copy.deepcopy(plan.base)  # whatever the function does with it, the sweep is the same
    seen: set[frozenset[str]] = set()
    for _ in range(_SAMPLES):
        point = _ask(plan, config, study)
        keys = frozenset(point)
        added = sorted(keys - plan.space.dimensions.keys())
        if plan.settings.sampler.is_grid and added:
            raise InputError(
                f"hydra.sweeper.sampler: a grid must know every key beforehand, but {added[0]} is "
                f"added by {plan.settings.custom_search_space}: use another sampler"
            )
        if hidden := [key for key in added if is_secret(key)]:
            raise InputError(
                f"{_KEY}: must not add a secret, but {plan.settings.custom_search_space} adds "
                f"{hidden[0]}, whose values the study would store: list them on the command line, "
                f"or add the key to hydra.sweeper.visible_keys if it is none"
            )
        if keys not in seen:
            seen.add(keys)
            yield point


def _ask(plan: Plan, config: DictConfig, study: optuna.Study) -> dict[str, Any]:
    trial = study.ask(plan.space.distributions())
    try:
        extend(plan, config, trial)
    except Exception as error:  # the user's code may fail in any way
        raise InputError(
            f"{_KEY}: {plan.settings.custom_search_space} must add to any point, but raises "
            f"{one_line(error_text(error))}{place(error)}: mend the function"
        ) from error
    _refuse_unstorable(trial)
    _refuse_merged(plan, trial)
    return plan.space.decoded(trial.params)


def _refuse_unstorable(trial: optuna.Trial) -> None:
    """Refuse choices that databases and tables cannot take."""
    for key, each in trial.distributions.items():
        choices = each.choices if isinstance(each, CategoricalDistribution) else ()
        wrong = [c for c in choices if isinstance(c, str) and not is_storable(c)]
        if wrong:
            raise InputError(
                f"{_KEY}: must add text without control characters and undecodable bytes, but "
                f"{key} has the choice {sanitize(wrong[0])!r}: name the choices, and have the "
                "application look the values up"
            )


def _refuse_merged(plan: Plan, trial: optuna.Trial) -> None:
    """Refuse choices of the function's own that Optuna, which compares them, takes for one."""
    for key, distribution in trial.distributions.items():
        if not isinstance(distribution, CategoricalDistribution):
            continue
        choices = distribution.choices
        if _has_equal(choices):
            raise InputError(
                f"{_KEY}: {plan.settings.custom_search_space} must offer choices that differ in "
                f"Python, but those of {key} are {list(choices)}, of which Optuna merges some: "
                f"search {key} on the command line, or offer texts and convert them"
            )


def _has_equal(choices: Sequence[Any]) -> bool:
    try:
        return len(set(choices)) < len(choices)
    except TypeError:  # lists, which Optuna accepts with a warning, have no hash
        return any(choice in choices[:place] for place, choice in enumerate(choices))
