"""The answers beyond the search: against the baselines, depth beyond noise, several objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sinesweep.report.evidence import median_interval, verdict
from sinesweep.report.given_up import only_completed
from sinesweep.report.parameters import grouped
from sinesweep.report.picture import (
    COMPLETE,
    FAINT,
    INK,
    MUTED,
    Picture,
    axis,
    hover,
    label,
    rounded,
    scatter,
    value_axis,
)
from sinesweep.report.relatives import Relative
from sinesweep.report.replicas import middles, replicated_by
from sinesweep.report.subject import (
    BASELINES,
    LAYERS,
    NOISE,
    REPORTED,
    Subject,
    Trial,
    baseline_name,
)
from sinesweep.sweep.ranking import values_of
from sinesweep.sweep.wording import brief, figure

_OWN = "test/mae"  # on data like those that it was trained on
_SEED = "seed"


def baselines(subject: Subject, beside: Sequence[Relative] = ()) -> list[Picture]:
    """Draw the best network's MAE on the reference test set beside those of the baselines.

    Args:
        subject: the sweep.
        beside: the same sweep of data with another noise.
    """
    own = _best_by_noise(subject)
    others = {f"{NOISE}={brief(each.noise)} (sweep {each.name})": each.best for each in beside}
    best = {
        words: trial
        for words, trial in {**own, **others}.items()
        if baseline_name("linear", REPORTED) in trial.metrics
    }
    if not own or not best:
        return []
    names = {"best network": REPORTED} | {
        words: baseline_name(name, REPORTED) for name, words in BASELINES.items()
    }
    colours = dict(zip(names, (COMPLETE, INK, MUTED, FAINT), strict=True))
    traces = [
        {
            "type": "bar",
            "name": words,
            "x": [label(noise).replace(" (", "<br>(") for noise in best],
            "y": rounded([trial.metrics[name] for trial in best.values()]),
            "text": [figure(trial.metrics[name]) for trial in best.values()],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": {"color": colours[words]},
            "hoverinfo": "skip",
        }
        for words, name in names.items()
        if all(name in trial.metrics for trial in best.values())
    ]
    layout = {
        "barmode": "group",
        "xaxis": {"type": "category"},
        "yaxis": axis(REPORTED, rangemode="tozero"),
        "showlegend": True,
    }
    sentence = " ".join(_against(words, trial) for words, trial in best.items())
    return [Picture("baselines", "Against the baselines", sentence, traces, layout)]


def _best_by_noise(subject: Subject) -> dict[str, Trial]:
    """Return the best trial, by what trials are chosen by, for each noise of the data."""
    if not subject.best:
        return {}
    if NOISE not in subject.varied:
        noise = subject.settings.get(NOISE, "unknown")
        return {f"data.noise={brief(noise)}": subject.best[0]}
    return {
        words: min(trials, key=lambda trial: (subject.sign * trial.value, trial.number))
        for words, trials in grouped(subject, NOISE).items()
    }


def _against(words: str, trial: Trial) -> str:
    own, linear = trial.metrics[REPORTED], trial.metrics[baseline_name("linear", REPORTED)]
    sentence = (
        f"With {words}, trial {trial.number} has a {REPORTED} of {figure(own)}, "
        f"{figure(own / linear)} times the linear map's {figure(linear)}"
    )
    last = trial.metrics.get(baseline_name("last_value", REPORTED))
    if last:
        sentence += f", and {_beside(own, last)} than repeating the last value"
    owned = trial.metrics.get(_OWN), trial.metrics.get(baseline_name("linear", _OWN))
    if owned[0] is not None and owned[1]:
        sentence += (
            f"; on its own test set it has a {_OWN} of {figure(owned[0])}, "
            f"{figure(owned[0] / owned[1])} times the linear map's {figure(owned[1])}"
        )
    return f"{sentence}."


def _beside(own: float, other: float) -> str:
    """Return ``31% more`` or ``31% less``."""
    return f"{abs(1 - own / other):.0%} {'more' if own > other else 'less'}"


# depth


def depth(subject: Subject) -> list[Picture]:
    """Draw what each depth came to on the reference test set, with its interval.

    Where the best of each depth was trained again under fresh seeds, that is drawn.
    """
    again = replicated_by(subject, LAYERS)
    if again:
        return [again]
    judged = [t for t in subject.completed if REPORTED in t.metrics and LAYERS in t.params]
    groups: dict[str, list[Trial]] = {}
    for trial in sorted(judged, key=lambda trial: trial.params[LAYERS]):
        count = trial.params[LAYERS]
        groups.setdefault(f"{count} layer{'s' * (count != 1)}", []).append(trial)
    told = {words: [trial.metrics[REPORTED] for trial in t] for words, t in groups.items()}
    if not told or LAYERS not in subject.varied:
        return []
    alone = only_completed(subject, LAYERS)
    first = alone or verdict(told, 1, REPORTED)
    sentences = [first, _best_of_each(groups, subject), _seed_noise(subject)]
    values = [value for group in told.values() for value in group]
    layout = {"xaxis": {"type": "category"}, "yaxis": value_axis(REPORTED, values)}
    traces = [_points(subject, groups), _medians(told)]
    return [Picture("depth", "Does depth pay?", " ".join(sentences), traces, layout)]


def _points(subject: Subject, groups: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    pairs = [(words, trial) for words, trials in groups.items() for trial in trials]
    return scatter(
        [words for words, _ in pairs],
        [trial.metrics[REPORTED] for _, trial in pairs],
        mode="markers",
        name="trials",
        marker={"color": COMPLETE, "size": 7, "opacity": 0.65},
        text=[hover(subject, trial) for _, trial in pairs],
        hoverinfo="text",
    )


def _medians(told: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    medians = [float(np.median(values)) for values in told.values()]
    bounds = [median_interval(values) for values in told.values()]
    return middles(list(told), medians, bounds, "median, 95% interval")


def _best_of_each(groups: Mapping[str, Sequence[Trial]], subject: Subject) -> str:
    parts = []
    for words, trials in groups.items():
        best = min(trials, key=lambda trial: (subject.sign * trial.value, trial.number))
        parts.append(f"{words} {figure(best.metrics[REPORTED])} (trial {best.number})")
    return f"The best chosen of each depth: {', '.join(parts)}."


def _seed_noise(subject: Subject) -> str:
    """Say how much the seed alone changes the result, where the sweep can tell."""
    told = [
        [trial.metrics[REPORTED], *(again[REPORTED] for again in trial.repeats)]
        for trial in subject.completed
        if trial.repeats and all(REPORTED in each for each in (trial.metrics, *trial.repeats))
    ] or _same_but_for_seed(subject)
    if not told:
        return (
            "Each point was trained with one seed; how much another one would change is measured "
            f"by: sinesweep replicate {subject.name} --each {LAYERS}"
        )
    spread = float(np.sqrt(np.mean([np.var(values, ddof=1) for values in told])))
    return (
        f"The seed alone moves a result by {figure(spread)} (standard deviation, of {len(told)} "
        f"point{'s' * (len(told) != 1)} trained with several seeds)."
    )


def _same_but_for_seed(subject: Subject) -> list[list[float]]:
    if _SEED not in subject.varied:
        return []
    found: dict[str, list[float]] = {}
    for trial in subject.completed:
        if REPORTED in trial.metrics:
            point = {key: value for key, value in trial.params.items() if key != _SEED}
            found.setdefault(repr(sorted(point.items())), []).append(trial.metrics[REPORTED])
    return [values for values in found.values() if len(values) > 1]


# several objectives


def pareto(subject: Subject) -> list[Picture]:
    """Draw the first two objectives, and which trials no other dominates."""
    if subject.has_one_objective or not subject.best:
        return []
    best = sorted(subject.best, key=lambda trial: values_of(trial.entry)[0])
    optimal = {trial.number for trial in best}
    others = [trial for trial in subject.completed if trial.number not in optimal]
    traces = [
        _plane(
            subject,
            others,
            _words_of_others(others),
            mode="markers",
            marker={"color": MUTED, "size": 6},
        ),
        _plane(
            subject,
            best,
            "Pareto set",
            mode="lines+markers" if len(subject.objectives) == 2 else "markers",
            line={"color": COMPLETE, "dash": "dot", "width": 1},
            marker={"color": COMPLETE, "size": 10, "symbol": "diamond"},
        ),
    ]
    columns = list(zip(*(values_of(trial.entry) for trial in subject.completed), strict=True))
    names = subject.objectives
    layout = {
        "xaxis": value_axis(names[0], columns[0]),
        "yaxis": value_axis(names[1], columns[1]),
        "showlegend": True,
    }
    title = f"{names[0]} against {names[1]}"
    return [Picture("pareto", title, _pareto_sentence(subject), traces, layout, 420, is_wide=True)]


def _words_of_others(others: Sequence[Trial]) -> str:
    return "dominated" if all(trial.entry.is_feasible for trial in others) else "others"


def _plane(subject: Subject, trials: Sequence[Trial], name: str, **more: Any) -> dict[str, Any]:
    values = [values_of(trial.entry) for trial in trials]
    return scatter(
        rounded([value[0] for value in values]),
        [value[1] for value in values],
        name=name,
        text=[hover(subject, trial) for trial in trials],
        hoverinfo="text",
        **more,
    )


def _judged(subject: Subject) -> str:
    feasible = sum(trial.entry.is_feasible for trial in subject.completed)
    if feasible == len(subject.completed):
        return f"{feasible} completed trials"
    return f"{feasible} completed trials that satisfy their constraints"


def _pareto_sentence(subject: Subject) -> str:
    if len(subject.best) == 1:
        return f"Trial {subject.best[0].number} is the best in all of them."
    parts = []
    for index, (name, direction) in enumerate(
        zip(subject.objectives, subject.directions, strict=True)
    ):
        values = [values_of(trial.entry)[index] for trial in subject.best]
        found = max(values) if direction == "maximize" else min(values)
        parts.append(f"{name} {figure(found)}")
    return (
        f"{len(subject.best)} of {_judged(subject)} are dominated by none; "
        f"at their ends {' or '.join(parts)} can be had, but not all at once."
    )
