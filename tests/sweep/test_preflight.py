from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
import pytest
from omegaconf import DictConfig
from optuna.samplers import RandomSampler
from optuna.terminator import Terminator

from sinesweep.errors import InputError
from sinesweep.sweep import preflight
from sinesweep.sweep.composing import Composer
from sinesweep.sweep.custom_space import samples
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.sampling import Grid

MakePlan = Callable[..., Plan]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a user's module called ``own``."""
    made = ModuleType("own")
    monkeypatch.setitem(sys.modules, "own", made)
    return made


@pytest.fixture(autouse=True)
def nothing_is_created(tmp_path: Path) -> Iterator[None]:
    """Whatever is checked, refused or not, there is no folder of a sweep afterwards."""
    yield
    assert not (tmp_path / "multirun").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("a=1,2", "x=interval(0,1)"),
        ("optimizer=adam,sgd", "+new=1,2"),
        ("optimizer=glob(*)",),
        ("a=1,2", "~name"),
        ("sweeps=mine", "hydra.sweeper.repeats=3"),
        (),
    ],
)
def test_sweeps_that_can_begin(make_plan: MakePlan, command: tuple[str, ...]) -> None:
    """A sweep whose samples compose is let through."""
    preflight.check(make_plan(*command))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("aa=1,2",),
            r"^aa: there is no such key; did you mean \.?\w+\?\n\(at the point aa=1\)$",
        ),
        (("optimizer=adam,sgdd",), r"(?s)sgdd.*\(at the point optimizer=sgdd\)$"),
        (("optimizer=adam,sgd", "optimizer.momentum=0.1,0.2"), r"(?s)momentum.*at the point"),
    ],
)
def test_samples_that_do_not_compose(
    make_plan: MakePlan, command: tuple[str, ...], message: str
) -> None:
    """A sample that does not compose is refused with the point and what is wrong with it."""
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan(*command))


def test_every_choice_is_looked_at(make_plan: MakePlan, module: ModuleType) -> None:
    """The application sees each choice and both ends of each range, and what is swept for what."""
    seen: list[Any] = []
    module.look = lambda *arguments: seen.append(arguments)  # pyright: ignore
    plan = make_plan("hydra.sweeper.check=own.look", "+new=1,2,3", "x=interval(0,1)")
    preflight.check(plan)
    ((configs, swept, directions),) = seen
    assert [(config.new, config.x) for config in configs] == [(1, 0.0), (2, 1.0), (3, 1.0)]
    assert (swept, directions) == (["new", "x"], ("minimize",))


def test_refusal_of_the_application(make_plan: MakePlan, module: ModuleType) -> None:
    """What the application refuses is refused."""

    def refuse(*arguments: Any) -> None:
        raise InputError("not this one")

    module.look = refuse  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match="not this one"):
        preflight.check(make_plan("hydra.sweeper.check=own.look", "a=1,2"))


@pytest.mark.parametrize("key", ["check", "custom_search_space"])
@pytest.mark.parametrize("path", ["nowhere.look", "own.look", "own"])
def test_functions_that_are_none(
    make_plan: MakePlan, module: ModuleType, key: str, path: str
) -> None:
    """A function that cannot be found is refused with its key."""
    message = rf"^hydra.sweeper.{key}: must name a function, but {path} is none \(.+\)$"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan(f"hydra.sweeper.{key}={path}", "a=1,2"))


def _raises(config: Any, trial: optuna.Trial) -> None:
    raise KeyError("kind")


def _asks_too_much(config: Any, trial: optuna.Trial) -> None:
    trial.suggest_float("x", 2.0, 1.0)


def _has_no_such_key(config: Any, trial: optuna.Trial) -> None:
    if trial.suggest_categorical("b", [1, 2]) == 2:  # seldom enough for a single sample
        trial.suggest_int("nam", 1, 2)


def _offers_equal_choices(config: Any, trial: optuna.Trial) -> None:
    trial.suggest_categorical("b", [0, False, None])


def _offers_equal_lists(config: Any, trial: optuna.Trial) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        trial.suggest_categorical("b", [[0], [False]])  # pyright: ignore[reportArgumentType]


def _is_of_the_sweep(config: Any, trial: optuna.Trial) -> None:
    trial.suggest_int("hydra.sweeper.workers", 1, 2)


def _is_well(config: Any, trial: optuna.Trial) -> None:
    trial.suggest_float("x", 0.0, trial.params["a"])
    config.name = "its own copy"


