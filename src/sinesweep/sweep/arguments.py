"""Arguments of samplers, pruners and terminators, checked before trial 0.

Optuna stores most arguments without a look at them, and uses them many trials later. So each is
checked against the annotation of its parameter, and against the range that the algorithm has for
it. A class outside of Optuna is held to its own annotations alone, as far as it has any.
"""

from __future__ import annotations

import builtins
import collections.abc
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.utils import get_object
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sinesweep import config
from sinesweep.errors import InputError

_MOST = 2**31 - 1  # beyond it, libraries and the memory fail
_OTHERS = "hydra_plugins."
# The ranges of Optuna's parameters, both ends included. A parameter that also takes a word, such
# as auto, has that in its annotation.
_RANGES: dict[str, tuple[float, float]] = {
    # samplers
    "seed": (0, 2**32 - 1),
    "n_startup_trials": (0, _MOST),
    "n_ei_candidates": (1, 10**6),
    "population_size": (2, 10**6),
    "mutation_prob": (0, 1),
    "crossover_prob": (0, 1),
    "swapping_prob": (0, 1),
    "dividing_parameter": (1, _MOST),
    "sigma0": (sys.float_info.min, _MOST),
    "popsize": (2, 10**6),
    "prior_weight": (sys.float_info.min, _MOST),
    # pruners
    "n_warmup_steps": (0, _MOST),
    "n_startup_steps": (0, _MOST),
    "interval_steps": (1, _MOST),
    "n_min_trials": (1, _MOST),
    "percentile": (0, 100),
    "min_resource": (1, _MOST),
    "max_resource": (1, _MOST),
    "reduction_factor": (2, _MOST),
    "min_early_stopping_rate": (0, _MOST),
    "bootstrap_count": (0, _MOST),
    "patience": (0, _MOST),
    "min_delta": (0, _MOST),
    "p_threshold": (0, 1),
    # terminators
    "min_n_trials": (1, _MOST),
    "max_stagnation_trials": (1, _MOST),
    "top_trials_ratio": (sys.float_info.min, 1),
}


class _Names(dict[str, Any]):
    """Namespace of an annotation; names imported for type checkers only resolve to Any."""

    def __missing__(self, name: str) -> Any:
        for module in (builtins, collections.abc, typing):
            if hasattr(module, name):
                return getattr(module, name)
        return Any


def check_arguments(section: Mapping[str, Any], key: str) -> None:
    """Refuse arguments of the wrong type or outside of their range.

    Args:
        section: a class by ``_target_``, and its arguments; classes may be nested.
        key: the section's.

    Raises:
        InputError: naming the argument's key, the rule and the value.
    """
    target = str(section["_target_"])
    if target.startswith(_OTHERS):
        raise InputError(
            f"{key}._target_: must be a class of Optuna's or your own, but is {target}, which "
            "another sweeper's plugin has: use a preset, as in hydra/sweeper/sampler=tpe, or a "
            "class, as in optuna.samplers.TPESampler"
        )
    for name, value in section.items():
        if isinstance(value, Mapping) and "_target_" in value:
            check_arguments(value, f"{key}.{name}")
    made_by = _found(target)
    if made_by is None:
        return  # building it says why
    parameters = _parameters(made_by)
    for name, value in section.items():
        if name.startswith("_") or name not in parameters or _is_made(value):
            continue
        _check_type(f"{key}.{name}", parameters[name], made_by, value)
        if target.startswith("optuna."):
            _check_range(f"{key}.{name}", name, value)


def _found(target: str) -> Callable[..., Any] | None:
    try:
        return get_object(target)
    except Exception:  # noqa: BLE001 # a user's module may fail in any way when it is imported
        return None


def _parameters(made_by: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(made_by).parameters
    except (TypeError, ValueError):
        return {}  # it does not tell


def _is_made(value: Any) -> bool:
    """Whether a value is made by Hydra of what is written, so that its type is not known yet."""
    return any(isinstance(each, Mapping) and "_target_" in each for each in (value, *_items(value)))


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        yield from value


def _check_type(
    key: str, parameter: inspect.Parameter, made_by: Callable[..., Any], value: Any
) -> None:
    adapter = _adapter(parameter.annotation, made_by)
    if adapter is None:
        return
    try:
        # A list may stand for a tuple and the like; single values are not converted.
        adapter.validate_python(value, strict=not isinstance(value, (list, Mapping)))
    except ValidationError as error:
        rules = dict.fromkeys(config.rule(problem) for problem in error.errors())
        first, *others = rules
        rule = " or ".join([first, *(other.removeprefix("must ") for other in others)])
        raise InputError(f"{key}: {rule}, but is {config.shown(value)}") from None


def _adapter(annotation: Any, made_by: Callable[..., Any]) -> TypeAdapter[Any] | None:
    """Return what checks a value, or None if there is no annotation that can be read."""
    if annotation is inspect.Parameter.empty:
        return None
    try:
        if isinstance(annotation, str):
            annotation = _evaluated(annotation, made_by)
        options = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False)
        return TypeAdapter(annotation, config=options)
    except Exception:  # noqa: BLE001 # a user's annotation may be anything
        return None


def _evaluated(annotation: str, made_by: Callable[..., Any]) -> Any:
    constructor = getattr(made_by, "__init__", made_by) if inspect.isclass(made_by) else made_by
    # Optuna wraps constructors to warn of renamed arguments.
    known = getattr(inspect.unwrap(constructor), "__globals__", {})
    return eval(annotation, {}, _Names(known))  # the text of a class that is about to be run


def _check_range(key: str, name: str, value: Any) -> None:
    if name not in _RANGES or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = _RANGES[name]
    if low <= value <= high:
        return
    above = "greater than 0" if low == sys.float_info.min else f"at least {low:g}"
    below = "" if value < low and high == _MOST else f" and at most {high:.10g}"
    raise InputError(f"{key}: must be {above}{below}, but is {value}")
