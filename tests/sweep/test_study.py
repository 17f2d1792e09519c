from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import optuna
import optuna.storages.journal._storage as journal
import pytest
from optuna.samplers import RandomSampler
from optuna.storages.journal._storage import JournalOperation
from sweep.process import Fuse, Worker, open_study

from sinesweep.sweep import archive
from sinesweep.sweep.entry import (
    COMPLETE,
    DROPPED,
    FAIL,
    INTERRUPTED,
    PRUNED,
    RETRIED,
    REUSED,
    RUNNING,
    WAITING,
)
from sinesweep.sweep.marks import OUTCOME
from sinesweep.sweep.orphans import close_orphans
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.space import point_key
from sinesweep.sweep.storage import JOURNAL_FILE

MakePlan = Callable[..., Plan]

_INFINITE = ("x=interval(0,1)", "y=tag(log,interval(1e-3,1))", "a=int(interval(1,9))")
_MIXED = (*_INFINITE, "name=u,v,w")
_FINITE = ("a=1,2,3", "b=range(0,2)")


def sampler(name: str, **arguments: Any) -> tuple[str, ...]:
    return (
        f"hydra/sweeper/sampler={name}",
        "hydra.sweeper.sampler.seed=1",
        *(f"++hydra.sweeper.{key.replace('__', '.')}={value}" for key, value in arguments.items()),
    )


def of_optuna(name: str) -> tuple[str, ...]:
    return (f"hydra.sweeper.sampler={{_target_:optuna.samplers.{name},seed:1}}",)


_COMMANDS = {
    "tpe": (*sampler("tpe", n_trials=7, sampler__n_startup_trials=3), *_MIXED),
    "tpe-group": (
        *sampler(
            "tpe",
            n_trials=7,
            sampler__n_startup_trials=3,
            sampler__multivariate=True,
            sampler__group=True,
        ),
        *_MIXED,
    ),
    "random": (*sampler("random", n_trials=6), *_MIXED),
    "cmaes": (*sampler("cmaes", n_trials=11), *_INFINITE),
    "qmc": (*sampler("qmc", n_trials=6), *_MIXED),
    "gp": (*sampler("gp", n_trials=5, sampler__n_startup_trials=3), *_INFINITE),
    # A known point's trial is closed twice each time that it is killed there: it would not end.
    "nsgaii": (
        *sampler("nsgaii", n_trials=10, deduplicate=False, sampler__population_size=4),
        *_MIXED,
    ),
    "grid": ("hydra.sweeper.sampler={_target_:sinesweep.sweep.sampling.Grid}", *_FINITE),
    "all-combinations": _FINITE,
    "optuna-grid": (*of_optuna("GridSampler"), "hydra.sweeper.n_trials=6", *_FINITE),
    "brute-force": (*of_optuna("BruteForceSampler"), "hydra.sweeper.n_trials=6", *_FINITE),
}
_MOMENTS = ("asked", "marked", "saved", "running", "left its outcome", "told", "closing")


def every_other(visit: int) -> bool:
    return visit % 2 == 0


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        pytest.param(n, m, marks=[] if n == "tpe" or m == "saved" else pytest.mark.slow)
        for n in _COMMANDS
        for m in _MOMENTS
        # a Gaussian process takes seconds a proposal: one moment stands for all
        if n != "gp" or m == "saved"
    ],
)
def test_interrupted_is_uninterrupted(
    make_plan: MakePlan,
    fused: Callable[[Fuse], Fuse],
    name: str,
    moment: str,
) -> None:
    """However often it is killed at a moment, a sweep evaluates the points that it would anyway."""
    whole = Worker()
    whole.finish(make_plan(*_COMMANDS[name], "hydra.sweeper.study_name=whole"))
    torn = Worker(fuse := fused(Fuse(moment, every_other)))
    study = torn.finish(make_plan(*_COMMANDS[name], "hydra.sweeper.study_name=torn"))
    assert fuse.burnt >= len(whole.evaluated) / 2
    assert torn.evaluated == whole.evaluated
    assert study.counted == len(whole.evaluated)


