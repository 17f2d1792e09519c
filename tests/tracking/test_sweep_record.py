"""What a sweep writes of itself and its trials, without a writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RETRIED, RUNNING, Entry
from sinesweep.tracking import record
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_record import SweepRecord, SweepTracker

MakeEntry = Callable[..., Entry]


def events(directory: Path) -> list[dict[str, Any]]:
    """Return all whole events of a record."""
    return [event for event, _ in record.read(directory)]


def kinds(directory: Path) -> list[str]:
    """Return the kinds of all whole events."""
    return [event["kind"] for event in events(directory)]


def begun(folder: Path) -> SweepRecord:
    """Return the account of a sweep that has begun."""
    account = SweepRecord(folder)
    account.begin(
        name="quick", experiment="e", params={"seed": 0}, tags={"sinesweep.sweep": "quick"}
    )
    return account


def test_a_sweep_begins_once(sweep_folder: Path) -> None:
    """The process that continues a sweep opens it again."""
    begun(sweep_folder).end(INTERRUPTED, "SIGINT")
    begun(sweep_folder)

    assert kinds(sweep_folder) == ["begin", "end", "resume"]
    assert events(sweep_folder)[-1]["tags"] == {"sinesweep.state": "RUNNING", "sinesweep.error": ""}


def test_a_torn_first_line_is_no_beginning(sweep_folder: Path) -> None:
    """A sweep that was killed while it wrote its first line begins anew."""
    (sweep_folder / record.FILE_NAME).write_text('{"kind": "beg')
    begun(sweep_folder)

    assert kinds(sweep_folder) == ["begin"]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (COMPLETE, "FINISHED"),
        (PRUNED, "KILLED"),
        (FAIL, "FAILED"),
        (RETRIED, "FAILED"),
        (INTERRUPTED, "KILLED"),
    ],
)
def test_a_trial_ends_as_the_study_says(
    sweep_folder: Path, make_entry: MakeEntry, outcome: str, status: str
) -> None:
    """Each outcome has its status in the tracker, and is a tag."""
    entry = make_entry(0, outcome)
    begun(sweep_folder).trial_ended(entry)

    assert entry.directory is not None
    end = events(entry.directory)[-1]
    assert (end["kind"], end["status"]) == ("end", status)
    assert end["tags"] == {"sinesweep.state": outcome}


def test_the_error_of_a_trial_is_a_tag_without_credentials(
    sweep_folder: Path, make_entry: MakeEntry
) -> None:
    """What a trial failed with is shown, but for passwords in it."""
    entry = make_entry(0, FAIL, error="no answer from http://ann:hunter2@host")
    begun(sweep_folder).trial_ended(entry)

    assert entry.directory is not None
    tags = events(entry.directory)[-1]["tags"]
    assert tags["sinesweep.error"] == "no answer from http://***@host"


def test_a_trial_without_a_record_gets_one(sweep_folder: Path, make_entry: MakeEntry) -> None:
    """A worker that died at once leaves a run with the trial's params all the same."""
    entry = make_entry(3, FAIL)
    begun(sweep_folder).trial_ended(entry)

    assert entry.directory is not None
    begin, end = events(entry.directory)
    assert (begin["name"], begin["experiment"]) == ("trial-00003", "e")
    assert begin["params"] == {"model.layers": 4}
    assert begin["tags"]["sinesweep.sweep"] == "quick"
    assert begin["tags"]["sinesweep.trial"] == 3
    assert begin["tags"]["sinesweep.run"] != events(sweep_folder)[0]["tags"]["sinesweep.run"]
    assert end["kind"] == "end"


def test_a_record_that_its_worker_began_is_ended(sweep_folder: Path, make_entry: MakeEntry) -> None:
    """The end follows what the worker wrote, and drops the line that it had not finished."""
    entry = make_entry(0, FAIL)
    assert entry.directory is not None
    entry.directory.mkdir(parents=True)
    Record(entry.directory).append(
        "begin", name="its own", experiment="e", params={}, tags={}, datasets=[]
    )
    with (entry.directory / record.FILE_NAME).open("a") as file:
        file.write('{"kind": "metr')
    begun(sweep_folder).trial_ended(entry)

    assert kinds(entry.directory) == ["begin", "end"]
    assert events(entry.directory)[0]["name"] == "its own"


def test_a_trial_ends_once(sweep_folder: Path, make_entry: MakeEntry) -> None:
    """The process that continues a sweep says again how all its trials ended."""
    begun(sweep_folder).trial_ended(make_entry(0))
    begun(sweep_folder).trial_ended(make_entry(0))

    directory = make_entry(0).directory
    assert directory is not None
    assert kinds(directory) == ["begin", "end"]


def test_a_trial_is_named_once(sweep_folder: Path, make_entry: MakeEntry) -> None:
    """Killed before it named a trial that it had begun, a sweep names it when it continues."""
    account = begun(sweep_folder)
    account.trial_started(make_entry(0, RUNNING))
    account.trial_ended(make_entry(0))
    begun(sweep_folder).trial_ended(make_entry(0))
    begun(sweep_folder).trial_ended(make_entry(1))

    named = [event["path"] for event in events(sweep_folder) if event["kind"] == "trial"]
    assert named == ["trials/0", "trials/1"]


def test_an_untracked_sweep_writes_no_record(sweep_folder: Path, make_entry: MakeEntry) -> None:
    """Without a tracker nothing is written but the ends of records that trials keep themselves."""
    kept, bare = make_entry(0), make_entry(1)
    assert kept.directory is not None
    kept.directory.mkdir(parents=True)
    Record(kept.directory).append(
        "begin", name="a", experiment="e", params={}, tags={}, datasets=[]
    )
    tracker = SweepTracker(sweep_folder, None)
    tracker.begin(name="quick", experiment="e", params={}, tags={})
    for entry in (kept, bare):
        tracker.trial_started(entry)
        tracker.trial_ended(entry)
    tracker.end(COMPLETE, None)

    assert tracker.close()
    assert tracker.run_id is None
    assert kinds(kept.directory) == ["begin", "end"]
    assert [path.name for path in sweep_folder.rglob("*.jsonl")] == [record.FILE_NAME]
