"""An application whose trials cost nothing, for controller.py."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from sinesweep import TrialPruned, current_trial


@hydra.main(config_path="conf", config_name="noop", version_base="1.3")
def main(cfg: DictConfig) -> float:
    """Report as a training would, and return at once."""
    trial = current_trial()
    value = cfg.x + cfg.y + cfg.z
    for step in range(cfg.reports):
        trial.report(value, step)
        if trial.should_prune():
            raise TrialPruned
    return value


if __name__ == "__main__":
    main()
