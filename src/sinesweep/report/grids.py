"""Two parameters at once: depth and width, or another pair; and that for each decay range."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sinesweep.report.evidence import verdict
from sinesweep.report.given_up import only_completed
from sinesweep.report.picture import SCALE, Picture, axis, label, scatter, value_axis
from sinesweep.report.subject import DECAY, LAYERS, REPORTED, WIDTH, Subject, Trial, are_numbers
from sinesweep.sweep.wording import brief, figure, short_names

_MOST_SIDE = 8  # values, or bands of them, on a side of the heat map
_MOST_BANDS = 4  # of widths, where there is a map for each decay range
_MOST_RANGES = 9
_FEW_RANGES = 3  # values of an end of the range that are told apart; more are halved
_CELL, _TITLE, _SIDE = 50, 210, 130  # pixels: a cell's words, a map's title, all beside the maps
_BY_DECAY = f"{REPORTED}_by_decay/"
# Distinct for the colour-blind, and on light and dark pages.
_LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
_DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True)
class Grid:
    """Values by two keys.

    Attributes:
        rows: words of each row.
        columns: words of each column.
        cells: the values of each (row, column) that has any.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[int, int], Sequence[float]]

    def trace(self, name: str) -> dict[str, Any]:
        """Return a heat map of medians that names the count of each."""
        shape = len(self.rows), len(self.columns)
        medians: list[list[float | None]] = [[None] * shape[1] for _ in range(shape[0])]
        texts = [[""] * shape[1] for _ in range(shape[0])]
        for (row, column), values in self.cells.items():
            middle = float(np.median(values))
            medians[row][column] = float(f"{middle:.5g}")
            texts[row][column] = f"{figure(middle)}<br>n={len(values)}"
        return {
            "type": "heatmap",
            "z": medians,
            "x": [label(words) for words in self.columns],
            "y": [label(words) for words in self.rows],
            "text": texts,
            "texttemplate": "%{text}",
            "hovertemplate": f"%{{y}}, %{{x}}<br>median {label(name)} %{{text}}<extra></extra>",
            "coloraxis": "coloraxis",
            "xgap": 2,
            "ygap": 2,
        }


def heat_map(subject: Subject) -> list[Picture]:
    """Draw the median value for each pair of values of two discrete parameters."""
    found = pair_of(subject)
    if found is None:
        return []
    grid, pair = found
    name = subject.objectives[0]
    short = short_names(pair)
    told = {
        f"{pair[0]} {grid.rows[row]}, {pair[1]} {grid.columns[column]}": values
        for (row, column), values in grid.cells.items()
    }
    layout = {
        "xaxis": axis(pair[1], type="category"),
        "yaxis": axis(pair[0], type="category"),
        "coloraxis": _colours(subject),
    }
    return [
        Picture(
            "heat-map",
            f"{name} by {short[pair[0]]} and {short[pair[1]]}",
            verdict(told, subject.sign, name) + subject.remark,
            [grid.trace(name)],
            layout,
            140 + 56 * len(grid.rows),
            least_width=_SIDE + _CELL * len(grid.columns),
        )
    ]


def pair_of(subject: Subject) -> tuple[Grid, tuple[str, str]] | None:
    """Return the values by the two discrete parameters that are shown, or None without such."""
    pair = _pair(subject)
    if pair is None:
        return None
    trials = [trial for trial in subject.completed if set(pair) <= set(trial.params)]
    return _grid(subject, trials, pair, [trial.value for trial in trials]), pair


def _pair(subject: Subject) -> tuple[str, str] | None:
    if all(len(_known(subject, key)) > 1 for key in (LAYERS, WIDTH)):
        return LAYERS, WIDTH
    keys = [key for key in subject.varied if 2 <= len(_known(subject, key)) <= _MOST_SIDE]
    rank = list(subject.importances)
    keys.sort(key=lambda key: rank.index(key) if key in rank else len(rank))
    pairs = list(itertools.combinations(keys, 2))
    together = [
        pair for pair in pairs if any(set(pair) <= set(t.params) for t in subject.completed)
    ]
    return together[0] if together else None


def _known(subject: Subject, key: str) -> list[Any]:
    found = {repr(t.params[key]): t.params[key] for t in subject.completed if key in t.params}
    values = list(found.values())
    return sorted(values) if are_numbers(values) else values