def test_numbers_are_never_used_again(make_plan: MakePlan, fused: Callable[[Fuse], Fuse]) -> None:
    """A trial that is run again has a new number, and a folder of its own."""
    torn = Worker(fused(Fuse("running", every_other)))
    study = torn.finish(make_plan(*_COMMANDS["random"]))
    assert torn.numbers == sorted(set(torn.numbers))
    again = [entry for entry in study.entries.values() if entry.origin is not None]
    assert [study.entries[e.origin].outcome for e in again if e.origin is not None] == (
        [INTERRUPTED] * len(again)
    )
    assert again


def test_interrupted_trial_is_run_again_at_once(make_plan: MakePlan) -> None:
    """The point of a trial that was running when the process died is the next that is run."""
    plan = make_plan(*_COMMANDS["random"])
    begun = open_study(plan).next()
    again = open_study(plan).next()
    assert again.params == begun.params
    assert (again.number, again.origin) == (1, 0)


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1), ("maximize", -1)])
def test_being_among_the_best(make_plan: MakePlan, direction: str, sign: int) -> None:
    """Completed trials count, and those that are about to complete, but none that failed."""
    plan = make_plan(*_COMMANDS["random"], f"hydra.sweeper.direction={direction}")
    study = open_study(plan)
    for _ in range(4):
        study.next()
    study.end(0, Outcome.complete((sign * 2.0,)))
    assert study.is_among_best(1, sign * 3.0, 2)
    assert not study.is_among_best(2, sign * 4.0, 2)
    assert study.is_among_best(2, sign * 4.0, 3)
    study.end(1, Outcome.failed("a full disk"))
    assert study.is_among_best(3, sign * 5.0, 3)


def test_closed_trials_are_named(make_plan: MakePlan) -> None:
    """A process that goes on knows which trials it has closed, and as what."""
    plan = make_plan(*_COMMANDS["random"])
    open_study(plan).next()
    (closed,) = open_study(plan).closed
    assert (closed.number, closed.state, closed.outcome) == (0, FAIL, INTERRUPTED)
    assert closed.error == "the sweep was killed"


def test_several_interrupted_trials(make_plan: MakePlan) -> None:
    """All trials of a process with several workers are run again, each once, in their order."""
    plan = make_plan(*_COMMANDS["random"])
    study = open_study(plan)
    begun = [study.next().params for _ in range(3)]
    study = open_study(plan)
    assert [study.next().params for _ in range(3)] == begun
    assert study.next().params not in begun


def test_interrupted_twice(make_plan: MakePlan) -> None:
    """A trial that is interrupted again and again is still run once in the end."""
    plan = make_plan("hydra.sweeper.n_trials=2", *_INFINITE)
    for _ in range(3):
        open_study(plan).next()
    worker = Worker()
    study = worker.finish(plan)
    assert len(worker.evaluated) == 2
    assert [entry.outcome for entry in study.entries.values()] == [
        INTERRUPTED,
        INTERRUPTED,
        INTERRUPTED,
        COMPLETE,
        COMPLETE,
    ]


def test_dropped_trials(make_plan: MakePlan, fused: Callable[[Fuse], Fuse]) -> None:
    """A trial that was proposed and never began has no folder and does not count."""
    fused(Fuse("asked", lambda visit: visit == 0))
    study = Worker().finish(make_plan("hydra.sweeper.n_trials=2", *_INFINITE))
    dropped = study.entries[0]
    assert (dropped.outcome, dropped.state, dropped.directory) == (DROPPED, FAIL, None)
    assert [study.entries[number].outcome for number in (1, 2)] == [COMPLETE, COMPLETE]
    assert study.counted == 2


def test_n_trials_is_the_total(make_plan: MakePlan) -> None:
    """A sweep that has all its trials has no more; a greater n_trials continues it."""
    worker = Worker()
    worker.finish(make_plan("hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=s", *_INFINITE))
    worker.finish(make_plan("hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=s", *_INFINITE))
    assert worker.numbers == [0, 1, 2]
    worker.finish(make_plan("hydra.sweeper.n_trials=5", "hydra.sweeper.study_name=s", *_INFINITE))
    assert worker.numbers == [0, 1, 2, 3, 4]


