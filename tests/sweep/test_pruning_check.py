from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import pytest
from process import open_study

from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.pruning_check import PruningCheck

MakePlan = Callable[..., Plan]

MEDIAN = "optuna.pruners.MedianPruner"


def run(
    check: PruningCheck,
    number: int,
    steps: Sequence[int] = (),
    *,
    asks: bool = True,
    outcome: str = COMPLETE,
) -> None:
    """Have a trial report some steps, ask after each, and end."""
    check.begin(number)
    for step in steps:
        check.report(number, step)
        if asks:
            check.ask(number)
    check.end(number, outcome)


@pytest.mark.parametrize(
    ("steps", "asks", "problem"),
    [
        ((), True, "trial 3 completed without reporting a finite value"),
        ((0, 1), False, "trial 3 completed without asking should_prune()"),
        ((7, 7, 7), True,
         "trial 3 completed with 3 values for step 7 alone, of which the first counts"),
    ],
)  # fmt: skip
def test_trial_that_cannot_be_pruned_is_noticed_once(
    steps: Sequence[int], asks: bool, problem: str
) -> None:
    """The notice names the pruner, the first such trial and the fix; the summary counts them."""
    check = PruningCheck(MEDIAN)
    run(check, 3, steps, asks=asks)
    notice = check.new_notice()
    run(check, 4, steps, asks=asks)
    run(check, 5, [0, 1])

    assert notice is not None
    assert notice.startswith(f"MedianPruner has too little to decide on: {problem}: report one")
    assert notice.endswith("or say hydra/sweeper/pruner=none")
    assert check.new_notice() is None
    assert (
        check.summary
        == f"2 of 3 completed trials gave the pruner too little to decide on: {problem}"
    )


@pytest.mark.parametrize("steps", [[0], [0, 1], [5, 5, 6]])
def test_trial_that_can_be_pruned_is_not_noticed(steps: list[int]) -> None:
    """One report is enough, and a repeated one does no harm beside others."""
    check = PruningCheck(MEDIAN)
    run(check, 0, steps)
    assert check.new_notice() is None
    assert check.summary is None


@pytest.mark.parametrize("outcome", [PRUNED, FAIL, INTERRUPTED])
def test_trial_that_does_not_complete_is_not_noticed(outcome: str) -> None:
    """Such a trial may have ended before its first report."""
    check = PruningCheck(MEDIAN)
    run(check, 0, outcome=outcome)
    assert check.new_notice() is None


def test_sweep_without_a_pruner_is_not_noticed() -> None:
    """Nothing is missing where nothing is to be pruned."""
    check = PruningCheck("optuna.pruners.NopPruner")
    run(check, 0)
    assert (check.new_notice(), check.summary) == (None, None)


def test_study_takes_the_first_report_of_a_step(make_plan: MakePlan) -> None:
    """A repeated step reaches the check and not Optuna, which would warn of it on the screen."""
    plan = make_plan("a=1,2", "hydra/sweeper/pruner=median")
    plan.folder.mkdir(parents=True)
    study = open_study(plan)
    entry = study.next()
    assert entry is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for value in (3.0, 4.0):
            study.report(entry.number, value, 0)
            study.should_prune(entry.number)
    study.end(entry.number, Outcome.complete((1.0,)))

    assert study.optuna.trials[0].intermediate_values == {0: 3.0}
    assert study.pruning.summary is not None
    assert "with 2 values for step 0 alone" in study.pruning.summary
