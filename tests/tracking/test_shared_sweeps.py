"""One sweep that several participants tell of, each from a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from sinesweep.sweep.entry import COMPLETE, INTERRUPTED, RUNNING, Entry
from sinesweep.tracking import record
from sinesweep.tracking.delivery import is_delivered
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import RUN_TAG, Record
from sinesweep.tracking.sweep_delivery import PARENT_TAG, SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord, SweepTracker, trial_tag

TOKEN = "0123456789abcdef"

MakeEntry = Callable[..., Entry]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of two participants."""
    first, second = tmp_path / "one" / "quick", tmp_path / "two" / "quick"
    for folder in (first, second):
        folder.mkdir(parents=True)
    return first, second


def join(folder: Path, workers: int = 1) -> SweepRecord:
    """Begin a participant's record."""
    account = SweepRecord(folder)
    tags = {"sinesweep.sweep": "quick", "sinesweep.host": folder.parent.name}
    params = {"sampler": "tpe", "workers": workers}
    account.begin(name="quick", experiment="e", params=params, tags=tags, token=TOKEN)
    return account


def worked(folder: Path, number: int) -> Record:
    """Write what a participant's worker writes of a trial."""
    directory = folder / "trials" / str(number)
    directory.mkdir(parents=True)
    own = Record(directory)
    own.append(
        "begin",
        name=f"trial-{number:05d}",
        experiment="e",
        params={"model.layers": 1 + number, "seed": 7},
        tags={
            RUN_TAG: trial_tag(TOKEN, number),
            "sinesweep.host": folder.parent.name,
            record.STATE_TAG: RUNNING,
        },
        datasets=[],
    )
    own.append_metrics({"val/mae": 0.5}, 0)
    return own


def send(*folders: Path) -> None:
    """Send what participants have told, one after the other."""
    for folder in folders:
        SweepDelivery(folder, _location(folder)).pump()


def _location(folder: Path) -> Location:
    return Location(f"sqlite:///{folder.parents[1]}/mlflow.db", folder.parents[1] / "artifacts")


def runs_of(folder: Path) -> dict[str, Run]:
    """Return every run by its name; no two may have one name, and all but one are nested."""
    client = MlflowClient(_location(folder).uri)
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    by_name = {run.info.run_name or "": run for run in found}
    assert len(by_name) == len(found)
    parent = by_name["quick"].info.run_id
    nested = [run for name, run in by_name.items() if name != "quick"]
    assert all(run.data.tags[PARENT_TAG] == parent for run in nested)
    return by_name


def statuses(folder: Path) -> dict[str, str]:
    """Return the status of every run by its name."""
    return {name: run.info.status for name, run in runs_of(folder).items()}