def _grid(
    subject: Subject,
    trials: Sequence[Trial],
    pair: Sequence[str],
    values: Sequence[float],
    most: int = _MOST_SIDE,
) -> Grid:
    """Sort values of trials into cells; a side of too many values is put in bands."""
    rows, columns = (bands(_known(subject, key), most) for key in pair)
    cells: dict[tuple[int, int], list[float]] = {}
    for trial, value in zip(trials, values, strict=True):
        row, column = (
            next(i for i, band in enumerate(sides) if _is_in(trial.params[key], band))
            for key, sides in zip(pair, (rows, columns), strict=True)
        )
        cells.setdefault((row, column), []).append(value)
    return Grid([span(band) for band in rows], [span(band) for band in columns], cells)


def _is_in(value: Any, band: Sequence[Any]) -> bool:
    return repr(value) in map(repr, band)  # 1, 1.0 and true are equal in Python


def bands(values: Sequence[Any], most: int) -> list[list[Any]]:
    """Return ordered values in as many neighbouring bands as are allowed."""
    count = min(most, len(values))
    return [[values[i] for i in part] for part in np.array_split(np.arange(len(values)), count)]


def span(band: Sequence[Any]) -> str:
    """Return ``8`` or ``8 to 24``."""
    low, high = _short(band[0]), _short(band[-1])
    return low if low == high else f"{low} to {high}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else brief(value)


def _colours(subject: Subject) -> dict[str, Any]:
    return {
        "colorscale": SCALE,
        "reversescale": subject.sign < 0,
        "colorbar": {"thickness": 12, "tickformat": ".3~g"},
    }


# the decay range of the training data


def decay_ranges(subject: Subject) -> list[Picture]:
    """Draw the MAE on the reference sets for each range of decays that trials were trained on."""
    keys = [key for key in DECAY if key in subject.varied]
    judged = [
        trial
        for trial in subject.completed
        if REPORTED in trial.metrics and set(keys) <= set(trial.params)
    ]
    if not keys or not judged:
        return []
    ranges = _ranges(subject, judged, keys)
    return [*_maps(subject, ranges), *_by_decay(ranges)]


def _ranges(
    subject: Subject, judged: Sequence[Trial], keys: Sequence[str]
) -> dict[str, list[Trial]]:
    """Return the trials by the range that they were trained on, in words."""
    most = [_FEW_RANGES if len(_known(subject, k)) <= _FEW_RANGES else 2 for k in keys]
    sides = [bands(_known(subject, key), n) for key, n in zip(keys, most, strict=True)]
    names = [key.rpartition(".")[2] for key in keys]
    found: dict[str, list[Trial]] = {}
    for combination in itertools.product(*sides):
        words = ", ".join(f"{n} {span(band)}" for n, band in zip(names, combination, strict=True))
        inside = [
            trial
            for trial in judged
            if all(_is_in(trial.params[k], band) for k, band in zip(keys, combination, strict=True))
        ]
        if inside:
            found[words] = inside
    return found


def _maps(subject: Subject, ranges: Mapping[str, Sequence[Trial]]) -> list[Picture]:
    """Draw depth x width for each range, with one scale of colours."""
    told = {f"decay {words}": _reported(trials) for words, trials in ranges.items()}
    sentence = verdict(told, 1, REPORTED)
    has_both = all({LAYERS, WIDTH} <= set(t.params) for trials in ranges.values() for t in trials)
    if not has_both or len(ranges) > _MOST_RANGES:
        return [_strip(told, sentence)]
    grids = {
        words: _grid(subject, trials, (LAYERS, WIDTH), _reported(trials), _MOST_BANDS)
        for words, trials in ranges.items()
    }
    traces, layout = _side_by_side(subject, grids)
    sides = [_best_side_of(subject, grids, key, side) for side, key in enumerate((LAYERS, WIDTH))]
    sentence = " ".join([sentence, *sides])
    title = "Reference MAE by decay range, depth and width"
    height = 178 + 56 * max(len(grid.rows) for grid in grids.values())
    least = _SIDE + sum(max(_TITLE, _CELL * len(grid.columns)) for grid in grids.values())
    return [Picture("decay", title, sentence, traces, layout, height, True, least)]


def _reported(trials: Sequence[Trial]) -> list[float]:
    return [trial.metrics[REPORTED] for trial in trials]


