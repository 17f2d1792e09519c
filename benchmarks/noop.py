"""An application whose trials cost nothing, or only time, for controller.py and ray_workers.py."""

from __future__ import annotations

import time

import hydra
from omegaconf import DictConfig

from sinesweep import TrialPruned, current_trial


@hydra.main(config_path="conf", config_name="noop", version_base="1.3")
def main(cfg: DictConfig) -> float:
    """Report as a training would."""
    trial = current_trial()
    value = cfg.x + cfg.y + cfg.z
    for step in range(cfg.reports):
        time.sleep(cfg.pause)
        trial.report(value, step)
        if trial.should_prune():
            raise TrialPruned
    return value


if __name__ == "__main__":
    main()