def test_participants_have_one_parent_run(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """The second finds the run of the first, whose params and tags stay as they were told."""
    for number, folder in enumerate(folders):
        account = join(folder, workers=1 + number)
        account.trial_started(make_entry(number, RUNNING))
        worked(folder, number)
    send(*folders)

    runs = runs_of(folders[0])
    assert set(runs) == {"quick", "trial-00000", "trial-00001"}
    assert runs["quick"].data.tags[RUN_TAG] == TOKEN
    assert runs["quick"].data.tags["sinesweep.host"] == "one"
    assert runs["quick"].data.params == {"sampler": "tpe", "workers": "1"}
    assert runs["trial-00001"].data.params == {"model.layers": "2", "seed": "7"}


def test_a_parent_that_was_closed_is_opened_again(folders: tuple[Path, Path]) -> None:
    """Whoever joins a sweep that had ended goes on with its run."""
    first, second = folders
    join(first).end(INTERRUPTED, "SIGINT")
    send(first)
    assert statuses(first) == {"quick": "KILLED"}
    join(second)
    send(second)

    parent = runs_of(first)["quick"]
    assert parent.info.status == "RUNNING"
    assert parent.data.tags["sinesweep.state"] == "RUNNING"
    assert parent.data.tags["sinesweep.error"] == ""


def test_found_again_after_a_kill(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed once it had noted the run that it found, a delivery still leaves its params alone."""
    first, second = folders
    join(first, workers=1)
    join(second, workers=2)
    send(first)
    log_batch = MlflowClient.log_batch
    monkeypatch.setattr(MlflowClient, "log_batch", _kill)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        send(second)
    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    send(second)

    assert runs_of(first)["quick"].data.params["workers"] == "1"
    assert is_delivered(second)


def _kill(*_: object, **__: object) -> None:
    raise KeyboardInterrupt("killed")


def test_who_leaves_does_not_end_the_parent(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """What a participant has told is sent, its record is closed, and others go on."""
    first, second = folders
    account, other = join(first), join(second)
    worked(first, 0)
    account.trial_ended(make_entry(0))
    account.leave()
    send(first, second)

    assert statuses(first) == {"quick": "RUNNING", "trial-00000": "FINISHED"}
    assert record.last_end(first) is not None
    assert is_delivered(first)
    other.end(COMPLETE, None)
    send(second)
    assert statuses(first)["quick"] == "FINISHED"


def test_who_left_can_come_back(folders: tuple[Path, Path]) -> None:
    """The command that is given again opens the record, and the parent run, again."""
    first, second = folders
    join(first).leave()
    join(second).end(COMPLETE, None)
    send(first, second)
    join(first)
    send(first)

    assert record.last_end(first) is None
    assert statuses(first) == {"quick": "RUNNING"}


def test_a_dead_participants_trial_is_closed(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """Another one ends its nested run, which keeps what it was told; once is enough."""
    dead, other = folders
    join(dead).trial_started(make_entry(0, RUNNING))
    worked(dead, 0)
    account = join(other)
    send(dead, other)
    for _ in range(2):
        account.trial_reaped(make_entry(0, INTERRUPTED))
        send(other)

    trial = runs_of(dead)["trial-00000"]
    assert trial.info.status == "KILLED"
    assert trial.data.tags["sinesweep.state"] == "INTERRUPTED"
    assert trial.data.tags["sinesweep.host"] == "one"
    assert trial.data.metrics == {"val/mae": 0.5}
    assert [event["kind"] for event, _ in record.read(other)] == ["begin", "trial"]


def test_a_dead_participants_trial_that_the_tracker_never_saw(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """Whoever closes it makes its run, and what the dead one left is sent to that run later."""
    dead, other = folders
    join(dead)
    send(dead)
    SweepRecord(dead).trial_started(make_entry(0, RUNNING))
    worked(dead, 0)
    join(other).trial_reaped(make_entry(0, INTERRUPTED))
    send(other)
    assert statuses(dead) == {"quick": "RUNNING", "trial-00000": "KILLED"}
    send(dead)

    trial = runs_of(dead)["trial-00000"]
    assert trial.info.status == "KILLED"
    assert trial.data.tags["sinesweep.state"] == "INTERRUPTED"
    assert trial.data.metrics == {"val/mae": 0.5}
    assert trial.data.params == {"model.layers": "1", "seed": "7"}


def test_a_trial_that_is_closed_stays_as_it_is(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """A participant that was given up may have told the end of its trial all the same."""
    slow, other = folders
    account = join(slow)
    worked(slow, 0)
    account.trial_ended(make_entry(0))
    join(other).trial_reaped(make_entry(0, INTERRUPTED, error="its participant died"))
    send(slow, other)

    trial = runs_of(slow)["trial-00000"]
    assert trial.info.status == "FINISHED"
    assert trial.data.tags["sinesweep.state"] == "COMPLETE"
    assert "sinesweep.error" not in trial.data.tags
    assert is_delivered(other)


def test_a_parent_that_is_closed_is_not_judged_again(folders: tuple[Path, Path]) -> None:
    """The audit of a dead participant's folder does not change how the others ended the sweep."""
    dead, other = folders
    account = join(dead)
    join(other).end(COMPLETE, None)
    send(dead, other)
    account.end(INTERRUPTED, "the sweep was killed", if_running=True)
    send(dead)

    parent = runs_of(dead)["quick"]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["sinesweep.state"] == "COMPLETE"


def test_a_record_says_whose_trials_are_whose(
    folders: tuple[Path, Path], make_entry: MakeEntry
) -> None:
    """Whoever opens it again knows which were begun here, and which were closed for another."""
    account = join(folders[0])
    account.trial_started(make_entry(0, RUNNING))
    account.trial_reaped(make_entry(1, INTERRUPTED))
    again = SweepRecord(folders[0])

    assert again.is_shared
    assert [again.names(number) for number in (0, 1)] == [True, False]
    assert [again.has_reaped(number) for number in (0, 1)] == [False, True]


@pytest.mark.slow
def test_the_writers_of_two_participants(folders: tuple[Path, Path], make_entry: MakeEntry) -> None:
    """Begun one after the other, both have the same run, and it ends with the last."""
    first, second = folders
    trackers = [SweepTracker(folder, _location(folder)) for folder in folders]
    for tracker in trackers:
        tracker.begin(name="quick", experiment="e", params={}, tags={}, token=TOKEN)
    assert trackers[0].run_id == trackers[1].run_id
    trackers[1].trial_reaped(make_entry(0, INTERRUPTED))
    trackers[0].leave()
    assert trackers[0].close()
    assert statuses(first)["quick"] == "RUNNING"
    trackers[1].end(COMPLETE, None)
    assert trackers[1].close()

    assert statuses(second) == {"quick": "FINISHED", "trial-00000": "KILLED"}
