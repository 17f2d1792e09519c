"""What it costs to send a trial to MLflow.

python benchmarks/delivery.py [repeats]

The CPU time of the process that sends the records of a sweep's trials, against a script that logs
the same with MLflow's client as things happen: 40 params, 3 metrics in each of 30 epochs, a file.
Both write to a SQLite database of their own. The sender looks at the records from time to time: at
each trial's end, or ten times a trial. The last line is a look at which nothing is new, with one
trial running and all others ended.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import print_header, print_ratio
from mlflow import MlflowClient

from sinesweep.tracking.location import locate
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_delivery import SweepDelivery

TRIALS = 30
EPOCHS = 30
LOOKS = (1, 10)  # a trial
PARAMS = {f"group.key_{index}": 0.1 * index for index in range(40)}
FILE = "config.yaml"


def metrics_of(epoch: int) -> dict[str, float]:
    """Return what a trial logs in an epoch."""
    value = 1 / (1 + epoch)
    return {"train/mae": value, "val/mae": value, "reference/val_mae": value}


def cpu_ms(work: Callable[[], None]) -> float:
    """Return the CPU milliseconds of this process."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1e3


class Sweep:
    """A sweep whose records are sent by this process.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "sweeps" / "benchmark"
        self._folder.mkdir(parents=True)
        self._own = Record(self._folder)
        self._begin(self._own, "benchmark")
        self._delivery = SweepDelivery(self._folder, locate(f"sqlite:///{root}/mlflow.db", root))
        self._delivery.pump()

    def look(self) -> float:
        """Send what is new; return what that cost."""
        return cpu_ms(self._delivery.pump)

    def begin(self, number: int) -> Record:
        """Begin a trial."""
        path = f"trials/{number}"
        (self._folder / path).mkdir(parents=True)
        self._own.append("trial", path=path)
        trial = Record(self._folder / path)
        self._begin(trial, f"trial-{number:05d}")
        (self._folder / path / FILE).write_text("key: value\n")
        trial.append("artifact", path=FILE, folder=None)
        return trial

    def run(self, number: int, looks: int) -> float:
        """Run a trial; return what sending it cost."""
        trial, cost = self.begin(number), 0.0
        for epoch in range(EPOCHS):
            trial.append_metrics(metrics_of(epoch), epoch)
            if (epoch + 1) % (EPOCHS // looks) == 0 and epoch + 1 < EPOCHS:
                cost += self.look()
        trial.append("end", status="FINISHED", tags={"sinesweep.state": "COMPLETE"})
        return cost + self.look()

    def _begin(self, own: Record, name: str) -> None:
        tags = {"sinesweep.run": name}
        own.append("begin", name=name, experiment="e", params=PARAMS, tags=tags, datasets=[])


def log_plainly(client: MlflowClient, experiment: str, file: Path) -> None:
    """Log a trial as a script does."""
    run_id = client.create_run(experiment).info.run_id
    for name, value in PARAMS.items():
        client.log_param(run_id, name, value)
    client.log_artifact(run_id, str(file))
    for epoch in range(EPOCHS):
        for name, value in metrics_of(epoch).items():
            client.log_metric(run_id, name, value, step=epoch)
    client.set_terminated(run_id)


def sent(root: Path, looks: int) -> tuple[float, float]:
    """Return the CPU milliseconds of a trial, and of a look at which nothing is new."""
    sweep = Sweep(root)
    sweep.run(TRIALS, looks)  # the first pays for imports
    cost = sum(sweep.run(number, looks) for number in range(TRIALS)) / TRIALS
    sweep.begin(TRIALS + 1)
    sweep.look()
    return cost, sweep.look()


def logged(root: Path) -> float:
    """Return the CPU milliseconds of a trial that is logged plainly."""
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.create_experiment("e", (root / "artifacts").as_uri())
    file = root / FILE
    file.write_text("key: value\n")
    log_plainly(client, experiment, file)
    costs = [cpu_ms(lambda: log_plainly(client, experiment, file)) for _ in range(TRIALS)]
    return sum(costs) / TRIALS


def main() -> None:
    """Measure in turn."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print_header(f"CPU time of sending a trial, mean of {TRIALS}", repeats)
    ours: dict[int, list[float]] = {looks: [] for looks in LOOKS}
    plain: list[float] = []
    idle: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as root:
            plain.append(logged(Path(root)))
        for looks in LOOKS:
            with tempfile.TemporaryDirectory() as root:
                cost, nothing_new = sent(Path(root), looks)
            ours[looks].append(cost)
            idle.append(nothing_new)
    for looks in LOOKS:
        print_ratio(f"looks a trial {looks:2}", ours[looks], plain, "ms")
    print(f"nothing new: {sorted(idle)[len(idle) // 2]:.3f} ms")


if __name__ == "__main__":
    main()
