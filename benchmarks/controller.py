"""What a trial costs besides its function, and how that grows with the number of trials.

python benchmarks/controller.py [repeats]

Trials that do nothing but report 20 values and ask after each whether they are pruned: one worker
of a sweep against Optuna's own ``study.optimize`` in one process. Both go on with a study of N
trials in a journal on the same disk, and the time from one trial's end to the next is taken; a
trial of a sweep has a composed configuration, a folder, a log and another process, and is safe
against being killed, none of which the plain loop has. The last lines keep the study in memory.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from measuring import print_header, print_ratio
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

NOOP = Path(__file__).parent / "noop.py"
SEED = 0
REPORTS = 20
BEFORE = (100, 1_000, 5_000)  # trials that the study has
MEASURED = 40  # trials run beyond those; the first of them are not counted
WARM_UP = 10
SAMPLERS: dict[str, type[RandomSampler] | type[TPESampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
}
SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(1e-4, 1.0, log=True),
    "z": IntDistribution(0, 7),
}
IN_MEMORY = "hydra.sweeper.storage={_target_:optuna.storages.InMemoryStorage}"


def objective(trial: optuna.Trial) -> float:
    """Do what noop.py does."""
    x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 1e-4, 1.0, log=True)
    value = x + y + trial.suggest_int("z", 0, 7)
    for step in range(REPORTS):
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def per_trial(ends: Sequence[float]) -> float:
    """Return the mean milliseconds from a trial's end to the next one's."""
    counted = sorted(ends)[-MEASURED:][WARM_UP:]
    return (counted[-1] - counted[0]) / (len(counted) - 1) * 1e3


def begun_study(
    storage: BaseStorage,
    sampler: BaseSampler,
    before: int,
    name: str = "noop",
    reports: int = REPORTS,
) -> optuna.Study:
    """Return a study with completed trials that a sweep takes for its own."""
    study = optuna.create_study(study_name=name, storage=storage, sampler=sampler)
    study.add_trials(past_trials(before, reports))
    return study


def past_trials(number: int, reports: int) -> Iterator[FrozenTrial]:
    """Yield completed trials, as a sweep would have left them."""
    drawn = optuna.create_study(sampler=RandomSampler(seed=SEED))
    for index in range(number):
        params = drawn.ask(SPACE).params
        value = sum(params.values())
        yield optuna.create_trial(
            params=params,
            distributions=SPACE,
            value=value,
            intermediate_values=dict.fromkeys(range(reports), value),
            user_attrs={"sinesweep": {"ask": index}},
        )


def journal(folder: Path) -> JournalStorage:
    """Return the storage of a sweep in this folder."""
    folder.mkdir(parents=True)
    return JournalStorage(JournalFileBackend(str(folder / "study.journal")))


def plain(storage: BaseStorage, sampler: str, before: int) -> float:
    """Time Optuna's own loop."""
    study = begun_study(storage, SAMPLERS[sampler](seed=SEED), before)
    study.optimize(objective, n_trials=MEASURED, n_jobs=1)
    return per_trial([t.datetime_complete.timestamp() for t in study.trials if t.datetime_complete])


def sweep(folder: Path, sampler: str, before: int, *overrides: str) -> float:
    """Time a sweep; the folder may hold the study that it goes on with."""
    command = [
        sys.executable, str(NOOP), "-m", f"hydra/sweeper/sampler={sampler}",
        f"hydra.sweeper.sampler.seed={SEED}", "hydra.sweeper.study_name=noop",
        "hydra.sweeper.workers=1", f"hydra.sweeper.n_trials={before + MEASURED}",
        f"hydra.sweep.dir={folder}", f"reports={REPORTS}", *overrides,
    ]  # fmt: skip
    subprocess.run(command, cwd=folder.parent, check=True, stdout=subprocess.DEVNULL)
    return per_trial([path.stat().st_mtime for path in folder.glob("trials/*/outcome.json")])


def ours_and_theirs(folder: Path, sampler: str, before: int) -> tuple[float, float]:
    """Time both in turn, each with a journal of its own."""
    begun_study(journal(folder / "ours"), RandomSampler(seed=SEED), before)
    theirs = plain(journal(folder / "plain"), sampler, before)
    return sweep(folder / "ours", sampler, before), theirs


def in_memory(folder: Path, sampler: str) -> tuple[float, float]:
    """Time both in turn, without a disk."""
    ours = sweep(folder / "memory", sampler, BEFORE[0], IN_MEMORY)
    return ours, plain(InMemoryStorage(), sampler, BEFORE[0])


def main() -> None:
    """Print a line for each sampler and number of trials."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print_header("controller: milliseconds per no-op trial with 20 reports", repeats, SEED)
    with tempfile.TemporaryDirectory() as temporary:
        for sampler in SAMPLERS:
            medians = []
            for before in BEFORE:
                pairs = [
                    ours_and_theirs(Path(temporary, f"{sampler}-{before}-{index}"), sampler, before)
                    for index in range(repeats)
                ]
                ours, theirs = ([pair[i] for pair in pairs] for i in range(2))
                print_ratio(f"{sampler}, trial {before}, sweep / optimize", ours, theirs, "ms")
                medians.append((statistics.median(ours), statistics.median(theirs)))
            grew = [last / first for first, last in zip(medians[0], medians[-1], strict=True)]
            print(
                f"{sampler}, growth from trial {BEFORE[0]} to {BEFORE[-1]}: sweep "
                f"{grew[0]:.2f}, optimize {grew[1]:.2f}"
            )
            pairs = []
            for index in range(repeats):
                folder = Path(temporary, f"{sampler}-memory-{index}")
                folder.mkdir()
                pairs.append(in_memory(folder, sampler))
            ours, theirs = ([pair[i] for pair in pairs] for i in range(2))
            print_ratio(f"{sampler}, trial 100, in memory, sweep / optimize", ours, theirs, "ms")


if __name__ == "__main__":
    main()
