"""Compare what a tracker has of runs with what their records say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Run

from sinesweep import runs
from sinesweep.tracking import entities, record
from sinesweep.tracking.sweep_delivery import PARENT_TAG


def all_runs(client: MlflowClient) -> dict[str, Run]:
    """Return every run of a tracker by its name, of which no two are alike."""
    found = client.search_runs([each.experiment_id for each in client.search_experiments()])
    by_name = {run.info.run_name or "": run for run in found}
    assert len(by_name) == len(found)
    return by_name


def assert_sweep_is_told(client: MlflowClient, folder: Path) -> None:
    """The tracker has a parent run and a nested one for each trial, and all that they recorded."""
    trials = sorted((folder / "trials").iterdir(), key=lambda trial: int(trial.name))
    parent = runs.run_id(folder)
    names = {f"trial-{int(trial.name):05d}" for trial in trials}
    assert set(all_runs(client)) == {folder.name, *names}
    assert_told(client, folder)
    for trial in trials:
        assert assert_told(client, trial).data.tags[PARENT_TAG] == parent


def assert_told(client: MlflowClient, folder: Path) -> Run:
    """The tracker has a run's params, tags, metrics at each step, files and status."""
    events = [event for event, _ in record.read(folder)]
    run = client.get_run(runs.run_id(folder) or "")
    begin = events[0]
    assert begin["kind"] == "begin"
    assert run.data.params == {p.key: p.value for p in entities.params(begin["params"])}
    tags = {
        key: text
        for event in events
        for key, text in entities.tag_texts(event.get("tags", {})).items()
    }
    assert {key: run.data.tags.get(key) for key in tags} == tags
    assert histories(client, run) == recorded_histories(events)
    end = record.last_end(folder)
    assert run.info.status == (end["status"] if end else "RUNNING")
    _assert_files_are_told(client, run, folder, events)
    return run


def histories(client: MlflowClient, run: Run) -> dict[str, list[tuple[int, float, int]]]:
    """Return (time, value, step) of all points of each metric, in order of time."""
    return {
        name: sorted(
            (point.timestamp, point.value, point.step)
            for point in client.get_metric_history(run.info.run_id, name)
        )
        for name in run.data.metrics
    }


def recorded_histories(events: list[record.Event]) -> dict[str, list[tuple[int, float, int]]]:
    """Return what a tracker should have of the metrics of a record."""
    found: defaultdict[str, list[tuple[int, float, int]]] = defaultdict(list)
    for metric in entities.metrics(event for event in events if event["kind"] == "metrics"):
        found[metric.key].append((metric.timestamp, metric.value, metric.step))
    return {name: sorted(points) for name, points in found.items()}


def _assert_files_are_told(
    client: MlflowClient, run: Run, folder: Path, events: list[record.Event]
) -> None:
    sent = {
        str(Path(event["folder"] or "") / Path(event["path"]).name): folder / event["path"]
        for event in events
        if event["kind"] == "artifact"
    }
    assert set(_listed(client, run.info.run_id)) == set(sent)
    with TemporaryDirectory() as copies:
        for path, original in sent.items():
            copy = Path(client.download_artifacts(run.info.run_id, path, copies))
            assert copy.read_bytes() == original.read_bytes(), path


def _listed(client: MlflowClient, run_id: str, path: str | None = None) -> Iterator[str]:
    for item in client.list_artifacts(run_id, path):
        if item.is_dir:
            yield from _listed(client, run_id, item.path)
        else:
            yield item.path
