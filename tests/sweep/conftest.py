"""What tests of a sweep can ask for: trials that have ended, or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sinesweep.sweep.entry import COMPLETE, RUNNING, Entry


@pytest.fixture
def make_entry(tmp_path: Path) -> Callable[..., Entry]:
    """Make a trial with a folder under ``tmp_path``: complete with its values, unless told else."""

    def make(number: int, *values: float, **changes: Any) -> Entry:
        state = changes.pop("state", COMPLETE)
        params = changes.pop("params", {"model.layers": 1 + number, "optimizer.lr": 0.01})
        directory = tmp_path / "trials" / str(number)
        directory.mkdir(parents=True, exist_ok=True)
        given = {
            "outcome": state,
            "values": values or None,
            "overrides": [f"{key}={value}" for key, value in params.items()],
            "directory": directory,
            "start": 0.0,
            "seconds": None if state == RUNNING else 4.125,
            "error": None,
            "origin": None,
            **changes,
        }
        return Entry(number=number, state=state, params=params, **given)

    return make
