"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_place(parser: argparse.ArgumentParser) -> None:
    """Take ``--root`` and ``--uri``: where runs are, and where their tracker is."""
    parser.add_argument("--root", type=Path, default=Path("mlruns"), help="default: mlruns")
    parser.add_argument("--uri", help="the tracker's address; default: as for training")


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Take ``SWEEP``, to be found with :func:`sinesweep.sweep.archive.find`."""
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep's name, its beginning, or a folder")
