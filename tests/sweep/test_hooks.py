"""The user's code that the sweep's process calls: where it raises, one line says so."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from process import open_study

from sinesweep.errors import HookFailed, StudyAway
from sinesweep.sweep.entry import COMPLETE, RUNNING
from sinesweep.sweep.hooks import hook
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.study import SweepStudy

MakePlan = Callable[..., Plan]
DONE = Outcome.complete((1.0,))

answers: list[Any] = []  # what by_function returns or raises, the first one first


def by_function(trial: FrozenTrial) -> Sequence[float]:
    answer = answers.pop(0)
    if isinstance(answer, Exception):
        raise answer
    return answer


class Proposing(RandomSampler):
    """A sampler that cannot propose."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        raise KeyError(param_name)


class Learning(RandomSampler):
    """A sampler that cannot learn."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        raise ZeroDivisionError("nothing learned")


class Deciding(BasePruner):
    """A pruner that cannot decide."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        raise LookupError("undecided")


def own(name: str) -> str:
    return f"{{_target_: {__name__}.{name}}}"


def begun(plan: Plan) -> tuple[SweepStudy, int]:
    """Begin the next trial of a sweep in a new process, and have it leave what it came to."""
    study = open_study(plan)
    entry = study.next()
    assert entry is not None
    assert entry.directory is not None
    entry.directory.mkdir(parents=True)
    DONE.write(entry.directory)
    return study, entry.number


@pytest.fixture
def constrained(make_plan: MakePlan) -> Plan:
    function = f"{{_target_: hydra.utils.get_method, path: {__name__}.by_function}}"
    return make_plan(
        "x=interval(0,1)",
        "hydra.sweeper.n_trials=3",
        f"+hydra.sweeper.sampler.constraints_func={function}",
    )


@pytest.mark.filterwarnings("ignore:.*constraints_func.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:Constraints should be a sequence")
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (KeyError("loss"), r"KeyError: 'loss' \(test_hooks.py, line \d+\)"),
        (ValueError("no luck"), r"ValueError: no luck \(test_hooks.py, line \d+\)"),
        ([float("nan")], "ValueError: Constraint values cannot be NaN"),
        (1.0, "TypeError: 'float' object is not iterable"),
        (None, "TypeError: .*isnan"),
    ],
)
def test_constraints_that_cannot_be_had_cost_no_result(
    constrained: Plan, answer: object, cause: str
) -> None:
    """The trial is told with its constraints once the function is mended, and counts once."""
    study, number = begun(constrained)
    answers[:] = [answer]
    rule = "hydra.sweeper.sampler.constraints_func: by_function must return a list of numbers"
    with pytest.raises(HookFailed, match=f"^{rule}, but raised {cause}"):
        study.end(number, DONE)
    assert study.optuna.trials[number].state == TrialState.RUNNING
    left = study.leave(number, DONE, seconds=1.0)
    assert (left.outcome, left.is_feasible) == (COMPLETE, False)

    answers[:] = [[2.0]]
    entry = open_study(constrained).entries[number]
    assert (entry.outcome, entry.values, entry.constraints) == (COMPLETE, (1.0,), {"0": 2.0})
    assert answers == []


@pytest.mark.parametrize("kind", ["complete", "pruned", "failed"])
def test_sampler_that_cannot_be_told_leaves_the_trial_open(make_plan: MakePlan, kind: str) -> None:
    """Optuna would end it, and the next command would not tell the sampler."""
    study, number = begun(make_plan("x=interval(0,1)", f"hydra.sweeper.sampler={own('Learning')}"))
    outcomes = {"complete": DONE, "pruned": Outcome.pruned(), "failed": Outcome.failed("no luck")}
    expected = r"^hydra.sweeper.sampler: Learning must not fail, but raised ZeroDivisionError: noth"
    with pytest.raises(HookFailed, match=expected):
        study.end(number, outcomes[kind])
    assert study.optuna.trials[number].state == TrialState.RUNNING


def test_sampler_that_cannot_propose_is_named(make_plan: MakePlan) -> None:
    """The message has the class, the error and its place."""
    study = open_study(make_plan("x=interval(0,1)", f"hydra.sweeper.sampler={own('Proposing')}"))
    expected = r"^hydra.sweeper.sampler: Proposing must not fail, but raised KeyError: 'x' \(test_h"
    with pytest.raises(HookFailed, match=expected):
        study.next()


def test_pruner_that_cannot_decide_is_named(make_plan: MakePlan) -> None:
    """The trial is as it was."""
    study, number = begun(make_plan("x=interval(0,1)", f"hydra.sweeper.pruner={own('Deciding')}"))
    study.report(number, 1.0, 0)
    with pytest.raises(HookFailed, match=r"^hydra.sweeper.pruner: Deciding must not fail, but rai"):
        study.should_prune(number)
    assert study.entries[number].outcome == RUNNING


@pytest.mark.parametrize(
    "error",
    [
        StudyAway("the database is away"),
        StorageInternalError("locked"),
        OSError(errno.ENOSPC, "No space left on device", "study.journal"),
    ],
)
def test_errors_of_the_storage_are_not_the_hooks(error: Exception) -> None:
    """A sampler reads the study, and a full disk is no fault of its own."""
    with pytest.raises(type(error)) as raised, hook("sampler", "TPESampler"):
        raise error
    assert raised.value is error
