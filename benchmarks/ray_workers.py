"""What Ray costs per trial: python benchmarks/ray_workers.py [repeats].

A fixed list of trials that report 20 values and ask after each whether they are pruned, on two
local worker processes and on two actors of a Ray cluster on this machine, in turn. Counted is the
time from the end of the list's first trials to the end of its last, so starting the workers is not
in it. Trials take 0.2 s, as the shortest trainings do; the last line has trials that take none.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from measuring import print_header, print_ratio

NOOP = Path(__file__).parent / "noop.py"
WORKERS = 2
REPORTS = 20
WARM_UP = 8  # trials
GOAL = 1.10
# Seconds that a trial takes, and how many there are.
LISTS = ((0.2, 108), (0.0, 308))


def per_trial(folder: Path, seconds: float, trials: int, *overrides: str) -> float:
    """Sweep; return the mean milliseconds from a trial's end to the next one's."""
    command = [
        sys.executable, str(NOOP), "-m", "hydra/sweeper/sampler=random",
        "hydra.sweeper.sampler.seed=0", f"hydra.sweeper.workers={WORKERS}",
        f"hydra.sweeper.n_trials={trials}", f"hydra.sweep.dir={folder}", f"reports={REPORTS}",
        f"pause={seconds / REPORTS}", *overrides,
    ]  # fmt: skip
    subprocess.run(command, cwd=folder.parent, check=True, stdout=subprocess.DEVNULL)
    ends = sorted(path.stat().st_mtime for path in folder.glob("trials/*/outcome.json"))[WARM_UP:]
    return (ends[-1] - ends[0]) / (len(ends) - 1) * 1e3


def main() -> None:
    """Print a line for each list."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    title = f"{WORKERS} workers on Ray {metadata.version('ray')} against {WORKERS} local processes"
    print_header(f"{title}: ms per trial", repeats, seed=0)
    for seconds, trials in LISTS:
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as temporary:
            for index in range(repeats):
                folder = Path(temporary, str(index))
                folder.mkdir()
                ray = per_trial(folder / "ray", seconds, trials, "hydra.sweeper.backend=ray")
                ours.append(ray)
                theirs.append(per_trial(folder / "local", seconds, trials))
        print_ratio(f"trials of {seconds:g} s, Ray / local", ours, theirs, "ms")
        if seconds:
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            print(f"  goal of at most {GOAL:.2f} {'met' if ratio <= GOAL else 'MISSED'}")


if __name__ == "__main__":
    main()
