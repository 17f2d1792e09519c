"""Trials that are trained in several processes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from runner import Runner

from sinesweep.sweep import ranks
from sinesweep.sweep.ranks import RankedTrial

TRIAL = RankedTrial(7, ["x=1"], "sweep/trials/7", "sweep", 1)
APPLICATION = """
import hydra
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar
from torch.utils.data import DataLoader

from sinesweep.training.pruning import PruningCallback


class Net(pl.LightningModule):
    def __init__(self, x):
        super().__init__()
        self.x, self.layer = x, torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).mean()

    def validation_step(self, batch, batch_idx):
        self.log("val", float(self.x), sync_dist=True, prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@hydra.main(config_path=None, version_base="1.3")
def main(cfg):
    data = DataLoader(torch.ones(4, 1))
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy=cfg.strategy, max_epochs=3, logger=False,
        enable_checkpointing=False, callbacks=[PruningCallback("val"), RichProgressBar()],
    )
    trainer.fit(Net(cfg.x), data, data)
    print(f"rank {trainer.global_rank} of {trainer.world_size}")
    return cfg.x


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({ranks.VARIABLE: json.dumps(vars(TRIAL)), "LOCAL_RANK": "1"}, TRIAL),
        ({ranks.VARIABLE: json.dumps(vars(TRIAL)), "LOCAL_RANK": "0"}, None),
        ({ranks.VARIABLE: json.dumps(vars(TRIAL)), "SLURM_PROCID": "1"}, None),
        ({"LOCAL_RANK": "1"}, None),
    ],
)
def test_a_further_rank_of_a_trial_is_known(
    environment: dict[str, str], expected: RankedTrial | None
) -> None:
    """Only a process that a launcher starts within a trial is a rank of the trial."""
    assert ranks.trial_of_rank(environment) == expected


def test_the_environment_names_the_trial_while_it_runs() -> None:
    """Afterwards the environment is as it was."""
    with ranks.known_to_further_ranks(TRIAL):
        assert ranks.trial_of_rank({**os.environ, "LOCAL_RANK": "1"}) == TRIAL
    assert ranks.VARIABLE not in os.environ


@pytest.mark.slow
def test_trials_of_two_processes(tmp_path: Path) -> None:
    """With ``ddp`` trials complete and are pruned beside a progress bar."""
    (tmp_path / "app.py").write_text(APPLICATION)
    done = Runner(tmp_path).evaluate(
        "import runpy, sys; sys.argv = ['app.py', '-m', 'hydra/sweeper=sinesweep', '+x=1,2', "
        "'+strategy=ddp', 'hydra.sweeper.workers=1', 'hydra.sweeper.report=false', "
        "'hydra.sweeper.study_name=two', 'hydra/sweeper/pruner=median', "
        "'hydra.sweeper.pruner.n_startup_trials=1', 'hydra.sweeper.trial_timeout=60']; "
        "runpy.run_path('app.py', run_name='__main__')"
    )
    with (tmp_path / "multirun" / "two" / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["COMPLETE", "PRUNED"], done.err
    log = (tmp_path / "multirun" / "two" / "trials" / "0" / "trial.log").read_text()
    assert "rank 0 of 2" in log
    assert "rank 1 of 2" in log
