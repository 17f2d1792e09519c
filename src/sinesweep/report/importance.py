"""How much each parameter has to do with being among the best."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState

FEWEST = 5  # completed trials: of less nothing can be said
_TOP = 0.25  # the share of trials that are called good; Optuna's tenth is one or two of most sweeps


def importances(study: optuna.Study) -> dict[str, float]:
    """Return each parameter's share, the largest first, 1 in all.

    By PED-ANOVA (Watanabe et al. 2023): how far the good trials' values of a parameter are
    distributed differently from those of all trials. It takes milliseconds, needs no scikit-learn,
    and takes conditional parameters and several objectives.

    Args:
        study: with any number of trials.

    Returns:
        Key to share; empty where too few trials were completed, or nothing was varied.
    """
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(completed) < FEWEST:
        return {}
    with _without_scikit_learn():
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # few trials: the page says so itself
        evaluator = PedAnovaImportanceEvaluator(target_quantile=_TOP)
        found = get_param_importances(study, evaluator=evaluator, normalize=False)
    whole = sum(found.values())
    return {key: value / whole for key, value in found.items()} if whole > 0 else {}


@contextmanager
def _without_scikit_learn() -> Iterator[None]:
    """Keep Optuna from importing scikit-learn, which only its other evaluators need.

    With SciPy and pandas behind it, that import took most of the time of a small sweep's report.
    """
    name = "sklearn"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # pyright: ignore[reportArgumentType] # as Python documents it
    try:
        yield
    finally:
        del sys.modules[name]
