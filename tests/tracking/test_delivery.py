"""The way of a record to MLflow, without a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinesweep.tracking import record
from sinesweep.tracking.delivery import Delivery, is_delivered
from sinesweep.tracking.location import Location
from sinesweep.tracking.tracker import Tracker


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


def test_one_call_takes_all_values(
    tracker: Tracker, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Params, metrics and tags that have come together go in one call, whatever lies between."""
    (tracker.directory / "a.txt").write_text("a")
    tracker.log_artifact(tracker.directory / "a.txt")
    tracker.log_metrics({"val/mae": 0.25}, step=1)
    tracker.end(record.FINISHED, {"sinesweep.state": record.COMPLETE})
    delivery = Delivery(tracker.directory, location)
    calls: list[int] = []
    log_batch = delivery._client.log_batch
    monkeypatch.setattr(
        delivery._client, "log_batch", lambda *a, **k: (calls.append(1), log_batch(*a, **k))
    )
    delivery.pump()

    assert len(calls) == 1
    assert delivery.run_id is not None
    run = delivery._client.get_run(delivery.run_id)
    assert run.data.params == {"seed": "0"}
    assert run.data.metrics == {"val/mae": 0.25}
    assert run.data.tags["sinesweep.state"] == "COMPLETE"
    assert run.info.status == "FINISHED"


def test_values_are_not_kept_back_by_a_file(tracker: Tracker, location: Location) -> None:
    """A file that cannot be sent, and is tried again, leaves what was measured visible."""
    tracker.log_artifact(tracker.directory / "lost.txt")
    tracker.log_metrics({"val/mae": 0.25}, step=1)
    delivery = Delivery(tracker.directory, location)
    with pytest.raises(FileNotFoundError, match=r"lost\.txt"):
        delivery.pump()

    assert delivery.run_id is not None
    assert delivery._client.get_run(delivery.run_id).data.metrics == {"val/mae": 0.25}
    assert not is_delivered(tracker.directory)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (["KILLED", "resume"], "RUNNING"),
        (["KILLED", "resume", "FINISHED"], "FINISHED"),
    ],
)
def test_the_last_word_is_the_status(
    tracker: Tracker, location: Location, told: list[str], status: str
) -> None:
    """A run that ended and was continued before anything was sent is what it is now."""
    for word in told:
        if word == "resume":
            tracker.resume({"sinesweep.state": "RUNNING"})
        else:
            tracker.end(word, {"sinesweep.state": word})
    delivery = Delivery(tracker.directory, location)
    delivery.pump()

    assert delivery.run_id is not None
    assert delivery._client.get_run(delivery.run_id).info.status == status
    assert delivery.has_ended == (status != "RUNNING")


def test_a_name_that_mlflow_does_not_allow(tmp_path: Path, location: Location) -> None:
    """A key with an @ does not keep its run out of the tracker."""
    tracker = Tracker(tmp_path, None)
    tracker.begin("name", "experiment", {"db@server": "x"}, {"sinesweep.run": "one"}, [])
    tracker.log_metrics({"mae@5": 0.5}, step=0)
    delivery = Delivery(tmp_path, location)
    delivery.pump()

    assert delivery.run_id is not None
    data = delivery._client.get_run(delivery.run_id).data
    assert (data.params, data.metrics) == ({"db_server": "x"}, {"mae_5": 0.5})
