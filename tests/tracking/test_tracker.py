"""What a run tells about itself, with no process that sends it."""

from __future__ import annotations

from pathlib import Path

from sinesweep.redaction import add_rules
from sinesweep.tracking import record
from sinesweep.tracking.tracker import Membership, Tracker

MEMBER = Membership("trial-00012", {"sinesweep.sweep": "quick", "sinesweep.run": "its"})


def begun(directory: Path, membership: Membership | None) -> Tracker:
    """Return the tracker of a run that has begun."""
    tracker = Tracker(directory, None, membership)
    tags = {"sinesweep.run": "own", "sinesweep.seed": 0}
    tracker.begin("model.layers=3", "experiment", {"model.layers": 3}, tags, [])
    return tracker


def test_a_trial_has_its_sweeps_name_and_tags(tmp_path: Path) -> None:
    """The sweep's tags are added to the run's own, and go before them."""
    begun(tmp_path, MEMBER)

    ((begin, _),) = record.read(tmp_path)
    assert (begin["name"], begin["experiment"]) == ("trial-00012", "experiment")
    assert begin["params"] == {"model.layers": 3}
    assert begin["tags"] == {
        "sinesweep.sweep": "quick",
        "sinesweep.run": "its",
        "sinesweep.seed": 0,
    }


def test_a_trials_end_is_left_to_its_sweep(tmp_path: Path) -> None:
    """The study is told first, so that it and the tracker agree."""
    tracker = begun(tmp_path, MEMBER)
    tracker.end(record.FINISHED, {})

    assert [event["kind"] for event, _ in record.read(tmp_path)] == ["begin"]
    assert not tracker.is_open
    assert (tracker.run_id, tracker.close()) == (None, True)


def test_a_run_of_its_own_ends_once(tmp_path: Path) -> None:
    """The first word on how it ended is the last."""
    tracker = begun(tmp_path, None)
    tracker.end(record.FINISHED, {})
    tracker.end(record.FAILED, {})

    events = [event for event, _ in record.read(tmp_path)]
    assert [event["kind"] for event in events] == ["begin", "end"]
    assert (events[0]["name"], events[1]["status"]) == ("model.layers=3", "FINISHED")


def test_a_run_keeps_the_keys_that_its_command_has_added(tmp_path: Path) -> None:
    """The record says which keys were hidden or shown besides those of the rule."""
    add_rules(redacted_keys=["db.pin"])
    begun(tmp_path, None)
    ((begin, _),) = record.read(tmp_path)
    assert begin["redaction"] == {"redacted_keys": ["db.pin"]}