def _side_by_side(
    subject: Subject, grids: Mapping[str, Grid]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    count = len(grids)
    layout: dict[str, Any] = {
        "coloraxis": {**_colours(subject), "reversescale": False},
        "yaxis": axis(LAYERS, type="category"),
        "annotations": [],
        "margin": {"t": 48},
    }
    traces = []
    for place, (words, grid) in enumerate(grids.items()):
        suffix = str(place + 1) if place else ""
        domain = [place / count, (place + 0.92) / count]
        traces.append({**grid.trace(REPORTED), "xaxis": f"x{suffix}", "yaxis": "y"})
        layout[f"xaxis{suffix}"] = axis(WIDTH, type="category", domain=domain, anchor="y")
        layout["annotations"].append(
            {
                "xref": "paper",
                "yref": "paper",
                "x": sum(domain) / 2,
                "y": 1,
                "yanchor": "bottom",
                "xanchor": "center",
            }
            | {"text": f"decay {label(words).replace(', ', ',<br>')}", "showarrow": False}
        )
    return traces, layout


def _best_side_of(subject: Subject, grids: Mapping[str, Grid], key: str, side: int) -> str:
    """Say which depth, or which width, had the lowest median in the most ranges."""
    if alone := only_completed(subject, key):
        return alone
    compared = [grid for grid in grids.values() if len({place[side] for place in grid.cells}) > 1]
    if not compared:
        return f"In no range was more than one {key} completed."
    found = Counter((g.rows, g.columns)[side][_best_side(g, side)] for g in compared)
    most = max(found.values())
    first = [words for words, count in found.items() if count == most]
    of = f"{len(compared)} range{'s' * (len(compared) != 1)}"
    if len(compared) < len(grids):
        of += " in which more than one was completed"
    if len(first) > 1:
        return f"No {key} had the lowest median in more than {most} of {of}."
    return f"{key} {first[0]} had the lowest median in {most} of {of}."


def _best_side(grid: Grid, side: int) -> int:
    """Return the row, or the column, with the lowest median of all values in it."""
    told: dict[int, list[float]] = {}
    for place, values in grid.cells.items():
        told.setdefault(place[side], []).extend(values)
    return min(told, key=lambda each: float(np.median(told[each])))


def _strip(told: Mapping[str, Sequence[float]], sentence: str) -> Picture:
    pairs = [(label(words), value) for words, values in told.items() for value in values]
    values = [value for _, value in pairs]
    trace = scatter([words for words, _ in pairs], values, mode="markers", name="trials")
    layout = {"xaxis": {"type": "category"}, "yaxis": value_axis(REPORTED, values)}
    return Picture("decay", "Reference MAE by decay range", sentence, [trace], layout, is_wide=True)


def _by_decay(ranges: Mapping[str, Sequence[Trial]]) -> list[Picture]:
    """Draw how well series of each decay are forecast, for each range that was trained on."""
    lines = {words: _medians_by_decay(trials) for words, trials in ranges.items()}
    lines = {words: line for words, line in lines.items() if line}
    if not lines or len(lines) > _MOST_RANGES:
        return []
    traces = [
        scatter(
            list(line),
            list(line.values()),
            mode="lines+markers",
            name=f"trained on {label(words)}",
            line={"color": _LINES[i % len(_LINES)], "dash": _DASHES[i % len(_DASHES)]},
            hovertemplate="decay %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
        for i, (words, line) in enumerate(lines.items())
    ]
    values = [value for line in lines.values() for value in line.values()]
    layout = {
        "xaxis": axis("decay of the reference series, per step", is_log=True),
        "yaxis": value_axis(f"median {REPORTED}", values),
        "showlegend": True,
    }
    title = "Which decays each training range forecasts well"
    return [
        Picture("by-decay", title, _by_decay_sentence(lines), traces, layout, 380, is_wide=True)
    ]


def _medians_by_decay(trials: Sequence[Trial]) -> dict[float, float]:
    told: dict[float, list[float]] = {}
    for trial in trials:
        for name, value in trial.metrics.items():
            if name.startswith(_BY_DECAY):
                told.setdefault(float(name.removeprefix(_BY_DECAY)), []).append(value)
    return {decay: float(np.median(values)) for decay, values in sorted(told.items())}


def _by_decay_sentence(lines: Mapping[str, Mapping[float, float]]) -> str:
    decays = list(next(iter(lines.values())))
    parts = []
    if len(lines) == 1:
        ((words, line),) = lines.items()
        told = " and ".join(f"{figure(line[d])} at decay {d:g}" for d in (decays[0], decays[-1]))
        return f"After training on {words}, the only range completed, the median was {told}."
    for decay in (decays[0], decays[-1]):
        best = min(lines, key=lambda words: lines[words].get(decay, np.inf))
        parts.append(f"of decay {decay:g} after training on {best} ({figure(lines[best][decay])})")
    return f"Series were forecast best {', and '.join(parts)}; medians of completed trials."
