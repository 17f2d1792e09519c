"""The best trial of a constrained sweep is the one that Optuna names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import pytest
import yaml
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial
from process import Params, Worker, open_study
from rich.console import Console

from sinesweep.sweep import archive as archives
from sinesweep.sweep.entry import FAIL, REUSED, Entry
from sinesweep.sweep.leaderboard import show_leaderboard
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.ranking import best_values, chosen, ranked
from sinesweep.sweep.results import Results
from sinesweep.sweep.study import SweepStudy
from sinesweep.sweep.summary import show_summary
from sinesweep.winner.finding import winner

MakePlan = Callable[..., Plan]

# a=0 has the best value and violates the constraint; a=1 is the best of the others.
COMMAND = ("a=0,1,2,3",)
TWO = ("hydra.sweeper.directions=[minimize,minimize]",)


def by_function(trial: FrozenTrial) -> Sequence[float]:
    """Return the constraint of a trial, as a sampler asks for it."""
    return (0.5 - trial.params["a"],)


def violated(params: Params) -> Outcome:
    """Come to a value that only trials with a > 0 may come to."""
    value = float(params["a"])
    return Outcome.complete((value,), constraints={"a": 0.5 - value, "always": -1.0})


def violated_of_two(params: Params) -> Outcome:
    value = float(params["a"])
    return Outcome.complete((value, (value - 2) ** 2), constraints={"a": 0.5 - value})


def swept(plan: Plan, evaluate: Callable[[Params], Outcome] = violated) -> SweepStudy:
    plan.folder.mkdir(parents=True, exist_ok=True)
    plan.save_definition()
    return Worker(evaluate=evaluate).finish(plan)


def numbers(entries: Sequence[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def entries_of(study: SweepStudy) -> list[Entry]:
    return list(study.entries.values())


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_best_trial_is_optunas(make_plan: MakePlan, direction: str) -> None:
    """A trial that violates a constraint is not the best, however good its value is."""
    plan = make_plan(*COMMAND, f"hydra.sweeper.direction={direction}")
    sign = 1 if direction == "minimize" else -1

    def evaluate(params: Params) -> Outcome:
        found = violated(params)
        assert found.values is not None
        return Outcome.complete((sign * found.values[0],), constraints=found.constraints)

    study = swept(plan, evaluate)

    assert study.optuna.best_trial.number == 1
    assert numbers(chosen(entries_of(study), [direction])) == [1]
    assert numbers(ranked(entries_of(study), [direction])) == [1, 2, 3]
    assert best_values(entries_of(study), [direction]) == [sign * 1.0]


def test_pareto_set_is_optunas(make_plan: MakePlan) -> None:
    """Of several objectives only feasible trials are in the Pareto set."""
    study = swept(make_plan(*COMMAND, *TWO), violated_of_two)

    expected = [trial.number for trial in study.optuna.best_trials]
    assert expected == [1, 2]
    assert numbers(chosen(entries_of(study), ["minimize"] * 2)) == expected


@pytest.mark.filterwarnings("ignore:.*constraints_func.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_constraints_of_the_sampler_count(make_plan: MakePlan) -> None:
    """A constraints_func decides as constraints that the function sets do."""
    function = f"{{_target_:hydra.utils.get_method,path:{__name__}.by_function}}"
    plan = make_plan(
        *COMMAND,
        "hydra.sweeper.n_trials=8",
        "hydra.sweeper.deduplicate=true",
        f"+hydra.sweeper.sampler.constraints_func={function}",
    )
    study = swept(plan, lambda params: Outcome.complete((float(params["a"]),)))

    best = study.optuna.best_trial
    assert best.params["a"] == 1
    assert numbers(chosen(entries_of(study), ["minimize"])) == [best.number]


def test_files_name_the_best_feasible_trial(make_plan: MakePlan) -> None:
    """best.yaml and optimization_results.yaml hold it; trials.csv holds the constraints."""
    plan = make_plan(*COMMAND)
    entries = entries_of(swept(plan))
    results = Results(plan.folder, ["minimize"])
    results.write_best(entries, lambda entry: f"run {entry.number}")
    results.write_optimization_results(entries)
    results.write_trials(entries)

    best = yaml.safe_load((plan.folder / "best.yaml").read_text())
    assert (best["trial"], best["constraints"]) == (1, {"a": -0.5, "always": -1.0})
    assert yaml.safe_load((plan.folder / "optimization_results.yaml").read_text()) == {
        "name": "optuna",
        "best_params": {"a": 1},
        "best_value": 1.0,
    }
    header, first, *_ = (plan.folder / "trials.csv").read_text().splitlines()
    assert "params.a,constraints.a,constraints.always," in header
    assert first.startswith("0,COMPLETE,0.0,0,0.5,-1.0,")


def test_commands_name_the_best_feasible_trial(make_plan: MakePlan) -> None:
    """A sweep that is read again from its folder has the constraints, and so the same best."""
    plan = make_plan(*COMMAND)
    swept(plan)
    archive = archives.read(plan.folder)

    assert archive.entries[0].constraints == {"a": 0.5, "always": -1.0}
    assert winner(archive, None).trial == 1


def test_summary_counts_infeasible_trials(make_plan: MakePlan) -> None:
    """The summary says how many are left out, and names the best of the others."""
    plan = make_plan(*COMMAND)
    entries = entries_of(swept(plan))
    shown = StringIO()
    show_summary(
        entries,
        ["minimize"],
        seconds=1.0,
        folder=plan.folder,
        ui=None,
        command=lambda entry: f"run {entry.number}",
        console=Console(file=shown, width=100),
    )

    assert "infeasible    1 of the complete ones violates a constraint" in shown.getvalue()
    assert "run the best  run 1" in shown.getvalue()


def test_sweep_without_a_feasible_trial_says_so(make_plan: MakePlan) -> None:
    """No trial is called the best, as Optuna's best_trial names none."""
    study = swept(
        make_plan(*COMMAND), lambda _: Outcome.complete((1.0,), constraints={"size": 1e-9})
    )
    with pytest.raises(ValueError, match="No feasible trials"):
        _ = study.optuna.best_trial

    shown = StringIO()
    show_leaderboard(entries_of(study), ["value"], ["minimize"], Console(file=shown, width=100))
    assert shown.getvalue() == "no completed trial satisfies its constraints\n"
    assert chosen(entries_of(study), ["minimize"]) == []


