"""The way of a record to MLflow, without a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinesweep.tracking import record
from sinesweep.tracking.delivery import Delivery, is_delivered
from sinesweep.tracking.location import Location, locate
from sinesweep.tracking.tracker import Tracker


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """A database of the test's own."""
    return locate(f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    """An open run with one metric, whose record nobody sends."""
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    tracker = Tracker(folder, None)
    tracker.begin("name", "experiment", {"seed": 0}, {"sinesweep.run": "one"}, [])
    tracker.log_metrics({"val/mae": 0.5}, step=0)
    return tracker


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("x" * 6000, "x" * 6000),
        (
            "x" * 6001,
            "6,001 characters, in config.yaml among the artifacts (sha256 e12d2a8f900180c3)",
        ),
        (["x" * 7000], None),
    ],
    ids=["as long as can be", "longer", "list"],
)
def test_a_param_is_sent_whole_or_not_at_all(
    tmp_path: Path, location: Location, value: object, sent: str | None
) -> None:
    """What is longer than MLflow takes is replaced by its length, its place and its hash."""
    tracker = Tracker(tmp_path, None)
    tracker.begin("name", "experiment", {"long": value}, {"sinesweep.run": "one"}, [])
    delivery = Delivery(tmp_path, location)
    delivery.pump()

    assert delivery.run_id is not None
    param = delivery._client.get_run(delivery.run_id).data.params["long"]
    if sent is None:
        assert param.startswith("7,004 characters, in config.yaml among the artifacts (sha256 ")
    else:
        assert param == sent


def test_a_file_that_cannot_be_sent_waits_for_the_next_delivery(
    tracker: Tracker, location: Location
) -> None:
    """A missing file does not keep the end from being told, and is sent once it is there."""
    lost = tracker.directory / "lost.txt"
    tracker.log_artifact(lost)
    tracker.end(record.FINISHED, {"sinesweep.state": record.COMPLETE})
    first = Delivery(tracker.directory, location)
    first.pump(skip_files=True)
    assert first.run_id is not None
    client = first._client
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert not is_delivered(tracker.directory)

    lost.write_text("found")
    Delivery(tracker.directory, location).pump()

    assert [item.path for item in client.list_artifacts(first.run_id)] == ["lost.txt"]
    assert is_delivered(tracker.directory)


def test_sending_again_changes_nothing(tracker: Tracker, location: Location) -> None:
    """A process that was killed before it noted what it sent leaves no second value behind."""
    tracker.end(record.FINISHED, {"sinesweep.state": record.COMPLETE})
    first = Delivery(tracker.directory, location)
    first.pump()
    first._note(offset=0, values=0)

    again = Delivery(tracker.directory, location)
    again.pump()

    assert again.run_id == first.run_id
    assert first.run_id is not None
    assert len(first._client.get_metric_history(first.run_id, "val/mae")) == 1


def test_a_run_created_but_not_noted_is_found_again(tracker: Tracker, location: Location) -> None:
    """Killed between creating the run and noting its id, the next delivery finds that run."""
    first = Delivery(tracker.directory, location)
    first.pump()
    first._note(run_id=None, creating=True, offset=0, values=0)

    again = Delivery(tracker.directory, location)
    again.pump()

    assert again.run_id is not None
    experiments = [e.experiment_id for e in first._client.search_experiments()]
    assert len(first._client.search_runs(experiments)) == 1


def test_a_run_ends_once(tracker: Tracker) -> None:
    """What comes after the end, such as Ctrl-C while files are sent, does not change it."""
    tracker.end(record.FINISHED, {})
    tracker.end(record.KILLED, {})

    end = record.last_end(tracker.directory)
    assert end is not None
    assert end["status"] == "FINISHED"
