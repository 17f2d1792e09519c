"""The writer process beside a run, without a training."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from sinesweep.tracking import record
from sinesweep.tracking.delivery import Delivery, is_delivered
from sinesweep.tracking.location import Location
from sinesweep.tracking.tracker import Tracker

LIMIT = 60  # seconds: no wait hangs a test


@pytest.mark.slow
def test_an_end_that_was_left_unsent_does_not_stop_the_writer(
    tmp_path: Path, location: Location
) -> None:
    """A run whose last end the tracker never heard of is continued, and sent to its new end."""
    first = Tracker(tmp_path, None)
    first.begin("name", "experiment", {}, {"sinesweep.run": "one"}, [])
    Delivery(tmp_path, location).pump()
    first.end(record.KILLED, {})
    again = Tracker(tmp_path, location)
    give_up = time.monotonic() + LIMIT
    while not is_delivered(tmp_path):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    again.resume({})
    again.log_metrics({"val/mae": 0.5}, step=0)
    again.end(record.FINISHED, {})

    assert again.close()
    assert again.run_id is not None
    run = MlflowClient(location.uri).get_run(again.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"val/mae": 0.5})
