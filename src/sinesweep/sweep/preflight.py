"""What can be known of a sweep before trial 0: a wrong one is refused with nothing created."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from sinesweep import refusal
from sinesweep.config import nearest, refuse_without_effect, shown
from sinesweep.errors import InputError
from sinesweep.forks import ended_forked_children
from sinesweep.preflight import check_folder, check_logging
from sinesweep.redaction import refuse_cut_password
from sinesweep.sweep import cluster
from sinesweep.sweep.arguments import check_arguments
from sinesweep.sweep.building import arguments_of, build
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.settings import DEFAULT_SAMPLER, GRID, Target
from sinesweep.sweep.space import Choice, Interval, refuse_key_of_the_sweep
from sinesweep.sweep.together import find_form
from sinesweep.sweep.wording import all_keys, counted, one_line
from sinesweep.tracking import location

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.terminator import BaseTerminator

_WITHOUT_PLUS = "+~"
_LONGEST_POINT = 1000  # characters
_SAMPLER_KEYS = ("hydra/sweeper/sampler=", "hydra.sweeper.sampler")
_NUMBERS_ONLY = ("optuna.samplers.CmaEsSampler", "optuna.samplers.QMCSampler")
# What Optuna imports only when the first trials have ended.
_NEEDED = {
    "optuna.samplers.CmaEsSampler": ("cmaes",),
    "optuna.samplers.GPSampler": ("scipy", "torch"),
    "optuna.samplers.QMCSampler": ("scipy",),
}
_MISSING = object()
_PATIENCE = 3.0  # seconds between two lines on how many configurations were checked
_LAUNCHER = "basic"  # Hydra's defaults
_SUBDIR = "${hydra.job.num}"
_MOST_LISTED = 100_000  # points of a grid of Optuna's
_MANY_TRIALS = 10_000  # of an enumeration that may not be meant
_TERMINATOR_FIX = (
    "give it another evaluator, as in hydra.sweeper.terminator='{_target_: "
    "optuna.terminator.Terminator, improvement_evaluator: {_target_: "
    "optuna.terminator.BestValueStagnationEvaluator}}'"
)


def check(plan: Plan) -> None:
    """Look at everything that needs neither Optuna nor the tracker's client.

    A custom search space needs Optuna, and comes last, with what its trials need.

    Raises:
        InputError: naming what is wrong and how to mend it.
    """
    _check_sections(plan)
    if isinstance(plan.settings.storage, str):
        refuse_cut_password("hydra.sweeper.storage", plan.settings.storage)
        location.refuse_cut_path("hydra.sweeper.storage", plan.settings.storage)
    is_in_root = plan.folder == Path(plan.settings.root) / plan.name
    check_folder(plan.folder, "hydra.sweeper.root" if is_in_root else "hydra.sweep.dir")
    plan.refuse_change()
    _check_presets(plan)
    _check_space(plan)
    _check_repeats(plan)
    if plan.settings.custom_search_space:
        _named(plan.settings.custom_search_space, "custom_search_space")
    _check_points(plan, list(plan.space.corners()))
    if plan.settings.backend == "ray":
        cluster.check(plan.settings.ray)
    if plan.location is not None:
        location.check(plan.location)
    if plan.settings.custom_search_space:
        from sinesweep.sweep.custom_space import samples  # imports Optuna, as the function does

        _check_points(plan, list(samples(plan)))
    _check_slots(plan)


def notices(plan: Plan) -> Iterator[str]:
    """Yield what a user should know of a sweep that can begin."""
    found = (unused_sampler(plan), about_points(plan), trained_alone(plan), replaced(plan))
    for notice in found:
        if notice:
            yield notice


def trained_alone(plan: Plan) -> str | None:
    """Return what to say where slots are asked for and not all trials can share them."""
    if plan.settings.slots == 1:
        return None
    reason = next((reason for reason in plan.unfused if reason), None)
    if reason is None:
        return None
    which = "trials" if plan.slots == 1 else "some trials"
    return f"{which} are trained one by one, not {plan.settings.slots} together: {reason}"


def unused_sampler(plan: Plan) -> str | None:
    """Return what to say where a sampler was chosen and is not asked, or not for every key.

    Returns:
        A line, or None where the sampler is used, or is there by default.
    """
    target = plan.settings.sampler
    if plan.is_enumeration:
        return _not_asked(plan)
    choices = [k for k, d in plan.space.dimensions.items() if isinstance(d, Choice)]
    if target.target not in _NUMBERS_ONLY or not choices:
        return None
    return (
        f"{target.target} is asked for numbers in a range only, so {', '.join(choices)} is drawn "
        "at random: hydra/sweeper/sampler=tpe learns of choices, too"
    )


def about_points(plan: Plan) -> str | None:
    """Return what to say if the points, and not what was asked for, decide how many trials run."""
    asked, points = plan.settings.n_trials, plan.points
    if plan.is_enumeration:
        assert plan.total is not None
        if plan.total <= _MANY_TRIALS:
            return None
        return (
            f"every combination is run once, {plan.total:,} trials: give hydra.sweeper.n_trials "
            "to have a sampler choose among them"
        )
    if not asked or points is None or asked <= points:
        return None
    key = plan.settings.seed_key
    has_seed = isinstance(OmegaConf.select(plan.base, key, default=None), int)
    is_repeatable = has_seed and key not in plan.space.dimensions and plan.settings.repeats == 1
    more = ", hydra.sweeper.repeats=3 each under three seeds" if is_repeatable else ""
    return (
        f"n_trials is {asked}, but there {'is' if points == 1 else 'are'} "
        f"{counted(points, 'point')}, and each is evaluated once: "
        f"hydra.sweeper.deduplicate=false evaluates points again{more}"
    )


def replaced(plan: Plan) -> str | None:
    """Return what to say if keys of Hydra's were set that a sweep does otherwise."""
    hydra = plan.config.hydra
    said = []
    if hydra.runtime.choices.get("hydra/launcher") not in (None, _LAUNCHER):
        said.append(
            f"hydra/launcher={hydra.runtime.choices['hydra/launcher']} is not used: trials run in "
            "workers, whose number hydra.sweeper.workers sets"
        )
    subdir = OmegaConf.to_container(hydra.sweep, resolve=False)["subdir"]  # pyright: ignore
    if subdir != _SUBDIR:
        said.append(
            f"hydra.sweep.subdir={subdir} is not used: the folder of a trial is trials/ and its "
            "number, so that no two share one"
        )
    return "; ".join(said) or None