def test_greater_total_is_the_same_sweep(make_plan: MakePlan) -> None:
    """A sweep that was made longer has the points of one that was that long from the start."""
    short, long = Worker(), Worker()
    command = ("hydra.sweeper.study_name=short", *_INFINITE)
    short.finish(make_plan("hydra.sweeper.n_trials=3", *command))
    short.finish(make_plan("hydra.sweeper.n_trials=6", *command))
    long.finish(make_plan("hydra.sweeper.n_trials=6", *_INFINITE))
    assert short.evaluated == long.evaluated


def test_every_combination_once(make_plan: MakePlan) -> None:
    """Without n_trials a finite space is run through in its order."""
    worker = Worker()
    worker.finish(make_plan(*_FINITE))
    points = [tuple(point.values()) for point in worker.evaluated]
    assert points == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]


@pytest.mark.parametrize("kind", ["sinesweep.sweep.sampling.Grid", "optuna.samplers.GridSampler"])
def test_more_trials_than_the_grid_has_points(make_plan: MakePlan, kind: str) -> None:
    """A grid ends with its last point, whatever n_trials says."""
    worker = Worker()
    grid = f"hydra.sweeper.sampler={{_target_:{kind}}}"
    worker.finish(make_plan(grid, "hydra.sweeper.n_trials=20", *_FINITE))
    assert len(worker.evaluated) == 6
    assert distinct(worker.evaluated) == 6


def distinct(points: list[Any]) -> int:
    return len({tuple(point.items()) for point in points})


def test_sampler_that_stops(make_plan: MakePlan) -> None:
    """A sampler that has no more to propose ends the sweep, in the next process, too."""
    plan = make_plan(*of_optuna("BruteForceSampler"), "hydra.sweeper.n_trials=20", *_FINITE)
    worker = Worker()
    worker.finish(plan)
    worker.finish(plan)
    assert distinct(worker.evaluated) == len(worker.evaluated) == 6


def failing(params: Any) -> Outcome:
    return Outcome.failed("no luck")


def test_retries(make_plan: MakePlan) -> None:
    """A failed trial is run again so often, each time under a new number, and counts once."""
    worker = Worker(evaluate=failing)
    study = worker.finish(
        make_plan("hydra.sweeper.retries=2", "hydra.sweeper.n_trials=2", *_INFINITE)
    )
    assert [entry.outcome for entry in study.entries.values()] == [RETRIED, RETRIED, FAIL] * 2
    assert [entry.origin for entry in study.entries.values()] == [None, 0, 1, None, 3, 4]
    assert distinct(worker.evaluated) == study.counted == 2


@pytest.mark.parametrize("moment", _MOMENTS)
def test_retries_across_processes(
    make_plan: MakePlan, fused: Callable[[Fuse], Fuse], moment: str
) -> None:
    """A killed process neither adds to the retries of a trial nor takes from them."""
    worker = Worker(fused(Fuse(moment, every_other)), evaluate=failing)
    study = worker.finish(
        make_plan("hydra.sweeper.retries=2", "hydra.sweeper.n_trials=3", *_INFINITE)
    )
    outcomes = [entry.outcome for entry in study.entries.values()]
    assert (outcomes.count(RETRIED), outcomes.count(FAIL)) == (6, 3)
    assert study.counted == 3


def test_retries_of_a_grid(make_plan: MakePlan) -> None:
    """Each point of a grid that fails is retried, and none is left out."""
    worker = Worker(evaluate=failing)
    study = worker.finish(make_plan("hydra.sweeper.retries=1", *_FINITE))
    assert len(worker.evaluated) == 12
    assert distinct(worker.evaluated) == study.counted == 6


def test_attempts(make_plan: MakePlan) -> None:
    """Failures are attempts; an interruption is none."""
    plan = make_plan("hydra.sweeper.retries=5", "hydra.sweeper.n_trials=1", *_INFINITE)
    study = open_study(plan)
    first = study.next()
    assert study.attempts(first.number) == 0
    study.end(first.number, Outcome.failed("no luck"))
    second = study.next()
    study.end(second.number, Outcome.interrupted("Ctrl-C"))
    third = study.next()
    assert study.attempts(third.number) == 1
    assert study.attempts(second.number) == 1


