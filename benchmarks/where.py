"""Which of a sweep's processes the processors' time goes to.

python benchmarks/where.py [trials] [overrides...]

The first so many trials (64) of the narrow list, tracked, by two workers: the seconds that all
processors together spent in each of the sweep's processes. What a process has spent is looked at
while it lives, so that its last tenth of a second may be missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import listed
from fused import CORES, EPOCHS, METRIC, TOGETHER
from measuring import print_header
from processes import family

MODULES = {"sinesweep.tracking.writer": "MLflow's writer", "sinesweep.report": "report"}
LOOK = 0.1  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


def look(command: int, roles: dict[int, str], spent: dict[int, float]) -> None:
    """Note what each process of a sweep is there for, and the seconds that it has spent."""
    for pid in family(command):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended in the meantime
        if any(words):  # not while it is made, or ends
            roles[pid] = _role(words, roles.get(int(fields[1])))
            spent[pid] = (int(fields[11]) + int(fields[12])) / TICKS


def _role(words: list[str], parent: str | None) -> str:
    for module, name in MODULES.items():
        if module in words:
            return name
    if not any(word.endswith("listed.py") for word in words):
        return "others"
    return {None: "command", "command": "nursery, which imports for all workers"}.get(
        parent, "workers"
    )


def main() -> None:
    """Print a line for each kind of process."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    print_header(f"where the time of a sweep goes: {count} narrow trials", 1, listed.SEED)
    roles: dict[int, str] = {}
    spent: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(Path(__file__).with_name("listed.py")), "-m",
            *listed.overrides("narrow"), f"seed=range(0,{count})", f"trainer.max_epochs={EPOCHS}",
            f"objective={METRIC}", "artifacts.figures=false", "artifacts.model=false",
            f"hydra.sweeper.workers={CORES}", f"hydra.sweep.dir={folder}/sweep", *TOGETHER,
            *sys.argv[2:],
        ]  # fmt: skip
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            look(process.pid, roles, spent)
            time.sleep(LOOK)
        seconds = time.perf_counter() - start
        assert process.returncode == 0, f"the sweep ended with {process.returncode}"
    found: defaultdict[str, float] = defaultdict(float)
    for pid, role in roles.items():
        found[role] += spent[pid]
    whole = sum(found.values())
    print(f"{seconds:.1f} s, in which {CORES} cores spent {whole:.1f} s:")
    for role, part in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"  {role}: {part:.1f} s, {part / whole:.3f}")


if __name__ == "__main__":
    main()
