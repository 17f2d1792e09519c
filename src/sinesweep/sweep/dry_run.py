"""One proposal and one pruning decision in memory, so that neither fails after ten trials.

Only Optuna's own classes are tried: a user's class may act on what it is asked.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler

from sinesweep.errors import InputError
from sinesweep.sweep.wording import error_text, one_line

if TYPE_CHECKING:
    from sinesweep.sweep.plan import Plan

_FIRST_TRIALS = 12  # more than the random ones that samplers begin with by default
_STEPS = 4
# A proposal of these takes seconds, or may be one of another sampler that does.
_UNTRIED = ("GPSampler", "PartialFixedSampler")


def try_sampler(make: Callable[[], BaseSampler], made: BaseSampler, plan: Plan) -> None:
    """Have a sampler propose a point after some trials.

    Args:
        make: makes the sampler to try, which is then thrown away.
        made: the sweep's own, which is left as it is.
        plan: the sweep.

    Raises:
        InputError: it cannot.
    """
    if not _is_optunas(made) or type(made).__name__ in _UNTRIED:
        return
    distributions = plan.space.distributions()
    with _silent(), _refused("hydra.sweeper.sampler", made):
        study = _study(plan, RandomSampler(seed=0))
        for number in range(_FIRST_TRIALS):
            trial = study.ask(distributions)
            study.tell(trial, [float(number)] * len(study.directions))
        study.sampler = make()
        study.ask(distributions)


def try_pruner(make: Callable[[], BasePruner], made: BasePruner, plan: Plan) -> None:
    """Have a pruner judge trials; see :func:`try_sampler`.

    Raises:
        InputError: it cannot.
    """
    if not _is_optunas(made) or len(plan.settings.objectives) > 1:
        return
    with _silent(), _refused("hydra.sweeper.pruner", made):
        study = _study(plan, RandomSampler(seed=0), make())
        for number in range(_FIRST_TRIALS):
            trial = study.ask()
            for step in range(_STEPS):
                trial.report(float(number), step)
                trial.should_prune()
            study.tell(trial, float(number))


def _study(
    plan: Plan, sampler: BaseSampler, pruner: BasePruner | None = None
) -> optuna.study.Study:
    directions = list(plan.settings.objectives)
    return optuna.create_study(directions=directions, sampler=sampler, pruner=pruner)


def _is_optunas(made: object) -> bool:
    return type(made).__module__.startswith("optuna.")


@contextmanager
def _refused(key: str, made: object) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever an algorithm does with its arguments
        raise InputError(
            f"{key}: must work in this search space, but {type(made).__name__} raises "
            f"{one_line(error_text(error))}: correct its arguments, or use another one"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
