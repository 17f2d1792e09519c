"""One picture of a report: what plotly.js draws, and what it shows in a sentence."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sinesweep.report.subject import Subject, Trial
from sinesweep.sweep.wording import brief, figure, one_line, params_text, seconds_text

# Colours by their names in page.css, which has them for light and dark pages.
INK, MUTED, FAINT = "var(--ink)", "var(--muted)", "var(--faint)"
COMPLETE, PRUNED, FAILED, RUNNING, BAND = (
    "var(--complete)",
    "var(--pruned)",
    "var(--failed)",
    "var(--running)",
    "var(--band)",
)
# Cividis, for the colour-blind, dark where values are good.
SCALE = "Cividis"
BASELINE_DASHES = {"linear": "dashdot", "constant": "dot", "last_value": "dash"}
_WIDE_SPAN = 20  # from this ratio of large to small values on, an axis is logarithmic


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Attributes:
        name: of its element on the page.
        title: what it is.
        sentence: what it shows, computed from the data.
        traces: plotly.js's.
        layout: plotly.js's, without colours and fonts.
        height: pixels.
        is_wide: whether it takes the width of the page rather than half of it.
        least_width: pixels below which its words overlap: on a smaller screen it scrolls.
    """

    name: str
    title: str
    sentence: str
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    height: int = 320
    is_wide: bool = False
    least_width: int = 0


def label(value: Any) -> str:
    """Return text for plotly.js, which reads some HTML, of a parameter's or a metric's name."""
    return html.escape(one_line(brief(value)), quote=False)


def hover(subject: Subject, trial: Trial) -> str:
    """Return what is shown of a trial where the pointer is on it."""
    lines = [f"<b>trial {trial.number}</b>"]
    if trial.entry.values is not None:
        pairs = zip(subject.objectives, trial.entry.values, strict=True)
        lines += [f"{label(name)} {figure(value)}" for name, value in pairs]
    for name in ("reference/test_mae", "reference/skill"):
        if name in trial.metrics:
            lines.append(f"{name} {figure(trial.metrics[name])}")
    lines += [label(pair) for pair in params_text(trial.params, short=True).split(" ")]
    if trial.entry.seconds is not None:
        lines.append(seconds_text(trial.entry.seconds))
    return "<br>".join(lines)


def scatter(x: Sequence[Any], y: Sequence[Any], **more: Any) -> dict[str, Any]:
    """Return a trace of points or lines."""
    return {"type": "scatter", "x": list(x), "y": rounded(y), **more}


def rounded(values: Sequence[Any]) -> list[Any]:
    """Return numbers with the digits that a picture can show: pages of many trials stay small.

    What is no number, as a diverged training reports it, has no place and becomes None.
    """
    return [_rounded(value) if isinstance(value, float) else value for value in values]


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def value_axis(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Return an axis for a metric: logarithmic where its values span orders of magnitude."""
    return axis(name, is_log=is_wide_span(values))


def is_wide_span(values: Sequence[float]) -> bool:
    """Whether values are better shown on a logarithmic axis."""
    known = [value for value in values if math.isfinite(value)]
    small = min(known, default=1.0)
    return small > 0 and max(known, default=1.0) / small > _WIDE_SPAN


def axis(name: str, *, is_log: bool = False, **more: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    kind = {"type": "log", "dtick": "D2", "tickformat": ".3~g"} if is_log else {}
    return {"title": {"text": label(name)}, **kind, **more}


def param_axis(subject: Subject, key: str) -> dict[str, Any]:
    """Return an axis for a parameter, as it was sampled."""
    return axis(key, is_log=key in subject.logarithmic)


def baseline_lines(
    levels: Mapping[str, float], shown: Sequence[float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return shapes and annotations for the baselines that lie where the values are.

    Args:
        levels: the MAE of each baseline by its words.
        shown: the values of the picture, not empty: a baseline far from them would squeeze them.
    """
    low, high = min(shown), max(shown)
    room = 0.6 * (high - low or abs(high))
    shapes, words = [], []
    for name, level in levels.items():
        if low - room <= level <= high + room:
            line = {"color": MUTED, "width": 1, "dash": "dash"}
            shapes.append(
                {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level}
                | {"line": line}
            )
            words.append(
                {"xref": "paper", "x": 1, "y": level, "xanchor": "right", "yanchor": "bottom"}
                | {"text": name, "showarrow": False, "font": {"size": 11, "color": MUTED}}
            )
    return shapes, words
