"""What Lightning, checkpoints and tracking add to the post's recipe.

python benchmarks/overhead.py [repeats]

In one process, in turn: the training part of ``experiment=post`` as `python src/train.py` does it
(Trainer.fit with every callback, checkpoints, the writer process sending to MLflow), and
a bare PyTorch loop with the same network, optimizer, batches and validation set. Start-up, figures
and what follows the training are in neither. Both evaluate the validation and the reference set
each epoch; a second line has a bare loop that leaves the reference set out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measuring import print_header, print_ratio
from omegaconf import DictConfig, OmegaConf
from torch import nn

from sinesweep import config as schema
from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.task.datamodule import Batches, PostDataModule, WindowTensors
from sinesweep.task.network import StackedLSTM
from sinesweep.training import callbacks, serial


class Stopwatch(pl.Callback):
    """Measures from the start of the first epoch to the last checkpoint."""

    def __init__(self) -> None:
        self.start = self.seconds = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start."""
        self.start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.start


def tracked(cfg: DictConfig, folder: Path, watch: Stopwatch) -> float:
    """Train one tracked run; return the seconds of its training."""
    folder.mkdir(parents=True)
    serial.train(schema.parse(cfg), folder, name="benchmark")
    return watch.seconds


def bare(cfg: DictConfig, with_reference: bool) -> float:
    """Train the same steps without anything around them; return seconds."""
    data: PostDataModule = instantiate(cfg.data)
    train, val = WindowTensors(data.splits.train), WindowTensors(data.splits.val)
    reference = WindowTensors(data.reference.val)
    torch.manual_seed(0)
    network = StackedLSTM(layers=2, width=20, output_steps=5, initialization="keras")
    optimizer = instantiate(cfg.optimizer)(p for p in network.parameters() if p.requires_grad)
    batches = Batches(train, batch_size=cfg.data.batch_size, shuffle_seed=0)
    sets = [val, reference] if with_reference else [val]
    loss_of = nn.L1Loss()
    start = time.perf_counter()
    for epoch in range(cfg.trainer.max_epochs):
        batches.set_epoch(epoch)
        network.train()
        for rows in batches:
            inputs, targets = train[rows]
            optimizer.zero_grad()
            loss = loss_of(network(inputs), targets)
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for windows in sets:
                inputs, targets = windows[torch.arange(len(windows))]
                loss_of(network(inputs), targets).item()
    return time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    OmegaConf.register_new_resolver("sinesweep.run_directory", lambda *_: "", replace=True)
    OmegaConf.register_new_resolver("sinesweep.new_name", lambda: "", replace=True)
    watch = Stopwatch()
    hand_on = callbacks.Together
    callbacks.Together = lambda parts: hand_on([watch, *parts, watch])
    with tempfile.TemporaryDirectory() as root:
        overrides = ["experiment=post", f"tracking.root={root}", "artifacts.figures=false",
                     "artifacts.model=false"]  # fmt: skip
        with initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
            cfg = compose("train", overrides)
        torch.set_num_threads(cfg.threads)
        rows = [
            (tracked(cfg, Path(root, "runs", str(n)), watch), bare(cfg, False), bare(cfg, True))
            for n in range(repeats + 1)
        ][1:]  # the first is warm-up
    ours, plain, same = zip(*rows, strict=True)
    print_header("training time of experiment=post, 500 steps of 32, one thread", repeats)
    print_ratio("tracked / bare loop of the same steps and evaluations", ours, same, "s")
    print_ratio("tracked / bare loop without the reference set", ours, plain, "s")


if __name__ == "__main__":
    main()
