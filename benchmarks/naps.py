"""An application that sleeps, for busy.py: it says when it began and ended."""

from __future__ import annotations

import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(config_path="conf", config_name="naps", version_base="1.3")
def main(cfg: DictConfig) -> float:
    """Sleep, one time in four ten times as long."""
    begun = time.time()
    time.sleep(cfg.long if cfg.index % 4 == 0 else cfg.short)
    place = Path(HydraConfig.get().runtime.output_dir, "nap")
    place.write_text(f"{begun} {time.time()}", encoding="utf-8")
    return 0.0


if __name__ == "__main__":
    main()