@pytest.mark.parametrize(
    ("function", "more", "message"),
    [
        (
            _raises,
            "b=1",
            r"space: own.extend must .* but raises KeyError: 'kind' \(test_\S+, line ",
        ),
        (_asks_too_much, "b=1", r"raises ValueError: .*low.*high.* \(test_preflight.py, line "),
        (
            _has_no_such_key,
            "x=1",
            r"^nam: there is no such key; did you mean name\?\n\(at the point",
        ),
        (
            _offers_equal_choices,
            "x=1",
            r"must offer choices that differ in Python, but those of b are \[0, False, None\], of",
        ),
        (
            _offers_equal_lists,
            "x=1",
            r"must offer choices that differ in Python, .* b are \[\[0\], \[False\]\], of",
        ),
        (
            _is_of_the_sweep,
            "b=1",
            r"^hydra.sweeper.params: must be keys that can .*workers",
        ),
        (_is_well, "hydra/sweeper/sampler=grid", r"a grid must know .*, but x is added by own.ext"),
        (_is_well, "hydra.sweeper.check=own.look", r"x is swept"),
    ],
)
def test_custom_search_spaces_that_fail(
    make_plan: MakePlan, module: ModuleType, function: Any, more: str, message: str
) -> None:
    """A function that fails, or suggests what does not compose or validate, is refused."""

    def look(configs: Any, swept: Any, directions: Any) -> None:
        if "x" in swept:
            raise InputError("x is swept")

    module.extend, module.look = function, look  # pyright: ignore[reportAttributeAccessIssue]
    plan = make_plan("hydra.sweeper.custom_search_space=own.extend", "a=1,2", more)
    with pytest.raises(InputError, match=message):
        preflight.check(plan)


def test_custom_search_space_reads_choices_as_written(
    make_plan: MakePlan, module: ModuleType
) -> None:
    """A function finds each choice with its own type, and adds to the same trial."""
    found: list[tuple[Any, Any]] = []

    def extend(config: Any, trial: optuna.Trial) -> None:
        trial.suggest_float("x", 0.0, 1.0)
        found.append((trial.params["a"], trial.params.keys()))

    module.extend = extend  # pyright: ignore[reportAttributeAccessIssue]
    plan = make_plan("hydra.sweeper.custom_search_space=own.extend", "a=0,false,null")
    preflight.check(plan)
    assert {repr(value) for value, _ in found} == {"0", "False", "None"}
    assert all(set(keys) == {"a", "x"} for _, keys in found)


def test_custom_search_space_offers_lists(make_plan: MakePlan, module: ModuleType) -> None:
    """Lists, which Optuna accepts as choices with a warning, compose as lists."""
    module.extend = lambda _, trial: trial.suggest_categorical("b", [[0], [1]])  # pyright: ignore[reportAttributeAccessIssue]
    plan = make_plan("hydra.sweeper.custom_search_space=own.extend", "a=1,2")
    with pytest.warns(UserWarning, match="which is of type list"):
        points = list(samples(plan))
    assert plan.sample(points[0]).b in ([0], [1])


def test_custom_search_space_that_is_well(make_plan: MakePlan, module: ModuleType) -> None:
    """A function whose points compose is let through, and changes nothing but its points."""
    module.extend = _is_well  # pyright: ignore[reportAttributeAccessIssue]
    plan = make_plan("hydra.sweeper.custom_search_space=own.extend", "a=1,2")
    preflight.check(plan)
    assert plan.base.name == "none"


def test_grid_over_an_interval(make_plan: MakePlan) -> None:
    """A grid over an interval has no end, and is refused."""
    message = r"^hydra.sweeper.sampler: a grid needs .*, but x is interval\(0,1\), which has no end"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("hydra/sweeper/sampler=grid", "a=1,2", "x=interval(0,1)"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("seed=1,2",), r"^hydra.sweeper.seed_key: must not be swept .*, but seed is: repeat over"),
        (
            ("a=1,2", "hydra.sweeper.seed_key=name"),
            r"^hydra.sweeper.seed_key: must name an integer .*, but name is 'none': repeats change",
        ),
        (("a=1,2", "hydra.sweeper.seed_key=sed"), r"which has no sed; did you mean seed\?$"),
    ],
)
def test_repeats(make_plan: MakePlan, command: tuple[str, ...], message: str) -> None:
    """Repeats need a seed that is an integer and not swept."""
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("hydra.sweeper.repeats=2", *command))


@pytest.mark.parametrize(
    ("key", "value"),
    [("hydra.sweeper.root", "/proc/sweeps"), ("hydra.sweep.dir", "/proc/sweeps/s")],
)
def test_unwritable_folder(make_plan: MakePlan, key: str, value: str) -> None:
    """A folder that cannot be written to is refused with the key that names it."""
    message = f"^{key}: the folder must be writable, but /proc/sweeps/s is not .* with {key}=...$"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan(f"{key}={value}", "hydra.sweeper.study_name=s", "a=1,2"))


def test_folder_with_a_name_that_is_too_long(make_plan: MakePlan) -> None:
    """A folder that no system can make is refused before anything is looked for in it."""
    with pytest.raises(InputError, match=r"^hydra.sweep.dir: must have parts of at most 255"):
        preflight.check(make_plan(f"hydra.sweep.dir={'x' * 300}", "a=1,2"))


