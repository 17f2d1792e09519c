"""What tests of the way to the tracker can ask for: a tracker, and records that nobody sends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sinesweep.sweep.entry import COMPLETE, Entry
from sinesweep.tracking.location import Location, locate


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """A database of the test's own."""
    return locate(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Path:
    """The folder of a sweep in which nothing has happened."""
    folder = tmp_path / "sweeps" / "quick"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def make_entry(sweep_folder: Path) -> Callable[..., Entry]:
    """Make a trial of the sweep: complete, unless told else; its folder is not made."""

    def make(number: int, outcome: str = COMPLETE, **changes: Any) -> Entry:
        given = {
            "number": number,
            "state": outcome if outcome == COMPLETE else "FAIL",
            "outcome": outcome,
            "values": None,
            "params": {"model.layers": 1 + number},
            "overrides": [],
            "directory": sweep_folder / "trials" / str(number),
            "start": 0.0,
            "seconds": 1.0,
            "error": None,
            "origin": None,
            **changes,
        }
        return Entry(**given)

    return make
