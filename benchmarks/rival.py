"""The reference task under hydra-optuna-sweeper, for against_optuna_sweeper.py and fused.py.

python benchmarks/rival.py CONFIG_DIRECTORY overrides...
"""

from __future__ import annotations

import sys

import hydra
from listed import run

if __name__ == "__main__":
    hydra.main(config_path=sys.argv.pop(1), config_name="train")(run)()
