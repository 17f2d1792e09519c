"""The way of a sweep's records to MLflow, without workers, and with its process killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, PRUNED, RUNNING, Entry
from sinesweep.tracking import delivery as delivery_module
from sinesweep.tracking import record
from sinesweep.tracking.delivery import is_delivered
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_delivery import SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord, SweepTracker

MakeEntry = Callable[..., Entry]


@pytest.fixture
def account(sweep_folder: Path) -> SweepRecord:
    """A sweep that has begun."""
    account = SweepRecord(sweep_folder)
    account.begin(name="quick", experiment="e", params={}, tags={"sinesweep.sweep": "quick"})
    return account


def worked(entry: Entry, experiment: str = "e") -> Record:
    """Write what a worker writes of a trial."""
    assert entry.directory is not None
    entry.directory.mkdir(parents=True)
    own = Record(entry.directory)
    own.append(
        "begin",
        name=entry.name,
        experiment=experiment,
        params=dict(entry.params),
        tags={"sinesweep.run": str(entry.directory), "sinesweep.trial": entry.number},
        datasets=[],
    )
    own.append_metrics({"val/mae": 0.5}, 0)
    return own


def runs_of(location: Location) -> dict[str, Run]:
    """Return every run by its name; no two may have one name."""
    client = MlflowClient(location.uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments)
    by_name = {run.info.run_name or "": run for run in found}
    assert len(by_name) == len(found)
    return by_name


def statuses(location: Location) -> dict[str, str]:
    """Return the status of every run by its name."""
    return {name: run.info.status for name, run in runs_of(location).items()}


def test_trials_are_nested(
    account: SweepRecord, sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """Each trial's run has the sweep's as its parent, and what its worker wrote."""
    for number in range(2):
        account.trial_started(make_entry(number, RUNNING))
        worked(make_entry(number))
    delivery = SweepDelivery(sweep_folder, location)
    delivery.pump()

    runs = runs_of(location)
    assert set(runs) == {"quick", "trial-00000", "trial-00001"}
    trial = runs["trial-00001"]
    assert trial.data.tags["mlflow.parentRunId"] == delivery.run_id
    assert trial.data.params == {"model.layers": "2"}
    assert trial.data.metrics == {"val/mae": 0.5}
    assert trial.info.status == "RUNNING"


def test_states_are_those_of_the_study(
    account: SweepRecord, sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """Complete, pruned, failed and interrupted trials are told apart."""
    outcomes = (COMPLETE, PRUNED, FAIL, INTERRUPTED)
    for number, outcome in enumerate(outcomes):
        worked(make_entry(number))
        account.trial_ended(make_entry(number, outcome))
    account.end(COMPLETE, None)
    SweepDelivery(sweep_folder, location).pump()

    runs = runs_of(location)
    ends = [runs[f"trial-{number:05d}"] for number in range(len(outcomes))]
    assert [run.info.status for run in ends] == ["FINISHED", "KILLED", "FAILED", "KILLED"]
    assert [run.data.tags["sinesweep.state"] for run in ends] == list(outcomes)
    assert runs["quick"].info.status == "FINISHED"
    assert is_delivered(sweep_folder)


def test_a_trial_without_a_record_is_passed_over(
    account: SweepRecord, sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """A trial whose worker has written nothing yet is sent once it has."""
    account.trial_started(make_entry(0, RUNNING))
    delivery = SweepDelivery(sweep_folder, location)
    delivery.pump()
    assert set(statuses(location)) == {"quick"}

    worked(make_entry(0))
    delivery.pump()
    assert set(statuses(location)) == {"quick", "trial-00000"}


def test_what_has_ended_is_never_read_again(
    account: SweepRecord,
    sweep_folder: Path,
    location: Location,
    make_entry: MakeEntry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the sweep's and its running trials' records are looked at, by the next process, too."""
    for number in range(3):
        worked(make_entry(number))
        account.trial_started(make_entry(number))
        if number != 1:
            account.trial_ended(make_entry(number))
    first = SweepDelivery(sweep_folder, location)
    first.pump()
    looked_at: list[str] = []
    read = record.read

    def watch(directory: Path, offset: int = 0) -> Iterator[Any]:
        looked_at.append(directory.name)
        return read(directory, offset)

    monkeypatch.setattr(delivery_module.record, "read", watch)
    for delivery in (first, SweepDelivery(sweep_folder, location)):
        looked_at.clear()
        delivery.pump()
        assert looked_at == ["quick", "1"]


