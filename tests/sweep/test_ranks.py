"""Trials that are trained in several processes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
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
        if self.x == "broken":
            raise ValueError("broken on purpose")
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


class _Observer(_ChildProcessObserver):
    """Lightning's thread, which ends when the test says so and kills nothing."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        super().__init__(os.getpid(), processes)  # pyright: ignore[reportArgumentType] # its own Popen
        self.is_over = threading.Event()

    def run(self) -> None:
        self.is_over.wait()


@pytest.mark.parametrize(
    ("code", "expected"), [("import sys; sys.exit(2)", 2), ("import time; time.sleep(600)", -9)]
)
def test_ranks_end_with_their_trial(
    monkeypatch: pytest.MonkeyPatch, code: str, expected: int
) -> None:
    """Lightning does not find a failed rank of an ended trial, for which it kills the worker."""
    monkeypatch.setattr(ranks, "_GRACE", 10.0 if expected == 2 else 0.0)
    with subprocess.Popen([sys.executable, "-c", code]) as rank:
        observer = _Observer([rank])
        with ranks.known_to_further_ranks(TRIAL):
            observer.start()
        returncode = rank.returncode
        rank.kill()
    is_done = observer._run()
    observer.is_over.set()
    observer.join()
    assert returncode == expected
    assert is_done


def _sweep(folder: Path, *overrides: str) -> tuple[list[dict[str, str]], str]:
    (folder / "app.py").write_text(APPLICATION)
    arguments = (
        "app.py", "-m", "hydra/sweeper=sinesweep", "+strategy=ddp", "hydra.sweeper.workers=1",
        "hydra.sweeper.report=false", "hydra.sweeper.study_name=two",
        "hydra.sweeper.trial_timeout=150", *overrides,
    )  # fmt: skip
    done = Runner(folder).evaluate(
        f"import runpy, sys; sys.argv = {list(arguments)!r}; "
        "runpy.run_path('app.py', run_name='__main__')"
    )
    with (folder / "multirun" / "two" / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file)), done.err


@pytest.mark.slow
def test_trials_of_two_processes(tmp_path: Path) -> None:
    """With ``ddp`` trials complete and are pruned beside a progress bar."""
    rows, errors = _sweep(
        tmp_path,
        "+x=1,2",
        "hydra/sweeper/pruner=median",
        "hydra.sweeper.pruner.n_startup_trials=1",
    )
    assert [row["state"] for row in rows] == ["COMPLETE", "PRUNED"], errors
    log = (tmp_path / "multirun" / "two" / "trials" / "0" / "trial.log").read_text()
    assert "rank 0 of 2" in log
    assert "rank 1 of 2" in log


@pytest.mark.slow
def test_failed_trial_of_two_processes_costs_no_other_trial(tmp_path: Path) -> None:
    """The worker of a trial whose ranks failed runs the next one to its end."""
    rows, errors = _sweep(tmp_path, "+x=broken,2")
    assert [row["state"] for row in rows] == ["FAIL", "COMPLETE"], errors
    assert "broken on purpose" in rows[0]["error"]