def test_tracker_that_does_not_answer(make_plan: MakePlan, tmp_path: Path) -> None:
    """The message names keys that an application without a group ``tracking`` has."""
    remedy = r".*, or run with hydra.sweeper.tracking=null$"
    with pytest.raises(InputError, match=rf"^hydra.sweeper.tracking.uri: {remedy}"):
        preflight.check(
            make_plan(
                "hydra.sweeper.tracking={backend:mlflow,uri:'http://127.0.0.1:9'}",
                f"+hydra.sweeper.tracking.root={tmp_path}/mlruns",
                "a=1,2",
            )
        )


@pytest.mark.parametrize(
    ("preset", "kind"),
    [
        ("tpe", "TPESampler"),
        ("random", "RandomSampler"),
        ("grid", "Grid"),
        ("cmaes", "CmaEsSampler"),
        ("gp", "GPSampler"),
        ("nsgaii", "NSGAIISampler"),
        ("nsgaiii", "NSGAIIISampler"),
        ("qmc", "QMCSampler"),
    ],
)
def test_presets_of_samplers(make_plan: MakePlan, preset: str, kind: str) -> None:
    """Every preset composes and makes its sampler."""
    plan = make_plan(f"hydra/sweeper/sampler={preset}", "hydra.sweeper.n_trials=3", "a=1,2")
    preflight.check(plan)
    assert type(preflight.build_sampler(plan)).__name__ == kind


@pytest.mark.parametrize(
    ("preset", "kind"),
    [
        ("none", "NopPruner"),
        ("median", "MedianPruner"),
        ("asha", "SuccessiveHalvingPruner"),
        ("hyperband", "HyperbandPruner"),
        ("patient", "PatientPruner"),
    ],
)
def test_presets_of_pruners(make_plan: MakePlan, preset: str, kind: str) -> None:
    """Every preset composes and makes its pruner."""
    plan = make_plan(f"hydra/sweeper/pruner={preset}", "a=1,2")
    preflight.check(plan)
    assert type(preflight.build_pruner(plan)).__name__ == kind


def test_preset_that_is_typed_in_vain(make_plan: MakePlan, application: Path) -> None:
    """A preset that a sweep's file overrules is refused, unless the class is typed, too."""
    section = "{hydra: {sweeper: {pruner: {_target_: optuna.pruners.HyperbandPruner}}}}"
    (application / "sweeps" / "own.yaml").write_text(f"# @package _global_\n{section}")
    command = ("sweeps=own", "hydra/sweeper/pruner=none", "a=1,2")
    with pytest.raises(
        InputError, match=r"^hydra/sweeper/pruner: must be what is typed, none, but"
    ):
        preflight.check(make_plan(*command))
    preflight.check(make_plan("sweeps=own", "a=1,2"))
    preflight.check(make_plan(*command, "hydra.sweeper.pruner._target_=optuna.pruners.NopPruner"))


def test_defaults_are_optunas(make_plan: MakePlan) -> None:
    """What a preset leaves null is left to Optuna."""
    sampler = preflight.build_sampler(make_plan("x=interval(0,1)", "hydra.sweeper.sampler.seed=3"))
    assert isinstance(sampler, optuna.samplers.TPESampler)
    default = optuna.samplers.TPESampler()
    assert sampler._n_startup_trials == default._n_startup_trials
    assert sampler._multivariate == default._multivariate


def test_arguments_that_no_preset_lists(make_plan: MakePlan) -> None:
    """Any argument of the class can be added with a plus."""
    plan = make_plan("hydra/sweeper/pruner=asha", "+hydra.sweeper.pruner.bootstrap_count=2",
                     "hydra.sweeper.pruner.min_resource=1", "a=1,2")  # fmt: skip
    pruner: Any = preflight.build_pruner(plan)
    assert pruner._bootstrap_count == 2


def test_every_combination_is_a_grid(make_plan: MakePlan) -> None:
    """Where every combination is run, the grid proposes them, whichever sampler is configured."""
    assert isinstance(preflight.build_sampler(make_plan("a=1,2")), Grid)


@pytest.mark.parametrize(
    ("command", "is_said"),
    [
        (("hydra/sweeper/sampler=random",), True),
        (("hydra.sweeper.sampler.seed=3",), True),
        (("hydra/sweeper/sampler=random", "hydra.sweeper.timeout=9.0"), True),
        (("hydra/sweeper/sampler=grid",), False),
        (("hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=2"), False),
        ((), False),
    ],
)
def test_sampler_that_is_not_asked(
    make_plan: MakePlan, command: tuple[str, ...], is_said: bool
) -> None:
    """A sampler that was chosen, and is not asked where every combination is run, is named."""
    said = preflight.unused_sampler(make_plan("a=1,2", *command))
    assert bool(said) is is_said
    assert said is None or said.startswith("every combination is run once, in order, so optuna.")


