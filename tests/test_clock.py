from __future__ import annotations

import time
from pathlib import Path

import pytest

from sinesweep import clock
from sinesweep.tracking import record
from sinesweep.tracking.record import Record


def test_timestamps_begin_at_the_wall_clock() -> None:
    """A timestamp is the time of day, as a reader expects it."""
    assert clock.timestamp_ns() / 1e9 == pytest.approx(time.time(), abs=3600)


def test_duration_of_a_run_does_not_follow_the_wall_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wall clock that is set back during a run changes no duration in its record."""
    Record(tmp_path).append("begin", name="a", experiment="e", params={}, tags={}, datasets=[])
    wall = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: wall() - 3_600_000_000_000)
    monkeypatch.setattr(time, "time", lambda: wall() / 1e9 - 3600)
    Record(tmp_path).append("end", status="FINISHED", tags={})

    begin, end = (event["time"] for event, _ in record.read(tmp_path))
    assert 0 <= end - begin < 60_000
