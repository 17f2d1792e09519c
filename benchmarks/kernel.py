"""An epoch of networks, compiled or in one batched computation, against PyTorch's own LSTM.

python benchmarks/kernel.py [repeats] [shapes...]

A shape is layers x width, or layers x width @ batch size: 2x64, 2x256@400. By default all of
:data:`SHAPES`, which takes some 20 minutes; those of more than 64 units, by which the bound in
``engines.py`` was chosen, have batches of 400, too.

The same networks (8, or 1 of more than 64 units), data and optimizer, on one thread, training and
evaluation, in turn; its own time of the processor, not what others take of it. What a Trainer costs
besides is in none. Batches of more than 64 units are left out: they are for a GPU.
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
from sinesweep.fused.member import WIDTHS, Member
from sinesweep.task.datamodule import DampedSinesDataModule
from sinesweep.task.module import Forecaster

NARROW = (8, 13, 16, 20, 24, 32, 48, 56, 64)
WIDE = (96, 128, 160, 192, 256, 512)
SHAPES = (
    *(f"{layers}x{width}" for layers in (1, 2, 3) for width in NARROW),
    *(f"{layers}x{width}@{size}" for layers in (1, 2, 3) for width in WIDE for size in (32, 400)),
)
SERIES = 800
SEED = 0


def make_member(layers: int, width: int, batch_size: int, seed: int) -> Member:
    """Return a network on the default data."""
    torch.manual_seed(seed)
    data = DampedSinesDataModule(
        num_series=SERIES,
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
        batch_size=batch_size,
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
    """Return the processor's seconds for an epoch and an evaluation on the same series."""
    start = time.process_time()
    engine.train_epoch()
    engine.errors([member.train for member in engine.members])
    return time.process_time() - start


def rate(layers: int, width: int, networks: int, seconds: float) -> float:
    """Return the GFLOP/s of the products of all networks' training and evaluation."""
    training, evaluation = 3, 1
    parameters = GATES * width * ((width + 1) + (layers - 1) * 2 * width)
    return 2e-9 * (training + evaluation) * parameters * 50 * SERIES * networks / seconds


def read(shape: str) -> tuple[int, int, int]:
    """Return layers, width and batch size."""
    sizes, _, batch_size = shape.partition("@")
    layers, _, width = sizes.partition("x")
    return int(layers), int(width), int(batch_size or 32)


def measure(shape: str, repeats: int) -> None:
    """Print a shape's ratios."""
    layers, width, batch_size = read(shape)
    is_narrow = width <= WIDTHS[-1]
    networks = 8 if is_narrow else 1

    def members() -> list[Member]:
        return [make_member(layers, width, batch_size, seed) for seed in range(networks)]

    alone = [OneByOne(member) for member in members()]
    together: dict[str, Engine] = {"compiled": InTurn(members())}
    if is_narrow:
        together["batched"] = Batched(members())
    for engine in (*together.values(), alone[0]):
        epoch(engine)  # its buffers are made
    rounds = [
        (sum(map(epoch, alone)), *map(epoch, together.values())) for _ in range(repeats)
    ]  # fmt: skip
    theirs, *found = zip(*rounds, strict=True)
    for name, ours in zip(together, found, strict=True):
        print_ratio(f"{shape}: one by one / {name}", theirs, ours, "s")
        if name == "compiled":
            reached = rate(layers, width, networks, statistics.median(ours))
            print(f"    compiled: {reached:.0f} GFLOP/s")
    sys.stdout.flush()


def main() -> None:
    """Print ratios for each shape."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    print_header("networks, an epoch each, one thread", repeats, SEED)
    for shape in sys.argv[2:] or SHAPES:
        measure(shape, repeats)


if __name__ == "__main__":
    main()