def _not_asked(plan: Plan) -> str | None:
    target = plan.settings.sampler
    typed = any(
        line.lstrip("+").startswith(_SAMPLER_KEYS) for line in plan.config.hydra.overrides.hydra
    )
    if target.is_grid or (target.target == DEFAULT_SAMPLER and not typed):
        return None
    return (
        f"every combination is run once, in order, so {target.target} is not asked: give "
        "hydra.sweeper.n_trials=... to have it choose"
    )


def build_sampler(plan: Plan) -> BaseSampler:
    """Make the sampler.

    Raises:
        InputError: its class cannot be made of its arguments, or lacks a package.
    """
    from optuna.samplers import BaseSampler

    from sinesweep.sweep.dry_run import try_sampler
    from sinesweep.sweep.sampling import Grid

    target = plan.sampler
    missing = [name for name in _NEEDED.get(target.target, ()) if find_spec(name) is None]
    if missing:
        raise InputError(
            f"hydra.sweeper.sampler: {target.target} must have {' and '.join(missing)}, which is "
            f"not installed: pip install {' '.join(missing)}, or use another sampler"
        )
    if target.target == GRID:
        if not plan.settings.sampler.is_grid:
            _built(plan.settings.sampler, "sampler", BaseSampler)  # unused here, and still checked
        return Grid(plan.space)
    if target.is_grid and "search_space" not in target.values:
        return _built(target, "sampler", BaseSampler, search_space=_optunas_grid(plan))
    made = _built(target, "sampler", BaseSampler)
    # Another one of the same class is tried: what it draws, the sweep's own must not have drawn.
    try_sampler(lambda: build(target.values), made, plan)
    return made