def test_constraints_of_a_failed_trial_are_not_inherited(make_plan: MakePlan) -> None:
    """A trial that is run again finds its constraints anew."""
    plan = make_plan("a=1", "hydra.sweeper.retries=1")
    outcomes = iter([Outcome(FAIL, error="x", constraints={"old": 1.0}), violated({"a": 1})])
    study = swept(plan, lambda _: next(outcomes))

    assert study.entries[1].constraints == {"a": -0.5, "always": -1.0}
    assert study.optuna.best_trial.number == 1


class Stubborn(RandomSampler):
    """A sampler that proposes one point, again and again."""

    def sample_independent(self, *arguments: Any, **more: Any) -> Any:
        return 2.0


def test_reused_trial_has_the_constraints_of_its_origin(make_plan: MakePlan) -> None:
    """To the sampler a known point that is told again is as infeasible as before."""
    plan = make_plan(
        "a=interval(0,3)",
        f"hydra.sweeper.sampler={{_target_:{__name__}.Stubborn}}",
        "hydra.sweeper.n_trials=2",
    )
    study = swept(plan)

    reused = [entry for entry in entries_of(study) if entry.outcome == REUSED]
    assert reused
    assert all(entry.constraints["a"] == 0.5 - entry.params["a"] for entry in reused)


def test_constraints_survive_a_kill_before_the_study_knows(make_plan: MakePlan) -> None:
    """A trial whose worker had left its outcome is closed with its constraints."""
    plan = make_plan("a=0,1")
    plan.folder.mkdir(parents=True)
    entry = open_study(plan).next()
    assert entry is not None
    assert entry.directory is not None
    entry.directory.mkdir(parents=True)
    violated(entry.params).write(entry.directory)

    continued = open_study(plan)

    assert continued.entries[0].constraints == {"a": 0.5, "always": -1.0}
    assert chosen(entries_of(continued), ["minimize"]) == []


def test_artifacts_are_for_the_best_feasible_trials(make_plan: MakePlan) -> None:
    """Infeasible trials with better values do not keep a feasible one from its artifacts."""
    plan = make_plan("a=0,1,2")
    plan.folder.mkdir(parents=True)
    study = open_study(plan)

    def infeasible(params: Params) -> Outcome:
        return Outcome.complete((float(params["a"]),), constraints={"c": 1.0})

    for _ in range(2):
        Worker(evaluate=infeasible).run(study)
    entry = study.next()

    assert entry is not None
    assert study.is_among_best(entry.number, 2.0, count=1)