def test_error_is_kept(make_plan: MakePlan) -> None:
    """The cause of a failure is in the study, and read again by the next process."""
    plan = make_plan("hydra.sweeper.n_trials=1", *_INFINITE)
    Worker(evaluate=failing).finish(plan)
    assert open_study(plan).entries[0].error == "no luck"


def test_pruned_trials_count(make_plan: MakePlan) -> None:
    """A pruned trial is one of n_trials, and no failure."""
    worker = Worker(evaluate=lambda point: Outcome.pruned())
    study = worker.finish(make_plan("hydra.sweeper.n_trials=2", *_INFINITE))
    assert [(e.state, e.outcome) for e in study.entries.values()] == [(PRUNED, PRUNED)] * 2
    assert study.counted == 2


_FINITE_SPACES = {
    "choices and a range": _FINITE,
    "an interval of integers": ("a=int(interval(1,6))",),
    "choices that are equal in Python": ("a=0,false,null", "b=1,1.0"),
}
_SAMPLERS = {
    "tpe": sampler("tpe", sampler__n_startup_trials=2),
    "random": sampler("random"),
    "nsgaii": sampler("nsgaii", sampler__population_size=3),
    "qmc": sampler("qmc"),
    "cmaes": sampler("cmaes", sampler__n_startup_trials=2),
    "gp": sampler("gp", sampler__n_startup_trials=2),
    "grid": ("hydra/sweeper/sampler=grid",),
    "brute-force": of_optuna("BruteForceSampler"),
    "optuna-grid": of_optuna("GridSampler"),
}


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("name", "space"),
    [
        pytest.param(n, s, marks=[pytest.mark.slow] if n == "gp" else [])  # it imports torch
        for n in _SAMPLERS
        for s in _FINITE_SPACES
        if "grid" not in n or "interval" not in s
    ],
)
def test_each_point_of_a_finite_space_is_evaluated_once(
    make_plan: MakePlan, name: str, space: str
) -> None:
    """No sampler repeats a point, and the sweep ends with the last one before n_trials does."""
    worker = Worker()
    command = (*_SAMPLERS[name], *_FINITE_SPACES[space])
    study = worker.finish(make_plan("hydra.sweeper.n_trials=12", *command))
    points = [point_key(point) for point in worker.evaluated]
    assert len(set(points)) == len(points) == study.counted == 6
    assert len(study.entries) == 6
    assert not study.has_more


def test_choices_are_recorded_as_written(make_plan: MakePlan) -> None:
    """A sweep's files have each choice with its own type, though Python takes some for equal."""
    plan = make_plan("a=0,false,null,-0.0", "name='1',1,nan")
    study = Worker(evaluate=lambda _: Outcome.complete((1.0,))).finish(plan)
    overrides = [tuple(entry.overrides) for entry in study.entries.values()]
    texts = ("0", "False", "null", "-0.0")
    assert overrides == [(f"a={a}", f"name={n}") for a in texts for n in ("'1'", "1", "nan")]
    read = archive.read(plan.folder).entries
    assert [point_key(entry.params) for entry in read] == [
        point_key(entry.params) for entry in study.entries.values()
    ]
    assert [tuple(entry.overrides) for entry in read] == overrides


@pytest.mark.parametrize("name", ["tpe", "random", "grid"])
def test_continued_sweep_of_distinct_points_proposes_the_same(
    make_plan: MakePlan, name: str
) -> None:
    """A process for each trial finds the points that one process finds, in their order."""
    command = (*_SAMPLERS[name], "hydra.sweeper.n_trials=6", *_FINITE)
    whole, parts = Worker(), Worker()
    whole.finish(make_plan(*command, "hydra.sweeper.study_name=whole"))
    for _ in range(6):
        parts.run(open_study(make_plan(*command, "hydra.sweeper.study_name=parts")))
    assert parts.evaluated == whole.evaluated


def test_points_that_run_elsewhere_are_not_proposed(make_plan: MakePlan) -> None:
    """Trials that run side by side have different points, and failed ones are not proposed."""
    plan = make_plan(*sampler("random"), "hydra.sweeper.n_trials=6", *_FINITE)
    study = open_study(plan)
    begun = [study.next() for _ in range(6)]
    assert len({point_key(entry.params) for entry in begun}) == 6
    assert not study.has_more
    study.end(begun[0].number, Outcome.failed("no luck"))
    assert not study.has_more


