"""An application whose secrets a test looks for in everything that a sweep of it leaves."""

import hydra
from omegaconf import DictConfig

import sinesweep


@hydra.main(version_base="1.3", config_path="canary_conf", config_name="config")
def main(cfg: DictConfig) -> float:
    """Return x, or fail with every secret in the message."""
    sinesweep.current_trial().report(float(cfg.x), step=0)
    if cfg.x == 2:
        raise RuntimeError(
            f"no login with {cfg.db.password!r} at {cfg.db.url} ({cfg.auth}, {cfg.swept.token}), "
            f"code {cfg.model.apiToken} of {cfg.db.private_key} and {list(cfg.db.passwords)}"
        )
    return float(cfg.x)


if __name__ == "__main__":
    main()
