"""A plain Hydra application, which knows nothing of sweeps but for what it may ask of sinesweep."""

import hydra
from omegaconf import DictConfig

# Hydra 1.3 warns where it is missing, 1.4 where it is given.
VERSION = {"version_base": "1.3"} if hydra.__version__.startswith("1.3") else {}


@hydra.main(config_path="conf", config_name="config", **VERSION)
def main(cfg: DictConfig) -> float | tuple[float, float]:
    """Return the height of a shape at a point."""
    if cfg.x == cfg.fails_at:
        raise RuntimeError("no height here")
    height = float((cfg.x - cfg.shape.middle) ** 2 + cfg.y)
    if cfg.reports:
        from sinesweep import TrialPruned, current_trial

        trial = current_trial()
        for step in range(cfg.reports):
            trial.report(height, step)
            if trial.should_prune():
                raise TrialPruned
    return (height, float(cfg.x)) if cfg.both else height


def configure(_: DictConfig, trial) -> None:
    """Let y depend on x."""
    trial.suggest_float("y", 0.0, trial.params["x"])


if __name__ == "__main__":
    main()