def test_sampler_that_knows_one_point_gets_others(make_plan: MakePlan, stubborn: str) -> None:
    """Where a sampler proposes a known point again and again, new ones are drawn."""
    worker = Worker()
    worker.finish(make_plan(stubborn, "hydra.sweeper.n_trials=3", "a=1,2,3"))
    assert worker.evaluated[0] == {"a": 2}
    assert sorted(point["a"] for point in worker.evaluated) == [1, 2, 3]


def test_point_of_a_fixed_command_is_evaluated_once(make_plan: MakePlan) -> None:
    """Without a swept key there is one point, whatever n_trials says."""
    worker = Worker()
    worker.finish(make_plan("hydra.sweeper.n_trials=4", "a=1"))
    assert worker.numbers == [0]
    again = make_plan("hydra.sweeper.n_trials=4", "hydra.sweeper.deduplicate=false", "a=1")
    worker.finish(again)
    assert worker.numbers == [0, 1, 2, 3]


def test_known_point_of_an_endless_space_is_told_its_value(waiting: Plan) -> None:
    """A point that was evaluated before is told its old value, and does not count."""
    study = open_study(waiting)
    first = Worker().run(study)
    reused = study.next()
    assert (reused.outcome, reused.state, reused.directory) == (REUSED, COMPLETE, None)
    assert reused.values == first.values
    assert study.counted == 1


def test_sampler_that_knows_one_point_of_an_endless_space_ends_the_sweep(waiting: Plan) -> None:
    """After a hundred proposals of known points in a row the sweep ends and says why."""
    worker = Worker()
    study = worker.finish(waiting)
    assert worker.numbers == [0]
    assert len(study.entries) == 101
    assert "has proposed 100 points in a row that were evaluated before" in study.exhausted
    worker.finish(waiting)
    assert worker.numbers == [0]


class Stubborn(RandomSampler):
    """A sampler that proposes one point, again and again."""

    def sample_independent(self, *arguments: Any, **more: Any) -> Any:
        return 2


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the override of a sampler that knows one point."""
    module = ModuleType("orchard")
    module.Stubborn = Stubborn  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "orchard", module)
    return "hydra.sweeper.sampler={_target_:orchard.Stubborn}"


@pytest.fixture
def waiting(stubborn: str, make_plan: MakePlan) -> Plan:
    """Plan a sweep of an endless space for two workers whose sampler knows one point."""
    return make_plan(
        stubborn, "hydra.sweeper.n_trials=3", "hydra.sweeper.workers=2", "x=interval(1,3)"
    )


def test_point_that_is_being_evaluated(waiting: Plan) -> None:
    """A point that is being evaluated is not evaluated beside that, but told that trial's value."""
    study = open_study(waiting)
    first, second, third = (study.next() for _ in range(3))
    assert (first.outcome, second.outcome, third.outcome) == (RUNNING, WAITING, WAITING)
    assert (second.state, second.directory) == (RUNNING, None)
    assert not study.has_more  # as many wait as there are workers
    study.end(first.number, Outcome.complete((0.5,)))
    assert study.has_more
    ended = [study.next(), study.next()]
    assert [(e.number, e.outcome, e.values) for e in ended] == [
        (1, REUSED, (0.5,)),
        (2, REUSED, (0.5,)),
    ]
    assert study.counted == 1


@pytest.mark.parametrize("outcome", [Outcome.failed("no luck"), Outcome.pruned()])
def test_point_that_came_to_nothing(waiting: Plan, outcome: Outcome) -> None:
    """A trial that waited for one without values never was, and its point can be proposed again."""
    study = open_study(waiting)
    first = study.next()
    study.next()
    study.end(first.number, outcome)
    dropped, again = study.next(), study.next()
    assert (dropped.number, dropped.outcome, dropped.state) == (1, DROPPED, FAIL)
    assert dropped.error == "trial 0, which evaluated this point, did not complete"
    assert (again.outcome, again.params) == (RUNNING, first.params)
    assert study.counted == 1