def _optunas_grid(plan: Plan) -> dict[str, list[Any]]:
    """Return what Optuna's GridSampler searches: it lists every point."""
    points = plan.space.size
    assert points is not None, "a grid over an interval was refused"
    if points > _MOST_LISTED:
        raise InputError(
            f"hydra.sweeper.sampler: {plan.settings.sampler.target} holds every point in memory, "
            f"at most {_MOST_LISTED:,}, but there are {points:,}: use hydra/sweeper/sampler=grid, "
            "which computes them one by one"
        )
    return {
        key: [dimension.encoded(dimension.at(index)) for index in range(dimension.count or 0)]
        for key, dimension in plan.space.dimensions.items()
    }


def build_pruner(plan: Plan) -> BasePruner:
    """Make the pruner.

    Raises:
        InputError: its class cannot be made of its arguments.
    """
    from optuna.pruners import BasePruner

    from sinesweep.sweep.dry_run import try_pruner

    target = plan.settings.pruner
    made = _built(target, "pruner", BasePruner)
    try_pruner(lambda: build(target.values), made, plan)
    return made


def build_terminator(plan: Plan) -> BaseTerminator | None:
    """Make the terminator, if there is to be one.

    Raises:
        InputError: its class cannot be made of its arguments, or needs what no trial tells.
    """
    from optuna.terminator import BaseTerminator, CrossValidationErrorEvaluator, Terminator

    target = plan.settings.terminator
    if target is None:
        return None
    made = _built(target, "terminator", BaseTerminator)
    if isinstance(made, Terminator) and len(plan.settings.objectives) > 1:
        raise InputError(
            f"hydra.sweeper.terminator: {target.target} must have one objective, but there are "
            f"{len(plan.settings.objectives)}: end the sweep by n_trials or timeout"
        )
    if isinstance(getattr(made, "_error_evaluator", None), CrossValidationErrorEvaluator):
        raise InputError(
            "hydra.sweeper.terminator: must judge by the values of trials, but "
            f"{target.target} needs cross-validation scores, as it does by default, and a trial "
            f"of a sweep has none: {_TERMINATOR_FIX}"
        )
    return made


def _check_sections(plan: Plan) -> None:
    """Refuse overrides of Hydra's keys without effect, and modules that are not there."""
    refuse_without_effect(plan.config, plan.config.hydra.overrides.hydra)
    check_logging(plan.config)
    if plan.settings.fused is not None:
        find_form(plan.settings.fused)
    for name in plan.settings.preload:
        if not _is_module(name):
            raise InputError(
                f"hydra.sweeper.preload: must be modules that can be imported, but {shown(name)} "
                "is not there: correct the name, or leave it out"
            )


def _is_module(name: str) -> bool:
    try:
        return name in sys.modules or find_spec(name) is not None
    except (ImportError, ValueError):  # of its package, or no name at all
        return False


def _check_presets(plan: Plan) -> None:
    """Refuse a preset that is typed in vain: what files say is merged after it."""
    store, typed = ConfigStore.instance(), list(plan.config.hydra.overrides.hydra)
    for key, target in (("sampler", plan.settings.sampler), ("pruner", plan.settings.pruner)):
        group, section = f"hydra/sweeper/{key}", f"hydra.sweeper.{key}"
        name = plan.config.hydra.runtime.choices.get(group)
        if not any(line.startswith(f"{group}=") for line in typed):
            continue
        if any(line.lstrip("+").startswith((f"{section}=", f"{section}._t")) for line in typed):
            continue
        if f"{name}.yaml" not in store.list(group):
            continue  # a file of the application's own
        if store.load(f"{group}/{name}.yaml").node._target_ != target.target:
            raise InputError(
                f"{group}: must be what is typed, {name}, but a file of the configuration sets "
                f"{section}._target_ to {target.target}, which comes after it: have the file name "
                f"a preset instead (- override /{group}: ... among its defaults), or type "
                f"{section}._target_=..."
            )


def _check_space(plan: Plan) -> None:
    endless = [k for k, d in plan.space.dimensions.items() if isinstance(d, Interval)]
    if plan.settings.sampler.is_grid and endless:
        key = endless[0]
        raise InputError(
            f"hydra.sweeper.sampler: a grid needs lists or ranges, but {key} is "
            f"{plan.space.written[key]}, which has no end of values: use range(low, high, step), "
            "or another sampler"
        )