@pytest.mark.parametrize(
    ("command", "notice"),
    [
        (("a=1,2", "b=1,2", "hydra.sweeper.n_trials=5"), "n_trials is 5, but there are 4 points"),
        (("a=1", "hydra.sweeper.n_trials=5"), "n_trials is 5, but there is 1 point, and each"),
        (("a=range(0,100000)",), "every combination is run once, 100,000 trials: give"),
        (("a=1,2", "hydra.sweeper.n_trials=2"), None),
        (("a=1,2", "hydra.sweeper.n_trials=5", "hydra.sweeper.deduplicate=false"), None),
        (("a=1,2",), None),
        (("a=interval(0,1)", "hydra.sweeper.n_trials=5"), None),
    ],
)
def test_number_of_points_is_said_beforehand(
    make_plan: MakePlan, command: tuple[str, ...], notice: str | None
) -> None:
    """A user learns before trial 0 that there are fewer points than n_trials, or very many."""
    said = preflight.about_points(make_plan(*command))
    assert said is None if notice is None else said is not None and said.startswith(notice)


@pytest.mark.parametrize(
    ("command", "is_said"),
    [
        (("a=1,2",), True),
        (("a=1,2", "seed=1,2"), False),
        (("a=1,2", "hydra.sweeper.repeats=2"), False),
        (("a=1,2", "hydra.sweeper.seed_key=own"), False),
    ],
)
def test_repeats_are_advised_where_they_can_be_made(
    make_plan: MakePlan, command: tuple[str, ...], is_said: bool
) -> None:
    """A notice names repeats only if the application has a seed that they can change."""
    said = preflight.about_points(make_plan("hydra.sweeper.n_trials=9", *command))
    assert said is not None
    assert ("hydra.sweeper.repeats=3" in said) is is_said


@pytest.mark.parametrize(
    ("command", "notice"),
    [
        (("hydra.sweep.subdir=mine",), "hydra.sweep.subdir=mine is not used: the folder of a tri"),
        (
            ("hydra.sweep.subdir=${hydra.job.override_dirname}",),
            "hydra.sweep.subdir=${hydra.job.override_dirname} is not used",
        ),
        ((), None),
    ],
)
def test_keys_of_hydras_that_are_replaced(
    make_plan: MakePlan, command: tuple[str, ...], notice: str | None
) -> None:
    """A user learns that a sweep does not use a key of Hydra's that was set."""
    said = preflight.replaced(make_plan("a=1,2", *command))
    assert said is None if notice is None else said is not None and said.startswith(notice)


def test_launcher_that_is_replaced(make_plan: MakePlan) -> None:
    """A user learns that workers take the place of a launcher."""
    plan = make_plan("a=1,2")
    plan.config.hydra.runtime.choices["hydra/launcher"] = "joblib"
    said = preflight.replaced(plan)
    assert said is not None
    assert said.startswith("hydra/launcher=joblib is not used: trials run in workers")