def test_trials_that_wait_when_the_sweep_ends(waiting: Plan) -> None:
    """When no more trials begin, none is left waiting."""
    study = open_study(waiting)
    first = study.next()
    study.next()
    study.end(first.number, Outcome.interrupted("Ctrl-C"))
    assert [(e.number, e.outcome) for e in study.end_waiting()] == [(1, DROPPED)]
    assert open_study(waiting).next().origin == first.number


def test_trials_that_wait_when_the_process_dies(waiting: Plan) -> None:
    """The point of trials that waited is run once by the next process."""
    study = open_study(waiting)
    study.next()
    study.next()
    study = open_study(waiting)
    assert [(e.number, e.outcome) for e in study.closed] == [(0, INTERRUPTED), (1, DROPPED)]
    again, another = study.next(), study.next()
    assert (again.origin, another.origin, another.outcome) == (0, None, WAITING)


def test_trial_that_is_run_again_and_waits(
    waiting: Plan, make_plan: MakePlan, stubborn: str
) -> None:
    """A trial that was to be run again, and waited in vain, is to be run again still."""
    repeating = (stubborn, "hydra.sweeper.workers=2", "hydra.sweeper.deduplicate=false")
    twice = open_study(make_plan(*repeating, "hydra.sweeper.n_trials=3", "x=interval(1,3)"))
    twice.next()
    twice.next()  # beside the first, since de-duplication was not asked for yet
    study = open_study(waiting)
    first, second = study.next(), study.next()
    assert [(e.origin, e.outcome) for e in (first, second)] == [(0, RUNNING), (1, WAITING)]
    study.end(first.number, Outcome.failed("no luck"))
    assert study.next().outcome == DROPPED
    third = study.next()
    assert (third.origin, third.outcome) == (1, RUNNING)


def test_without_deduplication_points_are_evaluated_again(make_plan: MakePlan) -> None:
    """Points may come twice if deduplicate is false."""
    worker = Worker()
    worker.finish(make_plan(*sampler("random", n_trials=9, deduplicate=False), *_FINITE))
    assert len(worker.evaluated) == 9


def test_reports_reach_the_study(make_plan: MakePlan) -> None:
    """What a trial reports is in the study, for the pruner."""
    study = open_study(make_plan(*_COMMANDS["random"]))
    entry = study.next()
    study.report(entry.number, 0.5, 3)
    assert study.optuna.trials[0].intermediate_values == {3: 0.5}


def test_pruner_is_asked(make_plan: MakePlan) -> None:
    """A trial whose reports are worse than the pruner allows is to be pruned."""
    study = open_study(
        make_plan(
            "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner",
            "+hydra.sweeper.pruner.upper=1.0",
            *_COMMANDS["random"],
        )
    )
    entry = study.next()
    study.report(entry.number, 0.5, 0)
    assert not study.should_prune(entry.number)
    study.report(entry.number, 2.0, 1)
    assert study.should_prune(entry.number)


def test_several_objectives(make_plan: MakePlan) -> None:
    """With several objectives, reports are not stored and nothing is pruned."""
    study = open_study(
        make_plan(*_COMMANDS["random"], "hydra.sweeper.direction=[minimize,maximize]")
    )
    entry = study.next()
    study.report(entry.number, 0.5, 0)
    assert not study.should_prune(entry.number)
    ended = study.end(entry.number, Outcome.complete((1.0, 2.0)))
    assert ended.values == (1.0, 2.0)
    assert study.optuna.trials[0].intermediate_values == {}


def test_overrides_of_an_entry(make_plan: MakePlan) -> None:
    """A trial's overrides are its point, then what is fixed."""
    study = open_study(make_plan("a=1,2", "name=u", "~seed"))
    assert study.next().overrides == ("a=1", "name=u", "~seed")


def fruit(config: Any, trial: optuna.Trial) -> None:
    """Extend a search space: only a peach has a stone."""
    kind = trial.suggest_categorical("name", ["peach", "plum tree"])
    if kind == "peach":
        trial.suggest_float("x", 0.0, 1.0 + config.a)


