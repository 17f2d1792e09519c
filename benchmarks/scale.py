"""How far one sweep's process goes: trials per second, memory, and the cost of a long study.

python benchmarks/scale.py [trials]        trials=0 leaves the workers out

Trials that do nothing but report once, with the random sampler and no tracker. First so many trials
(300) with 1, 4, 16 and 64 workers and a journal, on however few cores there are: the trials per
second that pass through one controller, and the memory of all its processes, shared pages counted
once. Then what a trial costs in a study that has 100, 1,000 and 10,000, which a sweep of two
workers goes on with: in a journal, in SQLite and, where ``POSTGRES`` names an empty database, in
PostgreSQL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from controller import begun_study, journal, past_trials
from measuring import print_header
from optuna.distributions import distribution_to_json
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from processes import family
from sqlalchemy.orm import Session

NOOP = Path(__file__).parent / "noop.py"
SEED = 0
WORKERS = (1, 4, 16, 64)
BEFORE = (100, 1_000, 10_000)  # trials that a study has
MEASURED = 60  # trials run beyond those; the first of them are not counted
WARM_UP = 10
SAMPLED = 0.5  # seconds between looks at the memory


@dataclass(frozen=True)
class Measured:
    """A sweep: when its trials ended, in order, in seconds; the most memory it had, in MB."""

    ends: Sequence[float]
    controller: float
    all_processes: float

    def per_second(self) -> float:
        """Return the trials per second from the first trial's end to the last one's."""
        return (len(self.ends) - 1) / (self.ends[-1] - self.ends[0])


def sweep(folder: Path, name: str, trials: int, workers: int, *overrides: str) -> Measured:
    """Run a sweep to so many trials."""
    command = [
        sys.executable, str(NOOP), "-m", "hydra/sweeper/sampler=random",
        f"hydra.sweeper.sampler.seed={SEED}", f"hydra.sweeper.n_trials={trials}",
        f"hydra.sweeper.workers={workers}", f"hydra.sweep.dir={folder}", "reports=1",
        f"hydra.sweeper.study_name={name}", *overrides,
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=folder.parent, stdout=subprocess.DEVNULL)
    ended, looks = threading.Event(), []
    watcher = threading.Thread(target=_watch, args=(process.pid, ended, looks))
    watcher.start()
    code = process.wait()
    ended.set()
    watcher.join()
    assert code == 0, f"the sweep ended with {code}"
    ends = sorted(path.stat().st_mtime for path in folder.glob("trials/*/outcome.json"))
    return Measured(ends, *(max(column) for column in zip(*looks, strict=True)))


def _watch(pid: int, ended: threading.Event, looks: list[tuple[float, float]]) -> None:
    while not ended.wait(SAMPLED):
        sizes = [_proportional(each) for each in family(pid)]
        looks.append((sizes[0], sum(sizes)))


def _proportional(pid: int) -> float:
    """Return a process's memory in MB, its part of what it shares with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def storages(folder: Path) -> dict[str, str | None]:
    """Return the addresses of the storages, by what they are called; None is the journal."""
    found = {"journal": None, "sqlite": f"sqlite:///{folder}/study.db"}
    return {**found, **({"postgresql": url} if (url := os.environ.get("POSTGRES")) else {})}


def after(folder: Path, kind: str, address: str | None, before: int) -> Measured:
    """Go on with a study that has so many trials; measure what comes after the first few."""
    name = f"scale-{kind}-{before}"
    own = folder / name
    if address is None:
        begun_study(journal(own), RandomSampler(seed=SEED), before, name, reports=1)
    else:
        _fill(RDBStorage(address), [*past_trials(before, reports=1)], name)
    more = [] if address is None else [f"hydra.sweeper.storage='{address}'"]
    found = sweep(own, name, before + MEASURED, 2, *more)
    return Measured(found.ends[WARM_UP:], found.controller, found.all_processes)


def _fill(storage: RDBStorage, trials: Sequence[FrozenTrial], name: str) -> None:
    """Write a study in one transaction: ``add_trial`` takes one for each, hours for 10,000."""
    study = optuna.create_study(study_name=name, storage=storage)
    study_id = storage.get_study_id_from_name(name)
    with Session(storage.engine) as session, session.begin():
        for number, trial in enumerate(trials):
            row = models.TrialModel(study_id=study_id, number=number, state=trial.state)
            row.datetime_start = trial.datetime_start
            row.datetime_complete = trial.datetime_complete
            session.add_all([row, *_parts(row, trial)])
    assert len(study.trials) == len(trials)


def _parts(row: models.TrialModel, trial: FrozenTrial) -> Iterator[object]:
    finite = models.TrialValueModel.TrialValueType.FINITE
    yield models.TrialValueModel(trial=row, objective=0, value=trial.value, value_type=finite)
    for step, value in trial.intermediate_values.items():
        yield models.TrialIntermediateValueModel(
            trial=row,
            step=step,
            intermediate_value=value,
            intermediate_value_type=models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE,
        )
    for key, value in trial.params.items():
        distribution = trial.distributions[key]
        yield models.TrialParamModel(
            trial=row,
            param_name=key,
            param_value=distribution.to_internal_repr(value),
            distribution_json=distribution_to_json(distribution),
        )
    for key, value in trial.user_attrs.items():
        yield models.TrialUserAttributeModel(trial=row, key=key, value_json=json.dumps(value))


def main() -> None:
    """Print a line for each number of workers, and for each storage and length of a study."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print_header("scale: trials that do nothing through one controller", 1, SEED)
    with tempfile.TemporaryDirectory() as temporary:
        first = None
        for workers in WORKERS if trials else ():
            found = sweep(Path(temporary, f"workers-{workers}"), "scale", trials, workers)
            first = first or found.per_second()
            print(
                f"{workers} workers: {found.per_second():.1f} trials/s "
                f"({found.per_second() / first:.2f} times one worker's), controller "
                f"{found.controller:.0f} MB, all processes {found.all_processes:.0f} MB",
                flush=True,
            )
        for kind, address in storages(Path(temporary)).items():
            first = None
            for before in BEFORE:
                found = after(Path(temporary), kind, address, before)
                first = first or found.per_second()
                print(
                    f"{kind}, after {before} trials: {1e3 / found.per_second():.1f} ms a trial "
                    f"({first / found.per_second():.2f} times that after {BEFORE[0]}), controller "
                    f"{found.controller:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
