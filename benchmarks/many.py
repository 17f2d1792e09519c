"""An epoch of K networks in one batched computation, against one after the other, as K grows.

python benchmarks/many.py [cpu|cuda] [layers x width] [K,K,...] [repeats]

By default on a GPU with K from 1 to 1,024, or, where PyTorch sees none, on one thread of a CPU
with 1 and 4; 2x24, 3 repeats. Single precision, the reference task's 800 series in batches of 32,
training and evaluation. One after the other is PyTorch's own LSTM (cuDNN's on a GPU), K times the
time of one. Printed are the ratio, networks a second, and what is held: as computed, and on a GPU
as PyTorch measured it. Lines come as they are measured; the first K without memory is the last.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from kernel import make_member
from measuring import print_header, print_ratio

from sinesweep.fused import memory
from sinesweep.fused.batched import Batched
from sinesweep.fused.engines import Engine, OneByOne
from sinesweep.fused.member import Member

ON_A_GPU = (1, 4, 16, 64, 128, 256, 512, 1024)
ON_A_CPU = (1, 4)
BATCH_SIZE = 32


def make_members(layers: int, width: int, count: int, device: str) -> list[Member]:
    """Return networks on a device, which share their series."""
    members = []
    for seed in range(count):
        member = make_member(layers, width, BATCH_SIZE, seed)
        member.module.to(device)
        member.train = members[0].train if members else member.train
        member.evaluated = (len(member.train),)
        members.append(member)
    return members


def seconds(engine: Engine) -> float:
    """Return how long an epoch and an evaluation take; both return numbers, so they have ended."""
    start = time.perf_counter()
    engine.train_epoch()
    engine.errors([member.train for member in engine.members])
    return time.perf_counter() - start


def measure(layers: int, width: int, count: int, device: str, repeats: int) -> None:
    """Print a line for K networks.

    Raises:
        torch.OutOfMemoryError: the device has too little memory.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    (one,) = make_members(layers, width, 1, device)
    alone, together = OneByOne(one), Batched(make_members(layers, width, count, device))
    for engine in (alone, together):
        seconds(engine)  # its buffers are made
    rounds = [(count * seconds(alone), seconds(together)) for _ in range(repeats)]
    theirs, ours = zip(*rounds, strict=True)
    print_ratio(f"{count} x ({layers} x {width}): one by one / together", theirs, ours, "s")
    held = memory.held(together._shape, together.members) / 2**20
    line = f"    {count / statistics.median(ours):.1f} epochs a second; holds {held:.0f} MB"
    if device == "cuda":
        line += f", measured {torch.cuda.max_memory_allocated() / 2**20:.0f} MB"
    print(line, flush=True)


def main() -> None:
    """Print a line for each K."""
    has_gpu = torch.cuda.is_available()
    given = [*sys.argv[1:], *("cuda" if has_gpu else "cpu", "2x24", "", "3")[len(sys.argv) - 1 :]]
    device, shape, counts, repeats = given
    if device not in ("cpu", "cuda") or (device == "cuda" and not has_gpu):
        sys.exit(f"the device must be cpu, or cuda where PyTorch sees a GPU, but is {device}")
    layers, width = (int(size) for size in shape.split("x"))
    usual = ON_A_GPU if device == "cuda" else ON_A_CPU
    torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if device == "cuda" else "a CPU, one thread"
    print_header(f"K networks, an epoch each, on {name}", int(repeats), 0)
    for count in [int(each) for each in counts.split(",")] if counts else usual:
        try:
            measure(layers, width, count, device, int(repeats))
        except torch.OutOfMemoryError as error:
            sys.exit(f"{count} networks find no memory: {error}")


if __name__ == "__main__":
    main()
