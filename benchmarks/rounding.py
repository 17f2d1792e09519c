"""How far training together is from training alone, beside how far that is from itself.

python benchmarks/rounding.py [list] [trials | first-last]

Sums in another order round differently, and a network trained with a high learning rate carries any
difference on. So the reference task is trained by PyTorch's own LSTM twice, the second time with
each initial weight moved by one unit in its last place or not at all, and once as trials together
are: the first 40 trials of a list (wide), or those from one place to another, both included, over
20 epochs at the default data. Printed are, by epoch and learning rate, the rank correlation of the
reference MAE with that of the first, and by how much the medians differ; and then the lowest MAE of
any epoch, which is what a sweep goes by, of the three best trials of each kind.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from listed import WIDTHS, trial
from measuring import print_header
from numpy.typing import NDArray

from sinesweep import config as schema
from sinesweep.fused.engines import Engine, OneByOne, engines_of
from sinesweep.fused.member import Member
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.task.module import Forecaster
from sinesweep.training.building import build_data, build_module

CONF = Path(__file__).parent.parent / "conf"
EPOCHS = 20
SHOWN = (1, 5, 10, 20)
CALM = 5e-3  # learning rates below it
BEST = 3  # trials of each kind, whose errors are printed


def make_member(name: str, index: int) -> tuple[Member, SeriesDataModule]:
    """Return a trial of a list, and its data."""
    own = trial(name, index)
    overrides = [
        f"seed={index}", f"model.layers={own['layers']}", f"model.width={own['width']}",
        f"optimizer.lr={own['lr']}",
    ]  # fmt: skip
    config = schema.parse(compose("train", overrides))
    data, module = build_data(config), build_module(config)
    assert isinstance(data, SeriesDataModule)
    assert isinstance(module, Forecaster)
    optimizer = module.configure_optimizers()["optimizer"]
    made = Member(module, optimizer, data.splits.train, data.batch_size, index, clip=None)
    return made, data


def move(member: Member) -> None:
    """Move each weight by one unit in its last place, up or down, or not at all."""
    drawn = torch.Generator().manual_seed(member.seed)
    with torch.no_grad():
        for weight in member.module.parameters():
            toward = weight + torch.randint(-1, 2, weight.shape, generator=drawn)
            weight.copy_(torch.nextafter(weight, toward))


def histories(engine: Engine, data: SeriesDataModule) -> dict[int, list[float]]:
    """Train; return the reference MAE after each epoch by the member's seed."""
    found: dict[int, list[float]] = {member.seed: [] for member in engine.members}
    for _ in range(EPOCHS):
        engine.train_epoch()
        errors = engine.errors([data.reference.val] * len(engine.members))
        for member, error in zip(engine.members, errors, strict=True):
            found[member.seed].append(float(error))
    return found


def trained(kind: str, name: str, places: range) -> NDArray[np.float64]:
    """Return the reference MAE of a list's trials, (K, epochs)."""
    made = [make_member(name, index) for index in places]
    members, data = [member for member, _ in made], made[0][1]
    if kind == "moved":
        for member in members:
            move(member)
    if kind == "together":
        engines = [make() for _, make in engines_of(members)]
    else:
        engines = [OneByOne(member) for member in members]
    found = {seed: h for engine in engines for seed, h in histories(engine, data).items()}
    return np.array([found[index] for index in places])


def compared(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> str:
    """Return how far two trainings of the same trials, (K,) each, are from each other."""
    ranks = [values.argsort().argsort() for values in (theirs, ours)]
    medians = np.median(ours) / np.median(theirs) - 1
    return f"rank correlation {np.corrcoef(ranks[0], ranks[1])[0, 1]:.4f}, medians {medians:+.2%}"


def read(words: Sequence[str]) -> tuple[str, range]:
    """Return the list and the places in it."""
    name, typed = [*words, *("wide", "40")[len(words) :]]
    first, dash, last = typed.rpartition("-")
    if name not in WIDTHS or not (last.isdecimal() and (first.isdecimal() or not dash)):
        lists = " or ".join(WIDTHS)
        sys.exit(f"type {lists}, and how many trials or FIRST-LAST, not {name} {typed}")
    places = range(int(first), int(last) + 1) if dash else range(int(last))
    if not places:
        sys.exit(f"there must be a trial, but {typed} has none")
    return name, places


def main(arguments: Sequence[str]) -> None:
    """Print a line for each epoch that is shown, and each part of the learning rates."""
    name, places = read(arguments)
    torch.set_num_threads(1)
    print_header(f"rounding: {len(places)} trials of the {name} list, single precision", 1)
    kinds = ("alone", "moved", "together")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = {kind: trained(kind, name, places) for kind in kinds}
    calm = np.array([trial(name, index)["lr"] < CALM for index in places])
    for epoch in SHOWN:
        parts = {"all": calm | True, f"lr < {CALM}": calm}
        for part, chosen in parts.items():
            if chosen.sum() < 2:
                continue  # one trial has no rank
            alone, moved, together = (found[kind][chosen, epoch - 1] for kind in kinds)
            print(f"epoch {epoch}, {part} ({chosen.sum()} trials)")
            print(f"  alone, its weights moved by a last bit: {compared(alone, moved)}")
            print(f"  together: {compared(alone, together)}")
    lowest = {k: np.nan_to_num(e, nan=np.inf).min(axis=1) for k, e in found.items()}
    best = {int(row) for errors in lowest.values() for row in errors.argsort()[:BEST]}
    for row in sorted(best, key=lambda row: min(errors[row] for errors in lowest.values())):
        line = ", ".join(f"{kind} {errors[row]:.4f}" for kind, errors in lowest.items())
        print(f"trial {places[row]}: {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