def _check_repeats(plan: Plan) -> None:
    key = plan.settings.seed_key
    if plan.settings.repeats == 1:
        return
    if key in plan.space.dimensions:
        raise InputError(
            f"hydra.sweeper.seed_key: must not be swept where points are repeated, but {key} is: "
            "repeat over another key, or leave repeats out"
        )
    found = OmegaConf.select(plan.base, key, default=_MISSING)
    if found is _MISSING:
        raise InputError(
            "hydra.sweeper.seed_key: must name an integer of the configuration, which has no "
            f"{key}{nearest(key, _integers(plan.base))}"
        )
    if not isinstance(found, int) or isinstance(found, bool):
        raise InputError(
            f"hydra.sweeper.seed_key: must name an integer of the configuration, but {key} is "
            f"{found!r}: repeats change it"
        )


def _check_points(plan: Plan, points: Sequence[Mapping[str, Any]]) -> None:
    for key in all_keys(points):
        refuse_key_of_the_sweep(key)
    configs = list(_composed(plan, points))
    if plan.settings.check:
        swept = [key.lstrip(_WITHOUT_PLUS) for key in all_keys(points)]
        check = _named(plan.settings.check, "check")
        with ended_forked_children():
            check(configs, swept, plan.settings.objectives)


def _composed(plan: Plan, points: Sequence[Mapping[str, Any]]) -> Iterator[DictConfig]:
    """Yield the configuration of each point; say how far that is while it takes long."""
    said = time.monotonic()
    for number, point in enumerate(points):
        if time.monotonic() - said > _PATIENCE:
            said = time.monotonic()
            print(  # noqa: T201 # the user waits
                f"sinesweep: checking the configurations of all choices: {number} of {len(points)}",
                file=sys.stderr,
            )
        yield _compose(plan, point)


def _check_slots(plan: Plan) -> None:
    reason = trained_alone(plan)
    if reason and plan.settings.unfused == "refuse":
        raise InputError(
            "hydra.sweeper.slots: must be 1 for trials that cannot be trained together, but is "
            f"{plan.settings.slots}, and {reason}: leave slots out, or have such trials trained "
            "alone with hydra.sweeper.unfused=serial"
        )


def _integers(config: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the keys of a configuration that a seed can be."""
    for key in config:
        if prefix + str(key) == "hydra" or OmegaConf.is_missing(config, key):
            continue
        value = OmegaConf.select(config, str(key), throw_on_resolution_failure=False)
        if isinstance(value, DictConfig):
            yield from _integers(value, f"{prefix}{key}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{prefix}{key}"


def _compose(plan: Plan, point: Mapping[str, Any]) -> DictConfig:
    try:
        return plan.sample(point)
    except Exception as error:  # whatever Hydra, YAML and resolvers raise
        text = " ".join(f"{key}={value}" for key, value in point.items())[:_LONGEST_POINT]
        raise InputError(f"{refusal.message(error)}\n(at the point {text})") from error


def _named(path: str, key: str) -> Any:
    try:
        return get_method(path)
    except Exception as error:  # importing a user's module may fail in any way
        raise InputError(
            f"hydra.sweeper.{key}: must name a function, but {path} is none ({_cause(error)})"
        ) from error


def _cause(error: Exception) -> str:
    """Return what an error of Hydra's was raised for, in one line: Hydra breaks it."""
    cause = error.__cause__ or error
    return one_line(str(cause)) or type(cause).__name__


def _built(target: Target, key: str, expected: type[Any], **more: Any) -> Any:
    from optuna.exceptions import ExperimentalWarning

    check_arguments(target.values, f"hydra.sweeper.{key}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            made = build({**target.values, **more})
    except Exception as error:  # a class may fail in any way, and Hydra 1.4 hands that through
        hint = _hint(target, error)
        raise InputError(f"hydra.sweeper.{key}: {target.target}: {_cause(error)}{hint}") from error
    if not isinstance(made, expected):
        raise InputError(
            f"hydra.sweeper.{key}._target_: must make a {expected.__name__} of Optuna's, but "
            f"{target.target} makes a {type(made).__name__}"
        )
    return made


def _hint(target: Target, error: Exception) -> str:
    """Return what an argument that a class does not have may have been meant to be."""
    if not isinstance(error.__cause__ or error, TypeError):
        return ""
    known = arguments_of(target.target)
    unknown = [key for key in target.values if key != "_target_" and key not in known]
    return nearest(unknown[0], known) if unknown and known else ""
