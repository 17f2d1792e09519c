"""An epoch of 16 networks in one batched computation against PyTorch's own LSTM, one by one.

python benchmarks/kernel.py [repeats]

The same 16 networks, data and optimizer, on one thread, training and evaluation, in turn. What a
Trainer costs besides is in neither.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import torch
from measuring import print_header, print_ratio

from sinesweep.fused.engines import Batched, Engine, OneByOne
from sinesweep.fused.member import Member
from sinesweep.task.datamodule import DampedSinesDataModule
from sinesweep.task.module import Forecaster

NETWORKS = 16
SHAPES = [(layers, width) for layers in (1, 2, 3) for width in (8, 16, 24, 32, 48)]
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


def main() -> None:
    """Print a ratio for each shape."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    print_header(f"{NETWORKS} networks, an epoch each, one thread", repeats, SEED)
    for layers, width in SHAPES:
        together = Batched([make_member(layers, width, seed) for seed in range(NETWORKS)])
        alone = [OneByOne(make_member(layers, width, seed)) for seed in range(NETWORKS)]
        epoch(together)  # its buffers are made
        pairs = [(sum(map(epoch, alone)), epoch(together)) for _ in range(repeats)]
        ours, theirs = ([pair[index] for pair in pairs] for index in (1, 0))
        name = f"{layers} layers, {width} wide: one by one / batched"
        print_ratio(name, theirs, ours, "s")


if __name__ == "__main__":
    main()
