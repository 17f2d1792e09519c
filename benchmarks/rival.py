"""The reference task under hydra-optuna-sweeper, for against_optuna_sweeper.py.

python benchmarks/rival.py CONFIG_DIRECTORY overrides...
"""

from __future__ import annotations

import sys

import hydra

from sinesweep.cli import _run as train

if __name__ == "__main__":
    hydra.main(config_path=sys.argv.pop(1), config_name="train")(train)()
