"""What the parameters have to do with the value: importances, all of them at once, one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sinesweep.report.evidence import verdict
from sinesweep.report.given_up import only_completed
from sinesweep.report.picture import (
    BAND,
    COMPLETE,
    FAINT,
    INK,
    MUTED,
    Picture,
    axis,
    hover,
    label,
    param_axis,
    rounded,
    scatter,
    value_axis,
)
from sinesweep.report.subject import Subject, Trial, are_numbers
from sinesweep.sweep.wording import brief, short_names

_MOST_GROUPS = 8  # values of a parameter that are compared one by one; more are put in bins
_BINS = 5
_FEW = 20  # completed trials: with fewer, importances are a hint at most
_MOST_SLICES = 12  # the parameters that matter most


def importances(subject: Subject) -> list[Picture]:
    """Draw each parameter's share."""
    if len(subject.importances) < 2:
        return []
    shares = list(subject.importances.items())[::-1]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": rounded([share for _, share in shares]),
        "y": [label(key) for key, _ in shares],
        "text": [f"{share:.0%}" for _, share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": COMPLETE},
        "hoverinfo": "skip",
    }
    layout = {
        "xaxis": axis("share", tickformat=".0%", rangemode="tozero"),
        "yaxis": {"type": "category"},
    }
    key, share = shares[-1]
    count = len(subject.completed)
    sentence = (
        f"{key} has most to do with being among the best quarter of {count} completed trials "
        f"{_ranking_words(subject)}: {share:.0%} of what the parameters explain (PED-ANOVA)."
    )
    if count < _FEW:
        sentence += " So few trials give a hint at most."
    height = 110 + 30 * len(shares)
    title = "Which parameters matter"
    return [Picture("importances", title, sentence, [trace], layout, max(height, 240))]


def _ranking_words(subject: Subject) -> str:
    if subject.has_one_objective:
        return f"by {subject.objectives[0]}"
    return f"by how few dominate them in {' and '.join(subject.objectives)}"


# all at once


def parallel(subject: Subject) -> list[Picture]:
    """Draw a line for each completed trial through its parameters and its values."""
    trials = subject.completed
    keys = [key for key in subject.varied if any(key in trial.params for trial in trials)]
    if len(trials) < 2 or not keys:
        return []
    costs = [subject.sign * trial.value for trial in trials]
    names = short_names(keys)
    axes = [_dimension(subject, trials, key, names[key]) for key in keys]
    for index, name in enumerate(subject.objectives):
        told = [trial.entry.values[index] for trial in trials if trial.entry.values]
        axes.append({"label": label(name), "values": rounded(told)})
    # By rank, so that one bad outlier does not take all colours; the best are drawn on top.
    places = 1 - np.argsort(np.argsort(costs)) / (len(costs) - 1)
    trace = {
        "type": "parcoords",
        "dimensions": axes,
        "line": {
            "color": rounded(places.tolist()),
            "colorscale": [[0, FAINT], [0.5, MUTED], [1, COMPLETE]],
            "cmin": 0,
            "cmax": 1,
        },
        "labelangle": 0,
    }
    layout = {"margin": {"t": 60, "l": 70, "r": 70, "b": 30}}
    return [
        Picture(
            "parallel",
            "All parameters at once",
            _parallel_sentence(subject, keys),
            [trace],
            layout,
            380,
            is_wide=True,
            least_width=100 + 100 * len(axes),
        )
    ]


def _dimension(subject: Subject, trials: Sequence[Trial], key: str, name: str) -> dict[str, Any]:
    told = [trial.params.get(key) for trial in trials]
    known = [value for value in subject.values_of(key) if value is not None]
    if known and are_numbers(known):
        return {"label": label(name), **_numeric(told, known, key in subject.logarithmic)}
    words = [label(value) for value in known]
    places = {repr(value): place for place, value in enumerate(known)}
    if any(value is None for value in told):
        places[repr(None)] = len(words)
        words.append("none")
    return {
        "label": label(name),
        "values": [places[repr(value)] for value in told],
        "tickvals": list(range(len(words))),
        "ticktext": words,
        "range": [-0.2, len(words) - 0.8],
    }


def _numeric(told: Sequence[Any], known: Sequence[Any], is_log: bool) -> dict[str, Any]:
    """Place numbers on an axis, and where a trial has none, below it."""
    place = math.log10 if is_log else float
    low, high = place(min(known)), place(max(known))
    room = (high - low) or 1.0
    ticks = known if len(known) <= _MOST_GROUPS else _round_ticks(low, high, is_log)
    found: dict[str, Any] = {
        "tickvals": [place(tick) for tick in ticks],
        "ticktext": [brief(tick) for tick in ticks],
        "range": [low, high] if high > low else [low - 0.5, low + 0.5],
    }
    if any(value is None for value in told):
        below = low - 0.15 * room
        found["tickvals"].append(below)
        found["ticktext"].append("none")
        found["range"][0] = below
        return {**found, "values": rounded([below if v is None else place(v) for v in told])}
    return {**found, "values": rounded([place(value) for value in told])}


def _round_ticks(low: float, high: float, is_log: bool) -> list[float]:
    places = np.linspace(low, high, 5)
    return [float(f"{10**place if is_log else place:.2g}") for place in places]


