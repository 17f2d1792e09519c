"""The main pictures as PNGs, for where a page cannot be shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinesweep.report.clock import clock_of, end_of
from sinesweep.report.files import PICTURES
from sinesweep.report.grids import pair_of
from sinesweep.report.parameters import grouped, sliced_keys
from sinesweep.report.picture import is_wide_span
from sinesweep.report.progress import improvements
from sinesweep.report.subject import Subject, Trial, are_numbers
from sinesweep.sweep.wording import brief, figure, one_line

_BLUE, _INK, _GREY = "#0072B2", "#1c1e21", "#666b73"
_DPI = 110
_MOST = 3

_Drawer = Callable[[Subject, Axes], None]


def draw(subject: Subject) -> list[Path]:
    """Draw the best so far, the importances, and the heat map of two parameters.

    Where one of them has nothing to show, slices by the parameters that matter most stand in, and
    the best so far over time.

    Returns:
        The PNGs written: three, or fewer where there is less to show. Others are removed.
    """
    folder = subject.folder / PICTURES
    written = []
    for name, drawer in itertools.islice(_drawers(subject), _MOST):
        folder.mkdir(exist_ok=True)
        picture = Figure(figsize=(7, 4.2), layout="constrained")
        axes = picture.subplots()
        drawer(subject, axes)
        axes.spines[["top", "right"]].set_visible(False)
        picture.savefig(folder / name, dpi=_DPI)
        written.append(folder / name)
    for path in set(folder.glob("*.png")) - set(written):
        path.unlink()  # of an earlier report, which had less to show
    return written


def _drawers(subject: Subject) -> Iterator[tuple[str, _Drawer]]:
    """Yield what there is to draw under the names of the files, the main ones first."""
    if not subject.completed:
        return
    if subject.best:
        yield "best.png", _best
    if len(subject.importances) > 1:
        yield "importances.png", _importances
    if pair_of(subject):
        yield "heat_map.png", _heat_map
    for place, key in enumerate(sliced_keys(subject)):
        yield f"slice-{place}.png", partial(_slice, key)
    if clock_of(subject).length and subject.best:
        yield "best_time.png", _best_over_time


def _best(subject: Subject, axes: Axes) -> None:
    _history(subject, axes, [(float(trial.number), trial) for trial in subject.completed])
    axes.set_xlabel("trial")


def _best_over_time(subject: Subject, axes: Axes) -> None:
    clock = clock_of(subject)
    timed = [trial for trial in subject.completed if trial.entry.start is not None]
    placed = [(clock.seconds(end_of(trial)) / 60, trial) for trial in timed]
    _history(subject, axes, sorted(placed, key=lambda pair: pair[0]))
    axes.set_xlabel("minutes that the sweep ran")


def _history(subject: Subject, axes: Axes, placed: Sequence[tuple[float, Trial]]) -> None:
    name = _words(subject.objectives[0])
    better = improvements(subject, placed, 0)
    places = [place for place, _ in better] + [placed[-1][0]]
    levels = [trial.value for _, trial in better] + [better[-1][1].value]
    _points(axes, [place for place, _ in placed], [trial.value for _, trial in placed])
    axes.step(places, levels, where="post", color=_INK, lw=2)
    axes.set(title=f"Best {name} so far", ylabel=name)


def _slice(key: str, subject: Subject, axes: Axes) -> None:
    groups, name = grouped(subject, key), _words(subject.objectives[0])
    is_numeric = are_numbers(subject.values_of(key))
    place = float if is_numeric else _words
    told = [(place(trial.params[key]), trial.value) for group in groups.values() for trial in group]
    _points(axes, [x for x, _ in told], [value for _, value in told])
    middles = [
        float(np.median([trial.params[key] for trial in group]))
        if is_numeric
        else _words(group[0].params[key])
        for group in groups.values()
    ]
    medians = [float(np.median([trial.value for trial in group])) for group in groups.values()]
    axes.plot(middles, medians, "-D" if is_numeric else "D", color=_INK, label="median")
    if key in subject.logarithmic:
        axes.set_xscale("log")
    axes.legend(frameon=False)
    axes.set(title=f"{name} by {_words(key)}", xlabel=_words(key), ylabel=name)


def _points(axes: Axes, x: Sequence[float | str], values: Sequence[float]) -> None:
    axes.plot(x, values, "o", color=_BLUE, alpha=0.6)
    if is_wide_span(values):
        axes.set_yscale("log")


def _importances(subject: Subject, axes: Axes) -> None:
    shares = list(subject.importances.items())[::-1]
    bars = axes.barh([_words(key) for key, _ in shares], [s for _, s in shares], color=_BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in shares], padding=3)
    axes.margins(x=0.12)
    axes.set_xticks([])
    names, count = _words(" and ".join(subject.objectives)), len(subject.completed)
    axes.set(title=f"Which parameters matter for {names} ({count} completed trials)")


def _heat_map(subject: Subject, axes: Axes) -> None:
    found = pair_of(subject)
    assert found is not None
    grid, pair = found
    name = _words(subject.objectives[0])
    table = np.full((len(grid.rows), len(grid.columns)), np.nan)
    for place, values in grid.cells.items():
        table[place] = np.median(values)
    image = axes.imshow(
        table, cmap="cividis" if subject.sign > 0 else "cividis_r", aspect="auto", origin="lower"
    )
    middle = (np.nanmin(table) + np.nanmax(table)) / 2
    for (row, column), values in grid.cells.items():
        is_dark = (table[row, column] < middle) == (subject.sign > 0)
        axes.text(
            column,
            row,
            f"{figure(float(table[row, column]))}\nn={len(values)}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if is_dark else _INK,
        )
    axes.set_xticks(range(len(grid.columns)), [_words(words) for words in grid.columns])
    axes.set_yticks(range(len(grid.rows)), [_words(words) for words in grid.rows])
    axes.set(title=f"Median {name}", xlabel=_words(pair[1]), ylabel=_words(pair[0]))
    axes.figure.colorbar(image, ax=axes)


def _words(value: object) -> str:
    """Return text for matplotlib, which reads formulas between dollars."""
    return one_line(brief(value)).replace("$", r"\$")
