"""An epoch of 8 networks, compiled or in one batched computation, against PyTorch's own LSTM.

python benchmarks/kernel.py [repeats]

The same 8 networks, data and optimizer, on one thread, training and evaluation, in turn. What a
Trainer costs besides is in none.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial

import torch
from measuring import print_header, print_ratio

from sinesweep.fused.batched import Batched
from sinesweep.fused.compiled import GATES
from sinesweep.fused.engines import Engine, OneByOne
from sinesweep.fused.in_turn import InTurn
from sinesweep.fused.member import Member
from sinesweep.task.datamodule import DampedSinesDataModule
from sinesweep.task.module import Forecaster

NETWORKS = 8
WIDTHS = (8, 13, 16, 20, 24, 32, 48, 56, 64, 128)
SHAPES = [(layers, width) for layers in (1, 2, 3) for width in WIDTHS]
SEED = 0


def make_member(layers: int, width: int, seed: int) -> Member:
    """Return a network on the default data."""
    torch.manual_seed(seed)
    data = DampedSinesDataModule(
        num_series=800,
        val_series=200,
        test_series=1,
        period={"low": 10.0, "high": 20.0},
        decay={"low": 0.01, "high": 0.1},
        amplitude={"low": 0.5, "high": 0.5},
        phase={"low": 0.0, "high": 6.28},
        offset={"low": 0.5, "high": 0.5},
        noise=0.0,
        noisy_targets=False,
        length=55,
        input_steps=50,
        output_steps=5,
        batch_size=32,
        seed=SEED,
    )
    module = Forecaster(
        layers=layers,
        width=width,
        dropout=0.0,
        initialization="pytorch",
        output_steps=5,
        optimizer=partial(torch.optim.Adam, lr=1e-3),
        scheduler=partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    )
    optimizer = module.configure_optimizers()["optimizer"]
    return Member(module, optimizer, data.splits.train, data.batch_size, seed, clip=None)


def epoch(engine: Engine) -> float:
    """Return the seconds of an epoch and of an evaluation on the series that were trained on."""
    start = time.perf_counter()
    engine.train_epoch()
    engine.errors([member.train for member in engine.members])
    return time.perf_counter() - start


def rate(layers: int, width: int, seconds: float) -> float:
    """Return the GFLOP/s of the products of all networks' training and evaluation."""
    training, evaluation = 3, 1
    parameters = GATES * width * ((width + 1) + (layers - 1) * 2 * width)
    return 2e-9 * (training + evaluation) * parameters * 50 * 800 * NETWORKS / seconds


def main() -> None:
    """Print ratios for each shape."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    print_header(f"{NETWORKS} networks, an epoch each, one thread", repeats, SEED)
    for layers, width in SHAPES:
        alone = [OneByOne(make_member(layers, width, seed)) for seed in range(NETWORKS)]
        compiled, batched = (
            kind([make_member(layers, width, seed) for seed in range(NETWORKS)])
            for kind in (InTurn, Batched)
        )
        for engine in (compiled, batched):
            epoch(engine)  # its buffers are made
        rounds = [(sum(map(epoch, alone)), epoch(compiled), epoch(batched)) for _ in range(repeats)]
        theirs, ours, torchs = zip(*rounds, strict=True)
        shape = f"{layers} x {width}"
        print_ratio(f"{shape}: one by one / compiled", theirs, ours, "s")
        print(f"    compiled: {rate(layers, width, statistics.median(ours)):.0f} GFLOP/s")
        print_ratio(f"{shape}: one by one / batched", theirs, torchs, "s")


if __name__ == "__main__":
    main()