@pytest.fixture
def with_fruit(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("orchard")
    module.fruit = fruit  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "orchard", module)
    return "hydra.sweeper.custom_search_space=orchard.fruit"


def test_custom_search_space(make_plan: MakePlan, with_fruit: str) -> None:
    """A function extends a trial's point, on conditions, and sees what is fixed."""
    worker = Worker()
    study = worker.finish(make_plan(with_fruit, "hydra.sweeper.n_trials=8", "b=1,2", "a=3"))
    assert {tuple(point) for point in worker.evaluated} == {("b", "name", "x"), ("b", "name")}
    assert study.optuna.trials[0].user_attrs["a"] == "3"
    plums = [e.overrides for e in study.entries.values() if "x" not in e.params]
    assert plums[0][1:] == ("name=plum\\ tree", "a=3")


@pytest.mark.parametrize("moment", ["asked", "saved", "running", "told"])
def test_custom_search_space_is_continued(
    make_plan: MakePlan, fused: Callable[[Fuse], Fuse], with_fruit: str, moment: str
) -> None:
    """A sweep with a custom search space goes on with the points that it would have had anyway."""
    whole = Worker()
    command = (with_fruit, "hydra.sweeper.n_trials=6", "b=1,2")
    whole.finish(make_plan(*command, "hydra.sweeper.study_name=whole"))
    torn = Worker(fused(Fuse(moment, every_other)))
    torn.finish(make_plan(*command, "hydra.sweeper.study_name=torn"))
    assert torn.evaluated == whole.evaluated


def test_close_orphans(make_plan: MakePlan) -> None:
    """What a killed sweep left running can be closed without continuing it."""
    plan = make_plan(*_COMMANDS["random"])
    study = open_study(plan)
    study.end(study.next().number, Outcome.complete((1.0,)))
    heard, lost = study.next(), study.next()
    assert heard.directory is not None
    heard.directory.mkdir(parents=True)
    Outcome.complete((2.0,)).write(heard.directory)
    entries, closed = close_orphans(plan.folder)
    assert closed == [heard.number, lost.number]
    assert [(e.outcome, e.values) for e in entries] == [
        (COMPLETE, (1.0,)),
        (COMPLETE, (2.0,)),
        (INTERRUPTED, None),
    ]
    assert open_study(plan).next().origin == lost.number


def test_a_trial_that_ended_while_it_was_taken_over(make_plan: MakePlan) -> None:
    """Where its owner was quicker with its value, another's word that it was lost is nothing."""
    plan = make_plan(*_COMMANDS["random"])
    study = open_study(plan)
    entry = study.next()
    known = study.optuna.get_trials(deepcopy=False)[entry.number]
    study.optuna._storage.set_trial_user_attr(known._trial_id, OUTCOME, INTERRUPTED)
    study.end(entry.number, Outcome.complete((1.0,)))
    entries, closed = close_orphans(plan.folder)
    assert closed == []
    assert [(e.outcome, e.values, e.counts) for e in entries] == [(COMPLETE, (1.0,), True)]


def test_orphans_of_a_storage_with_a_password(make_plan: MakePlan) -> None:
    """A study whose address holds a password is left alone: nobody else knows it."""
    plan = make_plan("a=1,2", "hydra.sweeper.storage='postgresql://me:secret@nowhere/studies'")
    plan.folder.mkdir(parents=True)
    plan.save_definition()
    assert close_orphans(plan.folder) == ([], [])


def test_orphans_of_no_sweep(tmp_path: Path) -> None:
    """A folder without a sweep has no orphans."""
    assert close_orphans(tmp_path) == ([], [])


def test_orphans_of_a_sweep_that_had_not_begun(make_plan: MakePlan) -> None:
    """A sweep that was killed before its study was made has no orphans, and gets no study."""
    plan = make_plan("a=1,2")
    plan.folder.mkdir(parents=True)
    plan.save_definition()
    assert close_orphans(plan.folder) == ([], [])
    assert [path.name for path in plan.folder.iterdir()] == ["sweep.yaml"]


