"""Where MLflow's pages show a sweep, and the views that they open with its columns and charts.

An address is the part behind the server's: ``#/experiments/1/runs/0123``. A view that a user of
the pages saves is a tag of the experiment, and is listed under its name; a sweep saves its own.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sinesweep.tracking.record import STATE_TAG, Event, delivery_state

KIND_TAG = "mlflow.experimentKind"
KIND = "custom_model_development"  # the pages show runs first, not traces of language models
NOTE_TAG = "mlflow.note.content"  # the description, in markdown

_PLAIN = "workflowType=machine_learning"  # the pages' side bar for runs
_VIEW_TAG = "mlflow.sharedViewState."
_OF_ALL = "sinesweep"
_VALUE = "value"  # what the worker calls a trial's only value
# Of the parent run, which its trials do not have.
_OF_SWEEP = ("trials/complete", "trials/pruned", "trials/failed")
_FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo", "duration")
_NARROWEST, _PER_LETTER, _MARGIN = 90, 7, 30  # pixels
_MOST_SCATTERS = 8  # charts: each takes time to draw
_SECTION = "sinesweep"


def run_page(directory: Path) -> str | None:
    """Return the address of a run, or None where it was not sent yet."""
    sent = _sent(directory)
    return f"#/experiments/{sent['experiment']}/runs/{sent['run_id']}?{_PLAIN}" if sent else None


def trials_page(directory: Path, *, charts: bool = False) -> str | None:
    """Return the address of a sweep's trials in its own view, or None where it was not sent yet.

    Args:
        directory: the sweep's folder.
        charts: show the charts beside the table.
    """
    sent = _sent(directory)
    mode = "&compareRunsMode=CHART" if charts else ""
    return _view_page(sent["experiment"], sent["run_id"]) + mode if sent else None


def experiment_page(directory: Path) -> str | None:
    """Return the address of the experiment that a sweep is in, or None where it was not sent."""
    sent = _sent(directory)
    return _view_page(sent["experiment"], _OF_ALL) if sent else None


def view_tags(event: Event, run_id: str) -> dict[str, str]:
    """Return the tags of the experiment that save a sweep's views.

    Args:
        event: its ``view``: the sweep's name, the params and metrics that its trials are compared
            by, the metrics of its parent run, and whether the first metric is to be large.
        run_id: of the parent run.
    """
    views = {run_id: (event["name"], _sweep(event, run_id)), _OF_ALL: ("all sweeps", _all(event))}
    return {
        f"{_VIEW_TAG}{key}": _saved(name, state, event["time"])
        for key, (name, state) in views.items()
    }


def _sent(directory: Path) -> Mapping[str, str] | None:
    state = delivery_state(directory)
    return state if state.get("run_id") and state.get("experiment") else None


def _view_page(experiment: str, key: str) -> str:
    return f"#/experiments/{experiment}/runs?viewStateShareKey={key}&{_PLAIN}"


def _saved(name: str, state: Mapping[str, Any], time: int) -> str:
    text = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    content = {"name": name, "createdAt": time, "updatedAt": time, "state": f"deflate;{text}"}
    return json.dumps(content)


def _all(event: Event) -> dict[str, Any]:
    """Sweeps with their trials below them, newest first."""
    first, *others = event["of_sweep"]
    found = _metrics([first, *event["metrics"]]) | _params(event["params"])
    return {
        # All runs have it: without a filter the pages would not wait for the columns' order.
        "searchFilter": f"tags.`{STATE_TAG}` != ''",
        **_columns(found | _metrics([*others, *_OF_SWEEP])),
    }


def _sweep(event: Event, run_id: str) -> dict[str, Any]:
    """The trials of one sweep, the best first, with charts of how they compare."""
    return {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{run_id}'",
        "orderByKey": f"metrics.`{event['metrics'][0]}`",
        "orderByAsc": not event["maximize"],
        **_columns(_metrics(event["metrics"]) | _params(event["params"])),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": _charts(event["params"], event["metrics"]),
        "compareRunSections": [
            {"uuid": _SECTION, "name": event["name"], "display": True, "columns": 2}
        ],
        "isAccordionReordered": True,
    }


def _metrics(names: Sequence[str]) -> dict[str, str]:
    return {f"metrics.`{name}`": name for name in names}


def _params(names: Sequence[str]) -> dict[str, str]:
    return {f"params.`{name}`": name for name in names}


def _columns(titles: Mapping[str, str]) -> dict[str, Any]:
    """Show the columns of a table in this order, each wide enough for its title."""
    return {
        "selectedColumns": list(titles),
        "columnOrder": [*_FIRST_COLUMNS, *titles],
        "columnWidths": {column: _width(title) for column, title in titles.items()},
    }


def _width(title: str) -> int:
    return max(_NARROWEST, _PER_LETTER * len(title) + _MARGIN)


def _charts(params: Sequence[str], metrics: Sequence[str]) -> list[dict[str, Any]]:
    shown = metrics[-1]
    parallel = {"selectedParams": list(params), "selectedMetrics": [shown], "showAllRuns": True}
    charts = [{"type": "PARALLEL", **parallel}]
    for key in params[:_MOST_SCATTERS]:
        axes = {"xaxis": {"key": key, "type": "PARAM"}, "yaxis": {"key": shown, "type": "METRIC"}}
        charts.append({"type": "SCATTER", **axes, "runsCountToCompare": 1000})
    return [
        {"uuid": f"{_SECTION}-{index}", "metricSectionId": _SECTION, "deleted": False, **chart}
        for index, chart in enumerate(charts)
    ]