def test_long_check_of_configurations_is_shown(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user sees how many of the configurations were checked while that takes long."""
    monkeypatch.setattr(preflight, "_PATIENCE", -1.0)
    preflight.check(make_plan("a=1,2,3"))
    said = capsys.readouterr().err.splitlines()
    line = "sinesweep: checking the configurations of all choices: {} of 3"
    assert said == [line.format(number) for number in range(3)]


def test_values_are_checked_on_one_composition(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra composes once for all choices that differ in values alone, added ones among them."""
    composed: list[Sequence[str]] = []
    compose = Plan.compose

    def noting(plan: Plan, overrides: Sequence[str]) -> DictConfig:
        composed.append(overrides)
        return compose(plan, overrides)

    monkeypatch.setattr(Plan, "compose", noting)
    values = ",".join(map(str, range(50)))
    preflight.check(make_plan(f"a={values}", f"+new={values}", "optimizer.lr=range(0,1,1e-12)"))
    assert len(composed) <= 2  # with the base


def test_optunas_grid_of_too_many_points(make_plan: MakePlan) -> None:
    """Optuna's GridSampler, which lists every point, is refused where they are very many."""
    plan = make_plan(
        "hydra.sweeper.sampler={_target_:optuna.samplers.GridSampler}",
        "hydra.sweeper.n_trials=3",
        "a=range(1,100000000000)",
    )
    with pytest.raises(InputError, match="holds every point in memory, at most 100,000, but there"):
        preflight.build_sampler(plan)


@pytest.mark.parametrize(
    ("preset", "is_said"), [("cmaes", True), ("qmc", True), ("gp", False), ("tpe", False)]
)
def test_choices_that_a_sampler_is_not_asked_for(
    make_plan: MakePlan, caplog: pytest.LogCaptureFixture, preset: str, is_said: bool
) -> None:
    """A sampler of numbers leaves choices to chance: that is said once, and not by each trial."""
    plan = make_plan(f"hydra/sweeper/sampler={preset}", "x=interval(0,1)", "y=interval(0,1)",
                     "name=u,v", "hydra.sweeper.n_trials=9")  # fmt: skip
    said = preflight.unused_sampler(plan)
    assert bool(said) is is_said
    assert said is None or "so name is drawn at random" in said
    study = optuna.create_study(sampler=preflight.build_sampler(plan))
    optuna.logging.enable_propagation()
    try:
        for _ in range(3):
            study.tell(study.ask(plan.space.distributions()), 1.0)
    finally:
        optuna.logging.disable_propagation()
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_grid_of_optuna_knows_the_space(make_plan: MakePlan) -> None:
    """Optuna's GridSampler is given the sweep's own space."""
    sampler: Any = preflight.build_sampler(
        make_plan(
            "hydra.sweeper.sampler._target_=optuna.samplers.GridSampler",
            "hydra.sweeper.n_trials=3",
            "a=1,2",
            "b=range(0,3)",
        )
    )
    assert sampler._search_space == {"a": [1, 2], "b": [0, 1, 2]}


class Own(RandomSampler):
    """A user's own sampler."""

    def __init__(self, seed: int, extra: int) -> None:
        super().__init__(seed)
        self.extra = extra


def test_own_sampler(make_plan: MakePlan, module: ModuleType) -> None:
    """A user's own class can be the sampler, with arguments of its own."""
    module.Own = Own  # pyright: ignore[reportAttributeAccessIssue]
    sampler = preflight.build_sampler(
        make_plan("hydra.sweeper.sampler={_target_: own.Own, extra: 7}", "x=interval(0,1)")
    )
    assert isinstance(sampler, Own)
    assert sampler.extra == 7


# Optuna 4.9 says that terminators will go with Optuna 6.
@pytest.mark.filterwarnings("ignore:.optuna.terminator. module has been deprecated:FutureWarning")
def test_terminator(make_plan: MakePlan) -> None:
    """A terminator is made by its class, with others inside."""
    made: Any = preflight.build_terminator(
        make_plan(
            "hydra.sweeper.terminator={_target_:optuna.terminator.Terminator,min_n_trials:5,"
            "improvement_evaluator:{_target_:optuna.terminator.BestValueStagnationEvaluator,"
            "max_stagnation_trials:3}}",
            "a=1,2",
        )
    )
    assert isinstance(made, Terminator)
    evaluator: Any = made._improvement_evaluator
    assert evaluator._max_stagnation_trials == 3


@pytest.mark.filterwarnings("ignore:.optuna.terminator. module has been deprecated:FutureWarning")
def test_terminator_that_needs_cross_validation(make_plan: MakePlan) -> None:
    """One that asks for scores that no trial has is refused, and what is proposed instead works."""
    wrong = "hydra.sweeper.terminator={_target_: optuna.terminator.Terminator}"
    with pytest.raises(InputError, match="needs cross-validation scores") as refused:
        preflight.build_terminator(make_plan("x=interval(0,1)", wrong))
    (fix,) = re.findall(r"as in (\S+)'(.+)'$", str(refused.value))
    made = preflight.build_terminator(make_plan("x=interval(0,1)", "".join(fix)))
    assert made is not None
    study = optuna.create_study()
    for value in range(40):
        study.tell(study.ask(), value)
    assert made.should_terminate(study)


@pytest.mark.filterwarnings("ignore:.optuna.terminator. module has been deprecated:FutureWarning")
def test_terminator_of_several_objectives(make_plan: MakePlan) -> None:
    """Optuna's terminator knows one objective, and is refused where there are more."""
    plan = make_plan(
        "hydra.sweeper.terminator={_target_: optuna.terminator.Terminator}",
        "hydra.sweeper.directions=[minimize,minimize]",
        "a=1,2",
    )
    with pytest.raises(InputError, match=r"must have one objective, but there are 2: end the"):
        preflight.build_terminator(plan)


def test_no_terminator(make_plan: MakePlan) -> None:
    """Without a terminator there is none."""
    assert preflight.build_terminator(make_plan("a=1,2")) is None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("hydra.sweeper.sampler._target_=optuna.samplers.Nothing",),
            r"^hydra.sweeper.sampler: optuna.samplers.Nothing: .*No module named",
        ),
        (
            ("hydra.sweeper.sampler.sede=1",),
            r"^hydra.sweeper.sampler: optuna.samplers.TPESampler: .*'sede'; did you mean seed\?$",
        ),
        (
            ("hydra.sweeper.sampler.multivariate=false", "hydra.sweeper.sampler.group=true"),
            r"^hydra.sweeper.sampler: optuna.samplers.TPESampler: .*``group`` option",
        ),
        (
            ("hydra.sweeper.sampler._target_=random.Random", "hydra.sweeper.sampler.seed=null"),
            r"^hydra.sweeper.sampler._target_: must make a BaseSampler of Optuna's, but random",
        ),
    ],
)
def test_samplers_that_cannot_be_made(
    make_plan: MakePlan, command: tuple[str, ...], message: str
) -> None:
    """A sampler that cannot be made is refused with its class and the cause."""
    plan = make_plan("x=interval(0,1)", *command)
    with pytest.raises(InputError, match=message):
        preflight.build_sampler(plan)


