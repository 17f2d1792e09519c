"""Train one model: ``python src/train.py model.layers=3``."""

from sinesweep.cli import main

if __name__ == "__main__":
    main()