def _parallel_sentence(subject: Subject, keys: Sequence[str]) -> str:
    count, name = len(subject.completed), subject.objectives[0]
    good = _best_share(subject)
    text = (
        f"Each line is one of {count} completed trials, the blue ones have the best {name}; "
        "drag along an axis to select. "
    )
    alone = [key for key in keys if only_completed(subject, key)]
    shared = _spans(subject.completed, alone)
    spans = _spans(good, [key for key in keys if key not in alone])
    if spans:
        text += f"The best {len(good)} by it have {spans}. "
    return text + (f"All completed trials have {shared}." if shared else "")


def _spans(trials: Sequence[Trial], keys: Sequence[str]) -> str:
    return ", ".join(span for span in (_span(trials, key) for key in keys) if span)


def _best_share(subject: Subject) -> list[Trial]:
    order = sorted(subject.completed, key=lambda trial: (subject.sign * trial.value, trial.number))
    return order[: max(2, len(order) // 10)]


def _span(trials: Sequence[Trial], key: str) -> str:
    values = [trial.params[key] for trial in trials if key in trial.params]
    if not values:
        return ""
    if are_numbers(values):
        low, high = brief(min(values)), brief(max(values))
        return f"{key} {low}" if low == high else f"{key} {low} to {high}"
    return f"{key} " + " or ".join(dict.fromkeys(brief(value) for value in values))


# one by one


def slices(subject: Subject) -> list[Picture]:
    """Draw the value against each parameter, with medians and quartiles."""
    return [_slice(subject, key, place) for place, key in enumerate(sliced_keys(subject))]


def sliced_keys(subject: Subject) -> list[str]:
    """Return the parameters that are shown one by one, those that matter most first."""
    if len(subject.completed) < 2:
        return []
    known = {key for trial in subject.completed for key in trial.params}
    order = dict.fromkeys([*subject.importances, *subject.varied])
    return [key for key in order if key in subject.varied and key in known][:_MOST_SLICES]


def _slice(subject: Subject, key: str, place: int) -> Picture:
    groups = grouped(subject, key)
    name = subject.objectives[0]
    is_numeric = are_numbers(subject.values_of(key))
    trials = [trial for trial in subject.completed if key in trial.params]
    x = [trial.params[key] if is_numeric else label(trial.params[key]) for trial in trials]
    values = [trial.value for trial in trials]
    points = scatter(
        rounded(x),
        values,
        mode="markers",
        name="trials",
        marker={"color": COMPLETE, "size": 7, "opacity": 0.65},
        text=[hover(subject, trial) for trial in trials],
        hoverinfo="text",
    )
    horizontal = param_axis(subject, key) if is_numeric else axis(key, type="category")
    if is_numeric and len(subject.values_of(key)) <= _MOST_GROUPS:
        horizontal |= {"tickmode": "array", "tickvals": subject.values_of(key)}
    layout = {"xaxis": horizontal, "yaxis": value_axis(name, values)}
    told = {words: [trial.value for trial in group] for words, group in groups.items()}
    return Picture(
        f"slice-{place}",
        f"{name} by {key}",
        (only_completed(subject, key) or verdict(told, subject.sign, name)) + subject.remark,
        [*_band(groups, key, is_numeric), points],
        layout,
    )


def grouped(subject: Subject, key: str) -> dict[str, list[Trial]]:
    """Return the completed trials by a parameter: by its value, or by bins of many values."""
    trials = [trial for trial in subject.completed if key in trial.params]
    if not trials:
        return {}
    values = subject.values_of(key)
    if len(values) <= _MOST_GROUPS or not are_numbers(values):
        groups = {f"{key}={brief(value)}": [] for value in values}
        for trial in trials:
            groups[f"{key}={brief(trial.params[key])}"].append(trial)
        return {words: group for words, group in groups.items() if group}
    trials.sort(key=lambda trial: trial.params[key])
    parts = np.array_split(np.arange(len(trials)), min(_BINS, len(trials)))
    groups = {}
    for part in parts:
        words, inside = _bin([trials[index] for index in part], key)
        groups.setdefault(words, []).extend(inside)  # many trials of one value fill several bins
    return groups


def _bin(trials: list[Trial], key: str) -> tuple[str, list[Trial]]:
    low, high = brief(trials[0].params[key]), brief(trials[-1].params[key])
    return (f"{key} {low} to {high}" if low != high else f"{key}={low}"), trials


def _band(
    groups: Mapping[str, Sequence[Trial]], key: str, is_numeric: bool
) -> list[dict[str, Any]]:
    """Return the median of each group, between quartiles."""
    told = [np.array([trial.value for trial in group]) for group in groups.values()]
    low, middle, high = (
        [float(np.percentile(values, percent)) for values in told] for percent in (25, 50, 75)
    )
    x = [
        float(np.median([trial.params[key] for trial in group]))
        if is_numeric
        else label(group[0].params[key])
        for group in groups.values()
    ]
    if not is_numeric:
        error = {
            "type": "data",
            "symmetric": False,
            "array": rounded([h - m for h, m in zip(high, middle, strict=True)]),
            "arrayminus": rounded([m - w for w, m in zip(low, middle, strict=True)]),
            "color": INK,
        }
        marker = {"color": INK, "symbol": "line-ew-open", "size": 22}
        return [scatter(x, middle, mode="markers", name="median", marker=marker, error_y=error)]
    edge = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    return [
        scatter(x, low, **edge),
        scatter(x, high, **edge, fill="tonexty", fillcolor=BAND),
        scatter(
            x,
            middle,
            mode="lines+markers",
            name="median",
            line={"color": INK, "width": 2},
            hovertemplate="median %{y:.4g}<extra></extra>",
        ),
    ]
