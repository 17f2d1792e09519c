"""The three figures of a run, drawn with matplotlib without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sinesweep.task.series import Windows

Curves = Mapping[str, Sequence[tuple[int, float]]]

# Okabe and Ito's palette: distinct for colour-blind readers, and in grey.
BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#E69F00", "#009E73", "#7F7F7F", "#D55E00"
_DPI = 110
_OUT = 1000.0  # columns or rows: where a side of the frame goes that lies beyond the grid
_BASELINE_STYLES = {"constant": ":", "last_value": "--", "linear": "-."}


def draw_forecasts(
    path: Path, windows: Windows, forecasts: NDArray[np.float32], errors: NDArray[np.float64]
) -> None:
    """Draw the easiest, the median and the worst reference series with their forecasts.

    Args:
        path: the PNG to write.
        windows: N series, (N, I) inputs and (N, O) targets.
        forecasts: (N, O).
        errors: (N,), the MAE of each.
    """
    order = np.argsort(errors)
    chosen = {"easiest": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    read = windows.inputs.shape[1]
    ahead = np.arange(read, read + windows.targets.shape[1])
    figure = Figure(figsize=(11, 5.6), dpi=_DPI, layout="constrained")
    whole, near = figure.subplots(2, 3, height_ratios=(3, 2))
    for column, (label, n) in enumerate(chosen.items()):
        pattern = windows.patterns
        whole[column].set_title(
            f"{label}: MAE {errors[n]:.4f}\n"
            f"period {pattern.period[n]:g}, decay {pattern.decay[n]:g}",
            fontsize=10,
        )
        whole[column].plot(windows.inputs[n], color=GREY, lw=1, label="read")
        for axis in (whole[column], near[column]):
            axis.plot(ahead, windows.targets[n], color=BLUE, marker="o", ms=4, lw=1, label="truth")
            axis.plot(ahead, forecasts[n], color=RED, marker="x", ms=5, lw=1, label="forecast")
        near[column].set_xlabel("step (the forecast alone)")
    whole[0].legend(fontsize=8, loc="lower right")
    whole[0].set_ylabel("value")
    near[0].set_ylabel("value")
    _save(figure, path)


def draw_error_map(
    path: Path,
    windows: Windows,
    errors: NDArray[np.float64],
    training_range: Mapping[str, tuple[float, float]],
) -> None:
    """Draw the reference MAE over period x decay, the training range as a frame.

    Args:
        path: the PNG to write.
        windows: N series on a grid of periods and decays.
        errors: (N,), the MAE of each.
        training_range: low and high of ``period`` (steps) and ``decay`` (per step).
    """
    periods, decays = np.unique(windows.patterns.period), np.unique(windows.patterns.decay)
    cells = np.array(
        [
            [
                errors[(windows.patterns.period == p) & (windows.patterns.decay == d)].mean()
                for p in periods
            ]
            for d in decays
        ]
    )
    figure = Figure(figsize=(7.5, 5), dpi=_DPI, layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(cells, origin="lower", cmap="viridis", aspect="auto", norm=LogNorm())
    axis.set_xticks(range(len(periods)), [f"{p:g}" for p in periods])
    axis.set_yticks(range(len(decays)), [f"{d:g}" for d in decays])
    axis.set_xlabel("period (steps)")
    axis.set_ylabel("decay (per step)")
    axis.set_title(f"reference test MAE, {errors.mean():.4f} on average")
    middle = np.sqrt(cells.min() * cells.max())
    for (row, column), value in np.ndenumerate(cells):
        colour = "white" if value < middle else "black"
        axis.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize=8)
    frame = _frame(axis, periods, decays, training_range)
    figure.legend(handles=[frame], fontsize=8, loc="outside lower center", frameon=False)
    figure.colorbar(image, label="MAE")
    _save(figure, path)


def draw_learning_curves(
    path: Path, curves: Curves, baselines: Mapping[str, float], best_epoch: int | None
) -> None:
    """Draw metrics over epochs, and what the forecasts without a network reach as lines.

    Args:
        path: the PNG to write.
        curves: metric name to (epoch, value) pairs.
        baselines: baseline name to its MAE on the reference validation set.
        best_epoch: the epoch whose weights were kept.
    """
    figure = Figure(figsize=(8, 4.6), dpi=_DPI, layout="constrained")
    axis = figure.subplots()
    colours = {"train/mae": GREY, "val/mae": BLUE, "reference/val_mae": RED}
    for name, points in curves.items():
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) == 1 else None
        axis.plot(epochs, values, color=colours.get(name), label=name, lw=1.6, marker=marker)
    for name, value in baselines.items():
        if value > 1e-3:
            label = f"{name.replace('_', ' ')} on reference/val: {value:.4f}"
            axis.axhline(value, color=GREEN, ls=_BASELINE_STYLES[name], lw=1.2, label=label)
        else:
            axis.plot([], [], " ", label=f"{name} on reference/val: {value:.1e} (below the plot)")
    if best_epoch is not None:
        axis.axvline(best_epoch, color=ORANGE, lw=1, label=f"weights kept: epoch {best_epoch}")
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("epoch")
    axis.set_ylabel("MAE")
    axis.grid(alpha=0.3, which="both", lw=0.5)
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # savefig would go through everything once more, for layouts that depend on the file's format.
    FigureCanvasAgg(figure).print_png(path)


def _frame(
    axis: Axes,
    periods: NDArray[np.float64],
    decays: NDArray[np.float64],
    training_range: Mapping[str, tuple[float, float]],
) -> Rectangle:
    """Frame the cells inside the training range; a side that lies beyond the grid is not drawn."""
    left, right = _edges(periods, training_range["period"])
    bottom, top = _edges(decays, training_range["decay"])
    label = ", ".join(f"{name} {_span(training_range[name])}" for name in ("period", "decay"))
    if _OUT in (left, -right, bottom, -top):
        label += " (outside this grid)"
    elif _OUT in (-left, right, -bottom, top):
        label += " (beyond the open sides, too)"
    # Out of sight is far enough: the axes cut off what does not belong to them.
    frame = Rectangle(
        (left, bottom),
        right - left,
        top - bottom,
        fill=False,
        edgecolor=RED,
        lw=2,
        label=f"training range: {label}",
    )
    axis.add_patch(frame)
    return frame


def _edges(grid: NDArray[np.float64], span: tuple[float, float]) -> tuple[float, float]:
    """Return the edges of the cells within a span, in columns of the grid from 0."""
    low, high = span
    left = np.searchsorted(grid, low, side="left") - 0.5
    right = np.searchsorted(grid, high, side="right") - 0.5
    if low < grid[0] or low > grid[-1]:
        left = np.copysign(_OUT, low - grid[0])
    if high < grid[0] or high > grid[-1]:
        right = np.copysign(_OUT, high - grid[0])
    # A span between two columns holds no cell, but has its place.
    narrow = 0.1 if left == right and abs(left) < _OUT else 0.0
    return float(left - narrow), float(right + narrow)


def _span(span: tuple[float, float]) -> str:
    low, high = span
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