@pytest.mark.parametrize(
    ("preset", "package"), [("cmaes", "cmaes"), ("gp", "torch"), ("qmc", "scipy")]
)
def test_sampler_that_lacks_a_package(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, preset: str, package: str
) -> None:
    """A sampler whose package is not installed is refused, and not found out by the tenth trial."""
    plan = make_plan(f"hydra/sweeper/sampler={preset}", "x=interval(0,1)")
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^hydra.sweeper.sampler: .*Sampler must have {package}, which is not installed: pip"
    with pytest.raises(InputError, match=message):
        preflight.build_sampler(plan)


def test_cause_without_a_message(make_plan: MakePlan, module: ModuleType) -> None:
    """A class that fails without a word is refused with what it raised."""

    class Silent(RandomSampler):
        def __init__(self, **arguments: Any) -> None:
            raise LookupError

    module.Silent = Silent  # pyright: ignore[reportAttributeAccessIssue]
    plan = make_plan("x=interval(0,1)", "hydra.sweeper.sampler._target_=own.Silent")
    with pytest.raises(InputError, match=r"^hydra.sweeper.sampler: own.Silent: LookupError$"):
        preflight.build_sampler(plan)


def test_pruner_that_is_none(make_plan: MakePlan) -> None:
    """A class that is no pruner is refused."""
    plan = make_plan("hydra.sweeper.pruner._target_=optuna.samplers.RandomSampler", "a=1,2")
    message = r"^hydra.sweeper.pruner._target_: must make a BasePruner of Optuna's, but optuna"
    with pytest.raises(InputError, match=message):
        preflight.build_pruner(plan)


def test_terminator_that_is_none(make_plan: MakePlan) -> None:
    """A class that is no terminator is refused."""
    plan = make_plan("hydra.sweeper.terminator={_target_:optuna.pruners.NopPruner}", "a=1,2")
    message = r"^hydra.sweeper.terminator._target_: must make a BaseTerminator of Optuna's"
    with pytest.raises(InputError, match=message):
        preflight.build_terminator(plan)


@pytest.fixture
def fused(module: ModuleType) -> tuple[str, ...]:
    """Overrides of a sweep whose trials share slots, trained by ``own``."""
    module.make = lambda: None  # pyright: ignore[reportAttributeAccessIssue]
    module.refusal = lambda config: None  # pyright: ignore[reportAttributeAccessIssue]
    return "hydra.sweeper.slots=4", "hydra.sweeper.fused=own", "hydra.sweeper.workers=2"


def test_slots(make_plan: MakePlan, fused: tuple[str, ...]) -> None:
    """Where every trial can be trained together there is nothing to say."""
    plan = make_plan("a=1,2", *fused)
    preflight.check(plan)
    assert preflight.trained_alone(plan) is None
    assert (plan.slots, plan.places) == (4, 8)


def test_samples_are_composed_once(
    make_plan: MakePlan, module: ModuleType, fused: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at a sample beforehand looks at the same."""
    composed: list[Sequence[str]] = []
    compose = Composer.compose

    def noting(composer: Composer, overrides: Sequence[str]) -> DictConfig:
        composed.append(overrides)
        return compose(composer, overrides)

    monkeypatch.setattr(Composer, "compose", noting)
    module.check = lambda configs, swept, objectives: None  # pyright: ignore
    plan = make_plan("a=1,2,3", "hydra.sweeper.check=own.check", *fused)
    preflight.check(plan)
    assert plan.slots == 4
    samples = [each for each in composed if any(word.startswith("a=") for word in each)]
    assert samples == [("a=1",), ("a=2",), ("a=3",)]


@pytest.mark.parametrize("missing", ["make", "refusal"])
def test_a_form_that_is_none(
    make_plan: MakePlan, module: ModuleType, fused: tuple[str, ...], missing: str
) -> None:
    """A module without what a worker calls is refused by name."""
    delattr(module, missing)
    with pytest.raises(InputError, match=rf"^hydra.sweeper.fused: must .* own has no {missing}$"):
        preflight.check(make_plan("a=1,2", *fused))


def test_a_form_that_cannot_be_imported(
    make_plan: MakePlan, fused: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its import fails with is told in one line."""
    (tmp_path / "unimportable.py").write_text("raise OSError('no\\nlibrary')")
    monkeypatch.syspath_prepend(tmp_path)
    message = r"^hydra.sweeper.fused: .* but unimportable cannot be imported \(.*no library.*\)$"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("a=1,2", *fused, "hydra.sweeper.fused=unimportable"))