def test_enumeration_that_is_given_a_budget(make_plan: MakePlan) -> None:
    """A sweep of every combination that gets n_trials goes on with the configured sampler."""
    plan = make_plan("hydra.sweeper.study_name=s", *_FINITE)
    Worker().run(open_study(plan))
    budgeted = make_plan("hydra.sweeper.study_name=s", "hydra.sweeper.n_trials=4", *_FINITE)
    worker = Worker()
    study = worker.finish(budgeted)
    assert study.counted == 4
    worker.finish(make_plan("hydra.sweeper.study_name=s", *_FINITE))
    points = [tuple(point.values()) for point in worker.evaluated]
    assert sorted([(1, 0), *points]) == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]


def test_a_trial_that_waited(make_plan: MakePlan) -> None:
    """What it waited for another is no part of how long it took, and is over when it ends."""
    study = open_study(make_plan("a=1,2"))
    waiting, other = study.next(), study.next()
    entry = study.end(waiting.number, Outcome.complete((1.0,)), seconds=2.0, waited=100.0)
    assert entry.waited == 100.0
    assert entry.start is not None
    assert entry.end == pytest.approx(entry.start + 102.0)
    assert study.end(other.number, Outcome.complete((2.0,))).waited == 0.0


class _Jumping(datetime.datetime):
    """A wall clock that goes back by an hour at each reading."""

    _readings = 0

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Self:
        cls._readings += 1
        return cls(2026, 1, 2, tzinfo=tz) - datetime.timedelta(hours=cls._readings)


def test_duration_does_not_follow_the_wall_clock(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial's duration is what the sweep's process measured, here and when read again."""
    monkeypatch.setattr(journal, "datetime", _Jumping)
    plan = make_plan("a=1,2")
    study = open_study(plan)
    entry = study.end(study.next().number, Outcome.complete((1.0,)), seconds=4.5)

    assert entry.seconds == 4.5
    assert open_study(plan).entries[0].seconds == 4.5


def test_duration_of_a_killed_sweeps_trial_is_unknown(make_plan: MakePlan) -> None:
    """The time until the next command is not counted as duration."""
    plan = make_plan("a=1,2")
    open_study(plan).next()
    assert open_study(plan).entries[0].seconds is None


def lose_param(plan: Plan, number: int) -> None:
    """Damage the journal's line that sets a trial's last parameter."""
    path = plan.folder / JOURNAL_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    logs = [json.loads(line) for line in lines]
    places = [
        place
        for place, log in enumerate(logs)
        if log["op_code"] == JournalOperation.SET_TRIAL_PARAM and log["trial_id"] == number
    ]
    lines[places[-1]] = b"garbage\n"
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("name", ["all-combinations", "random"])
@pytest.mark.parametrize("is_first", [True, False])
def test_trial_with_a_damaged_parameter_is_lost(
    make_plan: MakePlan, caplog: pytest.LogCaptureFixture, name: str, is_first: bool
) -> None:
    """A trial that lacks a parameter has no result, and another trial takes its place."""
    plan = make_plan(*_COMMANDS[name])
    before = Worker().finish(plan)
    number = 0 if is_first else len(before.entries) - 1
    lose_param(plan, number)
    worker = Worker()
    study = worker.finish(plan)
    (warning,) = (each for each in caplog.messages if "study.journal" in each)
    assert "no operation of Optuna's" in warning
    lost = study.entries[number]
    assert (lost.state, lost.outcome, lost.values) == (FAIL, DROPPED, None)
    assert (
        lost.error == f"the study has lost the trial's value of {list(plan.space.dimensions)[-1]}"
    )
    assert len(worker.evaluated) == 1
    assert study.counted == before.counted
    if name == "all-combinations":
        assert worker.evaluated == [before.entries[number].params]
    assert number not in [entry.number for entry in archive.read(plan.folder).entries]


def test_killed_trial_with_a_damaged_parameter_is_not_repeated(make_plan: MakePlan) -> None:
    """A trial whose point is unknown is closed, with its folder, and is not run again."""
    plan = make_plan(*_FINITE)
    begun = open_study(plan).next()
    lose_param(plan, begun.number)
    study = open_study(plan)
    (closed,) = study.closed
    assert (closed.outcome, closed.directory) == (DROPPED, begun.directory)
    assert study.next().origin is None
