"""How long a command takes before it does anything: python benchmarks/startup.py [repeats]."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import print_header, print_ratio

ROOT = Path(__file__).parent.parent
TRAIN = str(ROOT / "src" / "train.py")
IMPORT_TORCH = ["-c", "import torch"]
IMPORT_BOTH = ["-c", "import torch, pytorch_lightning"]
FIRST_STEP = [TRAIN, "model._target_=first_step.FirstStep", "artifacts.model=false"]


def seconds(arguments: list[str], folder: str) -> float:
    """Run Python with arguments in a folder; return wall seconds."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def compare(name: str, ours: list[str], theirs: list[str], repeats: int) -> None:
    """Time two commands in turn, after one run of each that does not count."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = [(seconds(ours, folder), seconds(theirs, folder)) for _ in range(repeats + 1)][
            1:
        ]  # the first run also makes MLflow's tables
    print_ratio(name, [a for a, _ in pairs], [b for _, b in pairs], "s")


def main() -> None:
    """Print three ratios."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print_header("start-up, whole processes", repeats)
    compare("--help / import torch", [TRAIN, "--help"], IMPORT_TORCH, repeats)
    compare("--cfg job / import torch", [TRAIN, "--cfg", "job"], IMPORT_TORCH, repeats)
    compare(
        "first step, tracked / import torch, pytorch_lightning", FIRST_STEP, IMPORT_BOTH, repeats
    )


if __name__ == "__main__":
    main()
