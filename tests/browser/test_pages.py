"""What a person sees of a sweep on MLflow's pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from looking import HEIGHT, Server, Tracked, run_names, titles
from mlflow import MlflowClient

from sinesweep.sweep.ranking import ranked
from sinesweep.tracking import pages
from sinesweep.tracking.record import metric_history

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from sinesweep.sweep.entry import Entry

pytestmark = pytest.mark.browser

SWEEP = "depth_width_decay"
PARAMS = ["model.layers", "model.width", "data.decay.low", "data.decay.high"]
REPORTED = "reference/test_mae"

Shoot = Callable[..., None]


def ranked_trials(tracked: Tracked) -> list[Entry]:
    """Return the completed trials, the best first."""
    return ranked(tracked.archive.entries, tracked.archive.directions)


def _latest_first(tracked: Tracked) -> list[str]:
    """Return the trials' names as they started: two workers start their first in either order."""
    client = MlflowClient(tracked.location.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'damped-sines'")
    runs = client.search_runs(
        [experiment.experiment_id],
        "tags.`sinesweep.trial` != ''",
        order_by=["attributes.start_time DESC"],
    )
    return [run.info.run_name or "" for run in runs]


def test_trials_are_alike(tracked: Tracked) -> None:
    """Every completed trial has the params and metrics that charts need, as numbers."""
    client = MlflowClient(tracked.location.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'damped-sines'")
    runs = client.search_runs(
        [experiment.experiment_id],
        "tags.`sinesweep.trial` != '' and attributes.status = 'FINISHED'",
    )
    assert {run.info.run_name for run in runs} == {entry.name for entry in ranked_trials(tracked)}
    for run in runs:
        for key in [*PARAMS, "optimizer.lr"]:
            float(run.data.params[key])
        assert {"value", "val/mae", "reference/val_mae", REPORTED} <= set(run.data.metrics)
        assert run.info.end_time > run.info.start_time
    assert len({tuple(sorted(run.data.params)) for run in runs}) == 1
    assert len({tuple(sorted(run.data.metrics)) for run in runs}) == 1


def test_trials_are_nested_under_their_sweep(
    tracked: Tracked, server: Server, page: Page, shoot: Shoot
) -> None:
    """The page that ``sinesweep ui`` names lists sweeps, and below one its trials."""
    address = server.said[0].removesuffix("  (Ctrl-C ends it)")
    assert address == server.address(pages.experiment_page(tracked.archive.folder))
    page.goto(address)
    page.get_by_role("link", name=SWEEP).wait_for()
    assert run_names(page) == [SWEEP]

    page.locator(".ag-pinned-left-cols-container .ag-row button").click()
    page.get_by_role("link", name="trial-00000").wait_for()
    names = _latest_first(tracked)
    assert sorted(names) == sorted(entry.name for entry in tracked.archive.entries)
    assert run_names(page) == [SWEEP, *names]
    assert titles(page)[:7] == [
        "Run Name", "Created", "Duration", f"best/{REPORTED}", "value", REPORTED, PARAMS[0],
    ]  # fmt: skip
    shoot("experiment")


def test_columns_that_matter_come_first(
    tracked: Tracked, server: Server, page: Page, shoot: Shoot
) -> None:
    """A sweep's own view has its trials, the best first, and what they are compared by."""
    page.goto(server.address(pages.trials_page(tracked.archive.folder)))
    best = ranked_trials(tracked)
    page.get_by_role("link", name=best[0].name).wait_for()
    page.get_by_text(f"{len(tracked.archive.entries)} matching runs").wait_for()

    assert run_names(page)[: len(best)] == [entry.name for entry in best]
    assert titles(page) == ["Run Name", "Created", "Duration", "value", REPORTED, *PARAMS]
    page.get_by_role("button", name=SWEEP).wait_for()  # among the views, by its name
    shoot("trials")


def test_charts_of_a_sweep(tracked: Tracked, server: Server, page: Page, shoot: Shoot) -> None:
    """The view's charts are parallel coordinates, and a scatter plot for each parameter."""
    page.goto(server.address(pages.trials_page(tracked.archive.folder, charts=True)))
    for key in (*PARAMS, REPORTED):
        page.locator("svg g.axis text.label", has_text=key[-5:]).first.wait_for()
    assert_scatters(page, PARAMS[0])
    shoot("charts")

    page.get_by_text(f"{PARAMS[0]} vs. {REPORTED}").hover()
    page.mouse.wheel(0, HEIGHT / 2)  # what is out of sight is not drawn
    for key in PARAMS[1:]:
        assert_scatters(page, key)


def assert_scatters(page: Page, key: str) -> None:
    """There is a scatter plot of the reported figure over a parameter."""
    page.locator("svg text.xtitle", has_text=key).wait_for()
    page.locator("svg text.ytitle", has_text=REPORTED).first.wait_for()


def test_compare_shows_parallel_coordinates_and_scatter(
    tracked: Tracked, server: Server, page: Page, shoot: Shoot
) -> None:
    """Trials that are selected and compared are lines over depth, decay range and MAE."""
    page.goto(server.address(pages.trials_page(tracked.archive.folder)))
    page.get_by_role("link", name=ranked_trials(tracked)[0].name).wait_for()
    page.locator(".ag-header-row .ag-checkbox-input").first.check()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text(f"Comparing {len(tracked.archive.entries)} Runs").wait_for()
    page.locator("text.axis-title").first.wait_for()

    axes = page.locator("text.axis-title").all_text_contents()
    assert {"model.layers", "data.decay.low", "data.decay.high"} <= set(axes)
    assert any(axis.endswith("mae") or axis == "value" for axis in axes)
    shoot("compare")

    page.get_by_role("tab", name="Scatter Plot").click()
    for now, axis in (("artifacts.figures", "model.width"), ("baseline/", REPORTED)):
        page.get_by_role("combobox").filter(has_text=now).click()
        page.get_by_role("option", name=axis, exact=True).click()
    page.locator("svg text.xtitle", has_text="model.width").wait_for()
    page.locator("svg text.ytitle", has_text=REPORTED).wait_for()
    shoot("scatter")


def test_the_note_answers_the_question(
    tracked: Tracked, server: Server, page: Page, shoot: Shoot
) -> None:
    """The sweep's page says what was asked, what was found beside the baselines, and what next."""
    page.goto(server.address(pages.run_page(tracked.archive.folder)))
    page.get_by_text("Show more").click()
    note = page.get_by_test_id("note-view-outer-container").first
    words = re.sub(r"\s+", " ", note.inner_text())
    best = ranked_trials(tracked)[0]
    assert best.directory is not None
    assert best.values is not None
    metrics = {name: told[-1][1] for name, told in metric_history(best.directory).items()}

    assert "how do depth and width trade off as the decay range" in words
    assert f"{best.name} with model.layers={best.params['model.layers']}" in words
    assert f"{REPORTED} {metrics[REPORTED]:.4g} (linear map" in words
    assert f"{best.values[0]:.4g}" not in words  # it was chosen by this
    assert "Tried: 12 of 12 trials" in words
    assert "trials.csv, best.yaml" in words
    shoot("note")

    with page.context.expect_page() as opened:
        note.get_by_role("link", name="their table").click()
    opened.value.get_by_role("link", name=best.name).wait_for()
    assert "viewStateShareKey" in opened.value.url


def test_figures_open_in_the_artifact_pane(
    tracked: Tracked, server: Server, page: Page, shoot: Shoot
) -> None:
    """A trial's figure is shown beside its files."""
    best = ranked_trials(tracked)[0]
    assert best.directory is not None
    page.goto(server.address(pages.run_page(best.directory)))
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("forecasts.png").first.click()
    image = page.locator("img[src^='blob:'], img[alt*='forecasts'], .image-outer-container img")
    image.first.wait_for()
    page.wait_for_function(
        "[...document.images].some(image => image.naturalWidth > 500 && image.offsetWidth > 100)"
    )
    shoot("figures")
