"""A bare PyTorch loop over a list of trials, for fused.py: no Trainer, no tracking, no files.

python benchmarks/bare.py WORK OUTPUT

WORK is a JSON file that fused.py writes; the best reference MAE of any epoch goes to OUTPUT.

Shapes: B batch, I input steps, O output steps.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

Arrays = Mapping[str, torch.Tensor]
BATCH = 32


class Network(nn.Module):
    """The usual stacked LSTM: (B, I) to (B, O)."""

    def __init__(self, layers: int, width: int, output_steps: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, width, num_layers=layers, batch_first=True)
        self.head = nn.Linear(width, output_steps)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Forecast."""
        return self.head(self.lstm(series.unsqueeze(-1))[0][:, -1])


def train(trial: Mapping[str, float], data: Arrays, epochs: int) -> float:
    """Train one trial; return the best reference MAE of its epochs."""
    torch.manual_seed(int(trial["seed"]))
    inputs, targets = data["train_inputs"], data["train_targets"]
    network = Network(int(trial["layers"]), int(trial["width"]), targets.shape[1])
    optimizer = torch.optim.Adam(network.parameters(), lr=trial["lr"])
    loss_of = nn.L1Loss()
    best = float("inf")
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss_of(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            _, reference = (
                loss_of(network(data[f"{name}_inputs"]), data[f"{name}_targets"]).item()
                for name in ("val", "reference")
            )
        best = min(best, reference)
    return best


def main() -> None:
    """Train what WORK lists."""
    work = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    with np.load(work["data"]) as arrays:
        data = {name: torch.from_numpy(arrays[name]) for name in arrays}
    values = [train(trial, data, work["epochs"]) for trial in work["trials"]]
    Path(sys.argv[2]).write_text(json.dumps(values))


if __name__ == "__main__":
    main()
