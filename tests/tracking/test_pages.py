"""Where a sweep is on MLflow's pages, and the tags by which they show it."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from sinesweep.tracking import pages
from sinesweep.tracking.location import Location
from sinesweep.tracking.sweep_delivery import SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord

VIEW = {
    "name": "quick",
    "params": ["model.layers"],
    "metrics": ["value", "reference/test_mae"],
    "of_sweep": ["best/reference/test_mae", "best_value"],
    "maximize": True,
}


def saved(text: str) -> tuple[str, dict[str, Any]]:
    """Return a saved view's name and content, as MLflow's pages read it."""
    view = json.loads(text)
    packed = view["state"].removeprefix("deflate;")
    return view["name"], json.loads(zlib.decompress(base64.b64decode(packed)))


def test_nothing_is_shown_before_it_was_sent(sweep_folder: Path) -> None:
    """A sweep without a run has no address."""
    assert pages.run_page(sweep_folder) is None
    assert pages.trials_page(sweep_folder) is None
    assert pages.experiment_page(sweep_folder) is None


def test_note_and_views_reach_the_tracker(sweep_folder: Path, location: Location) -> None:
    """The last note is the run's description; the experiment has a view of each sweep."""
    account = SweepRecord(sweep_folder)
    account.begin(name="quick", experiment="e", params={}, tags={})
    account.tag({pages.NOTE_TAG: "the first word"})
    delivery = SweepDelivery(sweep_folder, location)
    delivery.pump()
    account.tag({pages.NOTE_TAG: "a word"})
    account.tag({pages.NOTE_TAG: "the last word"})
    account.save_view(VIEW)
    delivery.pump()

    client = MlflowClient(location.uri)
    run = client.get_run(delivery.run_id)
    assert run.data.tags[pages.NOTE_TAG] == "the last word"
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags[pages.KIND_TAG] == pages.KIND
    name, of_sweep = saved(experiment.tags[f"mlflow.sharedViewState.{delivery.run_id}"])
    assert name == "quick"
    assert of_sweep["searchFilter"] == f"tags.`mlflow.parentRunId` = '{delivery.run_id}'"
    assert (of_sweep["orderByKey"], of_sweep["orderByAsc"]) == ("metrics.`value`", False)
    assert of_sweep["selectedColumns"] == [
        "metrics.`value`", "metrics.`reference/test_mae`", "params.`model.layers`",
    ]  # fmt: skip
    assert [chart["type"] for chart in of_sweep["compareRunCharts"]] == ["PARALLEL", "SCATTER"]
    name, of_all = saved(experiment.tags["mlflow.sharedViewState.sinesweep"])
    assert name == "all sweeps"
    assert of_all["selectedColumns"][0] == "metrics.`best/reference/test_mae`"

    start = f"#/experiments/{experiment.experiment_id}/runs"
    assert (
        pages.run_page(sweep_folder) == f"{start}/{run.info.run_id}?workflowType=machine_learning"
    )
    page = pages.trials_page(sweep_folder)
    assert page
    assert page.startswith(f"{start}?viewStateShareKey={run.info.run_id}&")


def test_the_kind_that_a_user_gave_an_experiment_is_kept(
    sweep_folder: Path, location: Location
) -> None:
    """What a person chose on the pages is not undone by the next sweep."""
    client = MlflowClient(location.uri)
    experiment = client.create_experiment("e", tags={pages.KIND_TAG: "forecasting"})
    account = SweepRecord(sweep_folder)
    account.begin(name="quick", experiment="e", params={}, tags={})
    account.save_view(VIEW)
    SweepDelivery(sweep_folder, location).pump()

    assert client.get_experiment(experiment).tags[pages.KIND_TAG] == "forecasting"
