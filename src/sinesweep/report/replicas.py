"""What fresh seeds said, where ``sinesweep replicate`` trained points of the sweep again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sinesweep.files import read_json, warn_of_damage
from sinesweep.report.evidence import FEWEST
from sinesweep.report.files import replication_file, replication_files
from sinesweep.report.picture import COMPLETE, INK, Picture, rounded, scatter, value_axis
from sinesweep.report.subject import Subject, Trial
from sinesweep.sweep.wording import counted, figure
from sinesweep.winner.verdict import ENOUGH


def of_trial(subject: Subject, trial: Trial) -> str:
    """Say in a sentence or two what fresh seeds made of a trial, or how to find out."""
    found = [
        (content, point)
        for content in map(_content, replication_files(subject.folder))
        for point in content.get("points", ())
        if point["trial"] == trial.number and point["values"]
    ]
    if not found:
        tried = counted(1 + len(trial.repeats), "seed")
        return (
            f"It was trained with {tried}; how much others would change is measured by: "
            f"sinesweep replicate {subject.name}"
        )
    content, point = max(found, key=lambda pair: len(pair[1]["values"]))
    values, metric, own = list(point["values"].values()), content["metric"], point["sweep_value"]
    text = f"Over {counted(len(values), 'fresh seed')} its mean {metric} is {figure(point['mean'])}"
    if len(values) < FEWEST:
        text += ": too few for a verdict"
    else:
        low, high = point["interval"]
        text += f" (95% interval {figure(low)} .. {figure(high)}"
        text += f", too narrow for fewer than {ENOUGH} seeds)" if len(values) < ENOUGH else ")"
    if own is None:
        return f"{text}."
    sign = -1 if content["direction"] == "maximize" else 1
    beaten = sum(sign * own < sign * value for value in values)
    return (
        f"{text}; the {figure(own)} of the sweep's seed is better than {beaten} of {len(values)}."
    )


def _content(path: Path) -> dict[str, Any]:
    loss = "the report leaves it out; `sinesweep replicate` writes it again"
    content = read_json(path, loss)
    if content is None:
        return {}
    if "points" not in content:
        warn_of_damage(path, "it has no points", loss)
    return content


def replicated_by(subject: Subject, key: str) -> Picture | None:
    """Draw what the best point with each value of a key came to under fresh seeds, if it was tried.

    ``sinesweep replicate SWEEP --each KEY`` leaves it in the sweep's folder.
    """
    content = _content(subject.folder / replication_file(key))
    points = [point for point in content.get("points", ()) if point["interval"]]
    if not points:
        return None
    points.sort(key=lambda point: point["params"][key])
    pairs = [(p["label"], value) for p in points for value in p["values"].values()]
    traces = [
        scatter(
            [name for name, _ in pairs],
            [value for _, value in pairs],
            mode="markers",
            name="one seed",
            marker={"color": COMPLETE, "size": 7, "opacity": 0.65},
            hovertemplate="%{y:.4g}<extra></extra>",
        ),
        middles(
            [point["label"] for point in points],
            [point["mean"] for point in points],
            [point["interval"] for point in points],
            "mean, 95% interval",
        ),
    ]
    layout = {
        "xaxis": {"type": "category"},
        "yaxis": value_axis(content["metric"], [value for _, value in pairs]),
    }
    sentence = " ".join(_replicated(content, points))
    return Picture("depth", "Does depth pay, beyond the noise of seeds?", sentence, traces, layout)


def _replicated(content: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> list[str]:
    told = ", ".join(
        f"{point['label']} {figure(point['mean'])} ({figure(point['interval'][0])} .. "
        f"{figure(point['interval'][1])})"
        for point in points
    )
    seeds = [len(point["values"]) for point in points]
    sentences = [
        f"The best point with nothing else changed, each under {max(seeds)} fresh seeds, mean "
        f"{content['metric']} and its 95% interval: {told}."
    ]
    drawn = {point["label"] for point in points}
    pairs = [pair for pair in content["pairs"] if {pair["first"], pair["second"]} <= drawn]
    for pair in pairs:
        if pair["seeds"] < FEWEST:
            continue
        first, second = pair["first"], pair["second"]
        low, high = pair["interval"]
        if not pair["distinguishable"]:
            said = f"{first} and {second} cannot be told apart"
        elif (pair["difference"] < 0) == (content["direction"] == "minimize"):
            said = f"{first} beats {second}"
        else:
            said = f"{second} beats {first}"
        sentences.append(f"{said} beyond that noise (difference {low:+.2g} .. {high:+.2g}).")
    return [*sentences, *_warnings([*seeds, *(pair["seeds"] for pair in pairs)])]


def _warnings(seeds: Sequence[int]) -> list[str]:
    few = min(seeds)
    if few >= ENOUGH:
        return []
    warnings = [f"Intervals of fewer than {ENOUGH} seeds are too narrow."]
    return [*warnings, f"No verdict is given by fewer than {FEWEST}."] if few < FEWEST else warnings


def middles(
    names: Sequence[str],
    middles: Sequence[float],
    bounds: Sequence[Sequence[float]],
    words: str,
) -> dict[str, Any]:
    """Return a trace of middles between their bounds, (low, high) each."""
    error = {
        "type": "data",
        "symmetric": False,
        "array": rounded([high - m for (_, high), m in zip(bounds, middles, strict=True)]),
        "arrayminus": rounded([m - low for (low, _), m in zip(bounds, middles, strict=True)]),
        "color": INK,
    }
    return scatter(
        names,
        middles,
        mode="markers",
        name=words,
        marker={"color": INK, "symbol": "diamond", "size": 11},
        error_y=error,
        hovertemplate="%{y:.4g}<extra></extra>",
    )
