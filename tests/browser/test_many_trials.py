"""A sweep of hundreds of trials on MLflow's pages, where its own page must do alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from looking import Server, Tracked, run_names

from sinesweep.sweep.entry import COMPLETE, PRUNED, RUNNING, Entry
from sinesweep.sweep.note import Subject
from sinesweep.sweep.page import SweepPage
from sinesweep.sweep.reporter import progress
from sinesweep.sweep.results import BEST_FILE, TRIALS_FILE, Results
from sinesweep.tracking import pages
from sinesweep.tracking.record import Record
from sinesweep.tracking.sweep_delivery import SweepDelivery
from sinesweep.tracking.sweep_record import SweepRecord

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TRIALS = 250
NAME = "many"


def trial(folder: Path, number: int) -> Entry:
    """Make a trial; every fourth is pruned, and the later the better."""
    is_pruned = number % 4 == 3
    return Entry(
        number=number,
        state=PRUNED if is_pruned else COMPLETE,
        outcome=PRUNED if is_pruned else COMPLETE,
        values=None if is_pruned else (1 / (1 + number),),
        params={"model.layers": 1 + number % 3, "model.width": 8 + number % 7},
        overrides=[f"model.layers={1 + number % 3}"],
        directory=folder / "trials" / str(number),
        start=0.0,
        seconds=1.0,
        error=None,
        origin=None,
    )


def work(entry: Entry) -> None:
    """Write what a worker writes of a trial."""
    assert entry.directory is not None
    entry.directory.mkdir(parents=True)
    own = Record(entry.directory)
    own.append(
        "begin", name=entry.name, experiment=NAME, params=dict(entry.params),
        tags={"sinesweep.run": f"{NAME}-{entry.number}", "sinesweep.state": RUNNING}, datasets=[],
    )  # fmt: skip
    own.append_metrics({"objective": 0.5}, 0)
    if entry.values:
        own.append_metrics(
            {"value": entry.values[0], "reference/test_mae": 0.2 + entry.values[0]}, 0
        )


@pytest.fixture(scope="module")
def folder(tracked: Tracked) -> Path:
    """Record a sweep of hundreds of trials where the server looks, without running it."""
    folder = tracked.root / "sweeps" / NAME
    folder.mkdir()
    (folder / "report.html").write_text("<h1>The report</h1>")
    account = SweepRecord(folder)
    account.begin(name=NAME, experiment=NAME, params={}, tags={})
    subject = Subject(
        "How many are too many?", ["val/mae"], ["minimize"], TRIALS, folder,
        again="python app.py -m x=1", rerun=lambda entry: f"python app.py x={entry.number}",
    )  # fmt: skip
    own_page = SweepPage(NAME, subject, account)
    entries: list[Entry] = []
    for number in range(TRIALS):
        entries.append(trial(folder, number))
        work(entries[-1])
        account.trial_ended(entries[-1])
        account.log(progress(entries, ["minimize"]), step=len(entries))
        own_page.refresh(entries)
    write_tables(folder, entries)
    for name in (TRIALS_FILE, BEST_FILE, "report.html"):
        account.log_artifact(folder / name)
    account.end(COMPLETE, None)
    SweepDelivery(folder, tracked.location).pump()
    return folder


def write_tables(folder: Path, entries: Sequence[Entry]) -> None:
    """Write the tables of a sweep."""
    results = Results(folder, ["minimize"])
    results.write_trials(entries)
    results.write_best(entries, lambda entry: f"python app.py x={entry.number}")


def test_hundreds_of_trials_fold_into_their_sweep(folder: Path, server: Server, page: Page) -> None:
    """The experiment's page shows one row for a sweep, whatever its number of trials."""
    page.goto(server.address(pages.experiment_page(folder)))
    page.locator(".ag-row").get_by_role("link", name=NAME, exact=True).wait_for()

    assert run_names(page) == [NAME]


def test_the_page_of_a_large_sweep_does_alone(
    folder: Path, server: Server, page: Page, shoot: Callable[..., None]
) -> None:
    """Note, counts, the best over trials, tables and report are on the sweep's own page."""
    page.goto(server.address(pages.run_page(folder)))
    page.get_by_text("Show more").click()
    note = page.get_by_test_id("note-view-outer-container").first.inner_text()
    assert "How many are too many?" in note
    assert "trial-00249 with model.layers=1 model.width=12: reference/test_mae 0.204" in note
    assert "250 of 250 trials (188 complete, 62 pruned)" in note
    assert "trials.csv, best.yaml, report.html" in note
    for name, value in (("trials/complete", "188"), ("trials/pruned", "62")):
        page.get_by_role("row").filter(has_text=name).filter(has_text=value).wait_for()

    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_text(f"{NAME} (best/reference/test_mae)").wait_for()
    path = page.locator("svg .scatterlayer .js-line").first
    path.wait_for()
    assert len(path.get_attribute("d") or "") > TRIALS  # a curve, and no point
    shoot("many")

    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report.html").click()
    page.frame_locator("iframe").get_by_text("The report").wait_for()