def test_a_form_that_cannot_say_what_it_trains(
    make_plan: MakePlan, module: ModuleType, fused: tuple[str, ...]
) -> None:
    """What its refusal raises is refused, unless it is the user's own mistake."""

    def refusal(config: Any) -> None:
        raise InputError("a: must be less") if config.b else KeyError("kind")

    module.refusal = refusal  # pyright: ignore[reportAttributeAccessIssue]
    message = r"^hydra.sweeper.fused: own must say .* raises KeyError: 'kind': mend its refusal"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("a=1,2", *fused))
    with pytest.raises(InputError, match=r"^a: must be less$"):
        preflight.check(make_plan("a=1,2", "b=1", *fused))


def test_trials_without_a_fused_form(
    make_plan: MakePlan, module: ModuleType, fused: tuple[str, ...]
) -> None:
    """They are trained alone with a notice, or refused; where all are, there are no slots."""
    module.refusal = lambda config: f"a={config.a}" if config.a > 1 else None  # pyright: ignore
    some = make_plan("a=1,2", *fused)
    assert preflight.trained_alone(some) == (
        "some trials are trained one by one, not 4 together: a=2"
    )
    assert some.slots == 4
    every = make_plan("a=2,3", *fused)
    assert preflight.trained_alone(every) == "trials are trained one by one, not 4 together: a=2"
    assert (every.slots, every.places) == (1, 2)
    with pytest.raises(InputError, match=r"^hydra.sweeper.slots: must be 1 for .*: a=2: leave"):
        preflight.check(make_plan("a=1,2", *fused, "hydra.sweeper.unfused=refuse"))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("fused=nowhere", "^hydra.sweeper.fused: must name a module with refusal"),
        ("preload=[nowhere]", "^hydra.sweeper.preload: must be modules that can be imported, but"),
        ("preload=[os,nowhere.at.all]", "imported, but 'nowhere.at.all' is not there"),
        ("preload=['not a name']", "imported, but 'not a name' is not there"),
    ],
)
def test_modules_that_are_not_there(make_plan: MakePlan, key: str, message: str) -> None:
    """A module that a sweep names is looked for before trial 0, also if no slots need it yet."""
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("a=1,2", f"hydra.sweeper.{key}"))


@pytest.mark.parametrize("section", ["sampler", "pruner"])
def test_emptied_sections_of_the_sweeper(make_plan: MakePlan, section: str) -> None:
    """An empty mapping, which leaves a section as it was, is refused."""
    message = rf"^hydra.sweeper.{section}: must have keys, but is {{}}, which Hydra merges"
    with pytest.raises(InputError, match=message):
        preflight.check(make_plan("a=1,2", f"hydra.sweeper.{section}={{}}"))


TPE = "hydra/sweeper/sampler=tpe"
_P = "hydra.sweeper.pruner"
_S = "hydra.sweeper.sampler"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([f"{_S}.n_ei_candidates=abc"], "n_ei_candidates: must be a valid integer, but is 'abc'"),
        ([f"{_S}.multivariate=maybe"], "multivariate: must be a valid boolean, but is 'maybe'"),
        ([f"{_S}.multivariate=1"], "multivariate: must be a valid boolean, but is 1"),
        ([f"{_S}.seed=abc"], "seed: must be a valid integer, but is 'abc'"),
        ([f"{_S}.seed=-1"], "seed: must be at least 0 and at most 4294967295, but is -1"),
        ([f"{_S}.n_startup_trials=-1"], "n_startup_trials: must be at least 0, but is -1"),
        ([f"{_S}.n_startup_trials=true"], "n_startup_trials: must be a valid integer, but is True"),
        ([f"+{_S}.constraints_func=3"], "constraints_func: must be callable, but is 3"),
        ([TPE.replace("tpe", "nsgaii"), f"{_S}.population_size=-5"], "population_size: must be"),
        (
            [TPE.replace("tpe", "nsgaii"), f"{_S}.mutation_prob=2"],
            "mutation_prob: must be at",
        ),
        ([TPE.replace("tpe", "cmaes"), f"{_S}.sigma0=0"], "sigma0: must be greater than 0, but is"),
        ([TPE.replace("tpe", "qmc"), f"{_S}.qmc_type=foo"], "QMCSampler: .*foo.* is invalid"),
        ([f"{_S}={{_target_: optuna.samplers.BruteForceSampler}}"], "BruteForceSampler raises"),
        ([f"{_S}._target_=hydra_plugins.x.Y"], "_target_: must be a class of Optuna's or your own"),
    ],
)
def test_wrong_arguments_of_samplers(make_plan: MakePlan, command: list[str], message: str) -> None:
    """An argument of the wrong type or outside of its range is refused before trial 0."""
    plan = make_plan("x=interval(0,1)", *command)
    with pytest.raises(InputError, match=rf"^{_S}[.:] ?{message}|^{_S}: .*{message}"):
        preflight.build_sampler(plan)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["hydra/sweeper/pruner=asha", f"{_P}.reduction_factor=1"], "reduction_factor: must be"),
        (["hydra/sweeper/pruner=asha", f"{_P}.min_resource=0"], "min_resource: must be at least 1"),
        (
            ["hydra/sweeper/pruner=hyperband", f"{_P}.max_resource=1.5"],
            "max_resource: must be a",
        ),
        (
            ["hydra/sweeper/pruner=median", f"{_P}.interval_steps=0"],
            "interval_steps: must be at le",
        ),
        (["hydra/sweeper/pruner=patient", f"{_P}.patience=-1"], "patience: must be at least 0"),
        (
            ["hydra/sweeper/pruner=patient", f"+{_P}.wrapped_pruner.n_startup_trials=many"],
            "wrapped_pruner.n_startup_trials: must be a valid integer, but is 'many'",
        ),
        (
            [f"{_P}={{_target_: optuna.pruners.PercentilePruner, percentile: 150}}"],
            "percentile: must be at least 0 and at most 100, but is 150",
        ),
    ],
)
def test_wrong_arguments_of_pruners(make_plan: MakePlan, command: list[str], message: str) -> None:
    """An argument of a pruner, or of one within it, is checked in the same way."""
    with pytest.raises(InputError, match=rf"^{_P}.{message}"):
        preflight.build_pruner(make_plan("x=interval(0,1)", *command))


