"""Whole sweeps of a fixed list of trials: trained together, one by one, and by others.

python benchmarks/fused.py [narrow|wide] [repeats] [trials] [contenders...]

Whole processes on two cores, in turn. The list (``listed.py``) has 256 trials of 20 epochs on the
default data, with 1 to 3 layers, 8 to 24 units (narrow) or 8 to 64 (wide), and a learning rate and
a seed each. A contender is one of :data:`CONTENDERS`, all by default; ``NAME:EVERY`` gives it every
EVERY-th trial only, beginning where these are most like the list, and its seconds are scaled to the
list's length. So it is by default with Keras, which compiles each new model anew (that is part of
what is scaled), and hydra-optuna-sweeper (whose start is scaled, too: some seconds).

The sweeps track to MLflow on SQLite in a new folder; figures and models are off. The others track
nothing. VENV and KERAS_VENV are folders that keep the environments of hydra-optuna-sweeper and of
Keras; EPOCHS replaces the 20, SLOTS the slots of a worker. Results are printed as they come, so
that what an interrupted run has found is there.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import listed
import numpy as np
import torch
from against_optuna_sweeper import make_rival, rival_environment, timed
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measuring import print_header, print_ratio
from processes import ProgramError, make_environment, seconds_of

from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.task.datamodule import DampedSinesDataModule

HERE = Path(__file__).parent
CORES = 2
SLOTS = int(os.environ.get("SLOTS", "32"))
EPOCHS = int(os.environ.get("EPOCHS", "20"))
METRIC = "reference/val_mae"
KERAS = ("keras==3.15.1", "jax==0.10.2", "jaxlib==0.10.2", "tensorflow-cpu==2.21.0")
TOGETHER = (f"hydra.sweeper.slots={SLOTS}",)
# These networks stay at the constant's error for some ten epochs before they learn: a rung before
# the eighth gives the best of them up.
ASHA = (
    "hydra/sweeper/pruner=asha", "hydra.sweeper.pruner.min_resource=8",
    "hydra.sweeper.pruner.reduction_factor=4",
)  # fmt: skip
OURS = {"serial": (), "fused": TOGETHER, "fused-asha": (*TOGETHER, *ASHA)}
LOOPS = {"bare": "bare.py", "keras-jax": "keras_fit.py", "keras-tensorflow": "keras_fit.py"}
CONTENDERS = (*OURS, *LOOPS, "rival")
EVERY = {"keras-jax": 16, "keras-tensorflow": 16, "rival": 4}  # others: 1
# (list, slower, faster): how many times the trials per minute
GOALS = {
    ("narrow", "serial", "fused"): 2.5,
    ("wide", "serial", "fused"): 1.2,
    ("narrow", "rival", "fused"): 3.0,
    ("narrow", "rival", "fused-asha"): 10.0,
}


@dataclass(frozen=True)
class Task:
    """What everybody trains, and with what.

    Attributes:
        name: of the list.
        count: its trials.
        folder: where runs have theirs.
        data: the file of the series, for those who do not make them.
        series: how many are trained on.
    """

    name: str
    count: int
    folder: Path
    data: Path
    series: int


@dataclass(frozen=True)
class Outcome:
    """One run of one contender.

    Attributes:
        measured: seconds of the whole processes.
        trained: trials.
        whole: seconds, scaled to all trials of the list.
        best: reference MAE of the best trial.
        reached: operations a second, as :func:`operations` counts them.
        rate: those of ``torch.mm`` just before.
    """

    measured: float
    trained: int
    whole: float
    best: float
    reached: float
    rate: float


def operations(layers: int, width: int, steps: int = 50, outputs: int = 5) -> int:
    """Return the floating point operations that training on one series takes.

    Only products of matrices count, a multiplication and an addition each as one operation: for a
    layer of H units and I inputs 2 * 4H * (I + H) a step, and 2 * H * O for the head, once. The
    backward pass takes each product twice, for its input and for its weights; what is read needs no
    gradient. Activations, the optimizer and the evaluations after each epoch are left out.
    """
    inputs = [1, *[width] * (layers - 1)]
    forward = steps * sum(8 * width * (i + width) for i in inputs) + 2 * width * outputs
    return 3 * forward - steps * 8 * width


def list_operations(name: str, places: Sequence[int], series: int) -> float:
    """Return the operations of all epochs of trials of a list, by their places."""
    found = [listed.trial(name, place) for place in places]
    one = sum(operations(int(trial["layers"]), int(trial["width"])) for trial in found)
    return float(one) * series * EPOCHS


def part(task: Task, every: int) -> range:
    """Return the places of every n-th trial: of those parts the one that is most like the list.

    Like it in operations for a trial, so that scaling to the list's length is fair.
    """
    mean = list_operations(task.name, range(task.count), task.series) / task.count

    def off(places: range) -> float:
        return abs(list_operations(task.name, places, task.series) / len(places) / mean - 1)

    parts = [range(first, task.count, every) for first in range(every)]
    return min((p for p in parts if len(p) >= CORES), key=off)


def matrix_rate(size: int = 1024, seconds: float = 2.0) -> float:
    """Return the operations a second of ``torch.mm`` in float32 on all cores, at its fastest."""
    torch.set_num_threads(CORES)
    a, b = torch.rand(size, size), torch.rand(size, size)
    taken: list[float] = []
    while sum(taken) < seconds:
        start = time.perf_counter()
        torch.mm(a, b)
        taken.append(time.perf_counter() - start)
    return 2 * size**3 / min(taken)


def run(
    contender: str, python: Path, task: Task, places: range, folder: Path
) -> tuple[float, float]:
    """Run a contender on trials of the list; return seconds and the best reference MAE.

    Raises:
        ProgramError: it failed, or one of its trials did.
    """
    if contender in LOOPS:
        return _looped(contender, python, task, places, folder)
    swept = [
        *listed.overrides(task.name), f"seed=range({places.start},{places.stop},{places.step})",
        f"trainer.max_epochs={EPOCHS}", f"objective={METRIC}", "artifacts.figures=false",
        "artifacts.model=false",
    ]  # fmt: skip
    if contender == "rival":
        program = [python, HERE / "rival.py", task.folder / "conf"]
        apart = {"PYTHONPATH": str(task.folder / "source"), "PYTHONWARNINGS": "ignore"}
        return timed(program, swept, folder, **apart)
    own = [f"hydra.sweeper.workers={CORES}", *OURS[contender]]
    found = timed([python, HERE / "listed.py"], [*swept, *own], folder)
    _refuse_failures(folder / "sweep" / "trials.csv", len(places))
    return found


def _looped(
    contender: str, python: Path, task: Task, places: range, folder: Path
) -> tuple[float, float]:
    shares, commands = [], []
    for index, core in enumerate(sorted(os.sched_getaffinity(0))):
        trials = [{"seed": n, **listed.trial(task.name, n)} for n in places[index::CORES]]
        work = {"data": str(task.data), "epochs": EPOCHS, "core": core, "trials": trials}
        share = task.folder / f"{contender}-{index}.json"
        share.write_text(json.dumps(work))
        shares.append(share.with_suffix(".values"))
        commands.append([python, HERE / LOOPS[contender], share, shares[-1]])
    backend = {"KERAS_BACKEND": contender.partition("-")[2]} if "-" in contender else {}
    seconds = seconds_of(commands, folder, **backend)
    return seconds, min(value for share in shares for value in json.loads(share.read_text()))


def _refuse_failures(table: Path, expected: int) -> None:
    """See that a sweep that has ended well has trained every trial."""
    with table.open() as file:
        states = Counter(row["state"] for row in csv.DictReader(file))
    if states["COMPLETE"] + states["PRUNED"] != expected:
        raise ProgramError(f"{expected} trials should have ended well, but there are {states}")


def measure(contender: str, every: int, task: Task, folder: Path) -> Outcome:
    """Run a contender, print what it came to, and remove its folder.

    Raises:
        ProgramError: it failed.
    """
    places = part(task, every)
    python = interpreter(contender, task.folder)
    rate = matrix_rate()
    try:
        seconds, best = run(contender, python, task, places, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    mine, everything = (
        list_operations(task.name, p, task.series) for p in (places, range(task.count))
    )
    whole = seconds * task.count / len(places)
    line = f"{contender}: {seconds:.1f} s for {len(places)} trials"
    if every > 1:
        cost = mine / len(places) / (everything / task.count)
        line += f", scaled to {whole:.1f} s (their operations are {cost:.2f} of the list's mean)"
    line += f"; {60 * task.count / whole:.1f} trials/min; best {METRIC} {best:.6f}"
    print(line, flush=True)
    return Outcome(seconds, len(places), whole, best, mine / seconds, rate)


def summarize(task: Task, found: Mapping[str, Sequence[Outcome]]) -> None:
    """Print ratios over the repeats that a pair has both been through."""
    print(f"\n{task.name}, {task.count} trials: seconds for the list, medians")
    for fast in OURS:
        for slow, theirs in found.items():
            ours = found.get(fast, ())
            count = min(len(ours), len(theirs))
            if slow == fast or not count or (slow in OURS and slow != "serial"):
                continue
            pair = [[o.whole for o in outcomes[:count]] for outcomes in (theirs, ours)]
            print_ratio(f"{slow} / {fast}", pair[0], pair[1], "s")
            goal = GOALS.get((task.name, slow, fast))
            if goal is not None:
                reached = statistics.median(a / b for a, b in zip(*pair, strict=True))
                print(f"  goal {goal:g} {'met' if reached >= goal else 'MISSED'}")
    rate = max((o.rate for outcomes in found.values() for o in outcomes), default=0.0)
    for name in ("serial", "fused", "bare"):
        if found.get(name):
            reached = statistics.median(o.reached for o in found[name])
            print(
                f"{name} reaches {reached / 1e9:.2f} GFLOP/s, {reached / rate:.3f} of torch.mm's "
                f"{rate / 1e9:.1f} on {CORES} cores"
            )
    _judge_best(task, found)
    sys.stdout.flush()


def _judge_best(task: Task, found: Mapping[str, Sequence[Outcome]]) -> None:
    """Say whether the ratios of a sweep that prunes count: its best trial must be as good."""
    # The other sweeper trains with serial's code: what is best for that is best for it.
    whole = [
        outcome.best
        for name in ("serial", "rival")
        for outcome in found.get(name, ())
        if outcome.trained == task.count
    ]
    for outcome in found.get("fused-asha", ()):
        if not whole:
            print("whether fused-asha counts shows beside the whole list: add serial or rival:1")
            break
        # As printed: training together rounds otherwise than training alone.
        verdict = "counts" if round(outcome.best - min(whole), 6) <= 0 else "does NOT count"
        print(f"fused-asha {verdict}: best {outcome.best:.6f} against {min(whole):.6f}")


def prepare(name: str, count: int, folder: Path) -> Task:
    """Make the series, which is not measured."""
    with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        data: DampedSinesDataModule = instantiate(compose("train").data)
    sets = {"train": data.splits.train, "val": data.splits.val, "reference": data.reference.val}
    arrays = {f"{key}_inputs": windows.inputs for key, windows in sets.items()}
    arrays |= {f"{key}_targets": windows.targets for key, windows in sets.items()}
    np.savez(folder / "data.npz", allow_pickle=False, **arrays)
    return Task(name, count, folder, folder / "data.npz", len(data.splits.train.inputs))


def interpreter(contender: str, folder: Path) -> Path:
    """Return a contender's interpreter; its environment is made the first time, unmeasured.

    Raises:
        ProgramError: it could not be made.
    """
    if contender.startswith("keras"):
        return make_environment(Path(os.environ.get("KERAS_VENV", folder / "keras_venv")), KERAS)
    if contender == "rival":
        if not (folder / "conf").exists():
            make_rival(folder)
        return rival_environment(Path(os.environ.get("VENV", folder / "venv")))
    return Path(sys.executable)


def read(words: Sequence[str]) -> tuple[str, int, int, dict[str, int]]:
    """Return list, repeats, trials, and how many trials of the list are for one of a contender."""
    given = [*words, *("narrow", "3", "256")[len(words) :]]
    name = given[0]
    if name not in listed.WIDTHS:
        sys.exit(f"the list must be one of {', '.join(listed.WIDTHS)}, but is {name}")
    if not (given[1].isdecimal() and given[2].isdecimal()):
        sys.exit(f"repeats and trials must be whole numbers, but are {given[1]} and {given[2]}")
    repeats, count = int(given[1]), int(given[2])
    chosen: dict[str, int] = {}
    for word in given[3:] or CONTENDERS:
        contender, _, every = word.partition(":")
        if contender not in CONTENDERS:
            sys.exit(f"a contender must be one of {', '.join(CONTENDERS)}, but is {contender}")
        step = every or str(min(EVERY.get(contender, 1), max(1, count // CORES)))
        if not step.isdecimal() or not 0 < int(step) < count:
            sys.exit(
                f"{contender} must have every n-th trial, with n from 1 to {count - 1} so that it "
                f"has {CORES} at least, but n is {step}: type {contender}:1"
            )
        chosen[contender] = int(step)
    return name, repeats, count, chosen


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Print a line for each run, and ratios."""
    name, repeats, count, chosen = read(sys.argv[1:])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # for all that is started
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # programs end with this one
    print_header(f"{name} list, {count} trials of {EPOCHS} epochs, {CORES} cores", repeats)
    if any(contender.startswith("keras") for contender in chosen):
        print(f"in an environment of their own: {' '.join(KERAS)}")
    found: dict[str, list[Outcome]] = {contender: [] for contender in chosen}
    failed: set[str] = set()
    interrupted = False
    with tempfile.TemporaryDirectory() as temporary:
        task = prepare(name, count, Path(temporary))
        try:
            for repeat in range(1, repeats + 1):
                for contender in [c for c in chosen if c not in failed]:
                    _say(f"{name} list, repeat {repeat}/{repeats}: {contender}")
                    folder = task.folder / f"{contender}-{repeat}"
                    try:
                        found[contender].append(measure(contender, chosen[contender], task, folder))
                    except ProgramError as error:
                        _say(f"{contender} is left out from here on: {error}")
                        failed.add(contender)
        except KeyboardInterrupt:
            interrupted = True
        summarize(task, found)
    if interrupted:
        _say("interrupted")
        sys.exit(130)
    if failed:
        sys.exit(f"failed: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
