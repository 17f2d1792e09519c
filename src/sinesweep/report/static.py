"""The main pictures as PNGs, for where a page cannot be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sinesweep.report.files import PICTURES
from sinesweep.report.grids import pair_of
from sinesweep.report.picture import is_wide_span
from sinesweep.report.progress import improvements
from sinesweep.report.subject import Subject
from sinesweep.sweep.wording import brief, figure, one_line

_BLUE, _INK, _GREY = "#0072B2", "#1c1e21", "#666b73"
_DPI = 110


def draw(subject: Subject) -> list[Path]:
    """Draw the best so far, the importances, and the heat map of two parameters.

    Returns:
        The PNGs written; those that there is nothing to show in are left out.
    """
    folder = subject.folder / PICTURES
    drawers: dict[str, Callable[[Subject, Axes], None] | None] = {
        "best.png": _best if subject.completed else None,
        "importances.png": _importances if len(subject.importances) > 1 else None,
        "heat_map.png": _heat_map if pair_of(subject) else None,
    }
    written = []
    for name, drawer in drawers.items():
        if drawer is not None:
            folder.mkdir(exist_ok=True)
            picture = Figure(figsize=(7, 4.2), layout="constrained")
            axes = picture.subplots()
            drawer(subject, axes)
            axes.spines[["top", "right"]].set_visible(False)
            picture.savefig(folder / name, dpi=_DPI)
            written.append(folder / name)
    return written


def _best(subject: Subject, axes: Axes) -> None:
    trials, name = subject.completed, _words(subject.objectives[0])
    better = improvements(subject, [(float(trial.number), trial) for trial in trials], 0)
    places = [place for place, _ in better] + [float(trials[-1].number)]
    levels = [trial.value for _, trial in better] + [better[-1][1].value]
    axes.plot([t.number for t in trials], [t.value for t in trials], "o", color=_BLUE, alpha=0.6)
    axes.step(places, levels, where="post", color=_INK, lw=2)
    if is_wide_span([trial.value for trial in trials]):
        axes.set_yscale("log")
    axes.set(title=f"Best {name} so far", xlabel="trial", ylabel=name)


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