@pytest.mark.filterwarnings("ignore:.gamma. has been deprecated:FutureWarning")
def test_sampler_that_cannot_propose(make_plan: MakePlan) -> None:
    """A sampler of Optuna's that fails when it is asked after some trials is refused."""
    plan = make_plan("x=interval(0,1)", f"+{_S}.gamma={{_target_: builtins.dict}}")
    with pytest.raises(InputError, match=rf"^{_S}: must work in this search space, but TPESampler"):
        preflight.build_sampler(plan)


def test_dry_run_leaves_the_sampler_as_it_was(make_plan: MakePlan) -> None:
    """The sweep's own sampler proposes what it would have proposed without the dry run."""
    plan = make_plan("x=interval(0,1)", f"{_S}.seed=7", f"{_S}.n_startup_trials=2")

    def proposals(sampler: optuna.samplers.BaseSampler) -> list[float]:
        study = optuna.create_study(sampler=sampler)
        found = []
        for _ in range(5):
            trial = study.ask(plan.space.distributions())
            found.append(trial.params["x"])
            study.tell(trial, trial.params["x"])
        return found

    fresh = optuna.samplers.TPESampler(seed=7, n_startup_trials=2)
    assert proposals(preflight.build_sampler(plan)) == proposals(fresh)


class Unannotated(RandomSampler):
    """A user's own sampler that tells nothing of its arguments, and draws nothing beforehand."""

    def __init__(self, seed, kind, **more):
        super().__init__(0)
        self.given = (seed, kind, more)

    def sample_relative(self, *arguments: Any) -> Any:
        raise AssertionError("it must not be tried")


def test_own_sampler_without_annotations(make_plan: MakePlan, module: ModuleType) -> None:
    """A user's own class takes any value where it has no annotation, and is not tried."""
    module.Own = Unannotated  # pyright: ignore[reportAttributeAccessIssue]
    section = "{_target_: own.Own, seed: -1, kind: abc, percentile: 150}"
    made = preflight.build_sampler(make_plan(f"{_S}={section}", "x=interval(0,1)"))
    assert isinstance(made, Unannotated)
    assert made.given == (-1, "abc", {"percentile": 150})


class Annotated(RandomSampler):
    """A user's own sampler, one of whose annotations names nothing that is there."""

    def __init__(self, seed: int, count: int, other: NotThere = None) -> None:  # noqa: F821 # pyright: ignore
        super().__init__(seed)


def test_own_sampler_with_annotations(make_plan: MakePlan, module: ModuleType) -> None:
    """A user's own class is held to the annotations that can be read."""
    module.Own = Annotated  # pyright: ignore[reportAttributeAccessIssue]
    preflight.build_sampler(
        make_plan(f"{_S}={{_target_: own.Own, count: 3, other: x}}", "x=interval(0,1)")
    )
    with pytest.raises(InputError, match=rf"^{_S}.count: must be a valid integer, but is 'x'$"):
        preflight.build_sampler(
            make_plan(f"{_S}={{_target_: own.Own, count: x}}", "x=interval(0,1)")
        )


def _adds_a_kind(config: Any, trial: optuna.Trial) -> None:
    trial.suggest_int("b", 7, 7)


def test_slots_in_a_custom_search_space(
    make_plan: MakePlan, module: ModuleType, fused: tuple[str, ...]
) -> None:
    """What the function adds may be what a form asks for."""
    module.space = _adds_a_kind  # pyright: ignore[reportAttributeAccessIssue]
    module.refusal = lambda config: None if config.b == 7 else "no kind"  # pyright: ignore
    plan = make_plan("a=1,2", *fused, "hydra.sweeper.custom_search_space=own.space")
    preflight.check(plan)
    assert preflight.trained_alone(plan) is None
    assert plan.slots == 4
