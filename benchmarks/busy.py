"""How busy workers are when trials differ in length: python benchmarks/busy.py [repeats].

One trial in four sleeps ten times as long as the others. Counted is the time inside of the
function, from the first trial's start until the queue is drained, when the last trial begins.
Beside it is what waiting for a whole batch would reach, as sweepers with a launcher do: computed
from the same lengths.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measuring import print_header, print_ratio

NAPS = Path(__file__).parent / "naps.py"
TRIALS = 32
GOAL = 0.95
Nap = tuple[float, float]


def naps(workers: int, folder: Path) -> list[Nap]:
    """Sweep; return start and end of each trial in seconds, by number."""
    command = [
        sys.executable, str(NAPS), "-m", f"index=range(0,{TRIALS})", f"hydra.sweep.dir={folder}",
        f"hydra.sweeper.workers={workers}",
    ]  # fmt: skip
    subprocess.run(command, cwd=folder.parent, check=True, stdout=subprocess.DEVNULL)
    texts = [(folder / "trials" / str(n) / "nap").read_text().split() for n in range(TRIALS)]
    return [(float(begun), float(ended)) for begun, ended in texts]


def busy(found: Sequence[Nap], workers: int) -> float:
    """Return the share of the workers' time inside of the function until the queue is drained."""
    first, drained = min(begun for begun, _ in found), max(begun for begun, _ in found)
    inside = sum(max(0.0, min(ended, drained) - begun) for begun, ended in found)
    return inside / (workers * (drained - first))


def batched(found: Sequence[Nap], workers: int) -> float:
    """Return the share where each batch of trials waits for its longest."""
    lengths = [ended - begun for begun, ended in found]
    batches = [lengths[start : start + workers] for start in range(0, len(lengths), workers)]
    whole = sum(max(batch) for batch in batches)
    return sum(lengths) / (workers * whole)


def main() -> None:
    """Print a line for two workers and one for four."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print_header(f"busy workers, {TRIALS} trials, goal {GOAL:.0%} until the queue drains", repeats)
    for workers in (2, 4):
        with tempfile.TemporaryDirectory() as folder:
            runs = [naps(workers, Path(folder, str(index))) for index in range(repeats)]
        ours = [busy(run, workers) for run in runs]
        theirs = [batched(run, workers) for run in runs]
        print_ratio(f"{workers} workers, busy / busy in batches", ours, theirs, "of the time")
        print(f"  goal {'met' if statistics.median(ours) >= GOAL else 'MISSED'}")


if __name__ == "__main__":
    main()