def test_a_file_that_is_lost_keeps_nothing_back(
    account: SweepRecord, sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """Its trial ends, the others are sent, and it is tried again when the sweep has ended."""
    worked(make_entry(0)).append("artifact", path="lost.txt", folder=None)
    worked(make_entry(1))
    for number in range(2):
        account.trial_ended(make_entry(number))
    delivery = SweepDelivery(sweep_folder, location)
    delivery.pump()
    assert statuses(location) == {
        "quick": "RUNNING",
        "trial-00000": "FINISHED",
        "trial-00001": "FINISHED",
    }
    assert [event["path"] for event in delivery.skipped] == ["lost.txt"]

    account.end(COMPLETE, None)
    with pytest.raises(FileNotFoundError, match=r"lost\.txt"):
        delivery.pump()
    directory = make_entry(0).directory
    assert directory is not None
    (directory / "lost.txt").write_text("found")
    delivery.pump()

    assert delivery.skipped == []
    assert is_delivered(sweep_folder)


def test_a_trial_that_the_tracker_refuses_keeps_no_other_back(
    account: SweepRecord, sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """As long as the tracker answers, all other trials are sent."""
    worked(make_entry(0)).append("artifact", path="gone.txt", folder=None)  # nothing can send this
    worked(make_entry(1))
    for number in range(2):
        account.trial_ended(make_entry(number))
    account.end(COMPLETE, None)
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        SweepDelivery(sweep_folder, location).pump()

    assert statuses(location)["trial-00001"] == "FINISHED"


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, and nothing is written after it."""


class Killer:
    """Kills a delivery just before one of the calls by which it changes anything.

    Args:
        monkeypatch: puts the calls back.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._left = -1
        for name in ("create_run", "log_batch", "set_terminated"):
            original = getattr(MlflowClient, name)
            monkeypatch.setattr(MlflowClient, name, self._mortal(original))
        original = delivery_module.write_atomically
        monkeypatch.setattr(delivery_module, "write_atomically", self._mortal(original))

    def kills(self, deliver: Callable[[], None], after: int) -> bool:
        """Deliver with so many calls to live for; tell whether that was too few."""
        self._left = after
        try:
            deliver()
        except Killed:
            return True
        finally:
            self._left = -1
        return False

    def _mortal(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return original(*args, **kwargs)

        return call


def test_a_killed_delivery_goes_on_where_it_was(
    tmp_path: Path, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between any two calls, it is gone on with, to one run each and each metric once."""
    killer = Killer(monkeypatch)
    client = MlflowClient(location.uri)
    for calls in count():
        folder = tmp_path / "sweeps" / str(calls)
        folder.mkdir(parents=True)
        entry = _ended_sweep(folder)
        is_killed = killer.kills(
            lambda folder=folder: SweepDelivery(folder, location).pump(), calls
        )
        SweepDelivery(folder, location).pump()

        experiment = client.get_experiment_by_name(str(folder))
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], order_by=["attributes.run_name"])
        assert [run.info.run_name for run in found] == ["quick", entry.name]
        assert [run.info.status for run in found] == ["FINISHED", "FAILED"]
        assert found[1].data.tags["mlflow.parentRunId"] == found[0].info.run_id
        history = client.get_metric_history(found[1].info.run_id, "val/mae")
        assert [(metric.step, metric.value) for metric in history] == [(0, 0.5)]
        assert is_delivered(folder)
        if not is_killed:
            break
    assert calls > 10


def _ended_sweep(folder: Path) -> Entry:
    entry = Entry(
        number=0,
        state=FAIL,
        outcome=FAIL,
        values=None,
        params={"model.layers": 2},
        overrides=[],
        directory=folder / "trials" / "0",
        start=None,
        seconds=None,
        error="it broke",
        origin=None,
    )
    account = SweepRecord(folder)
    account.begin(name="quick", experiment=str(folder), params={"seed": 0}, tags={})
    account.trial_started(entry)
    worked(entry, experiment=str(folder))
    account.trial_ended(entry)
    account.end(COMPLETE, None)
    return entry


def test_the_writer_sends_a_sweep(
    sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """The parent run exists when the sweep has begun; all else when it is closed."""
    tracker = SweepTracker(sweep_folder, location)
    tracker.begin(name="quick", experiment="e", params={"seed": 0}, tags={})
    assert set(statuses(location)) == {"quick"}
    tracker.begin(name="quick", experiment="e", params={"seed": 0}, tags={})  # a turn taken again
    tracker.trial_started(make_entry(0, RUNNING))
    worked(make_entry(0))
    tracker.trial_ended(make_entry(0))
    tracker.log({"best_value": 0.5}, step=1)
    tracker.end(COMPLETE, None)

    assert tracker.close()
    runs = runs_of(location)
    assert statuses(location) == {"quick": "FINISHED", "trial-00000": "FINISHED"}
    assert runs["quick"].info.run_id == tracker.run_id
    assert runs["quick"].data.metrics == {"best_value": 0.5}


@pytest.mark.slow
def test_a_killed_sweeps_writer_decides_nothing(
    sweep_folder: Path, location: Location, make_entry: MakeEntry
) -> None:
    """It sends what there is and leaves the ends to the study; the next one keeps the run."""
    killed = SweepTracker(sweep_folder, location)
    killed.begin(name="quick", experiment="e", params={}, tags={})
    killed.trial_started(make_entry(0, RUNNING))
    worked(make_entry(0))
    assert killed.close()  # to the writer, a killed process and a closed tracker look the same
    assert statuses(location) == {"quick": "RUNNING", "trial-00000": "RUNNING"}

    again = SweepTracker(sweep_folder, location)
    again.begin(name="quick", experiment="e", params={}, tags={})
    again.trial_ended(make_entry(0, INTERRUPTED))
    again.end(COMPLETE, None)
    assert again.close()
    assert again.run_id == killed.run_id
    assert statuses(location) == {"quick": "FINISHED", "trial-00000": "KILLED"}
