"""How the sweep got to where it is: the best so far, learning curves, and how busy workers were."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from sinesweep.report.clock import Clock, begin_of, clock_of, end_of, packed
from sinesweep.report.picture import (
    COMPLETE,
    FAILED,
    FAINT,
    INK,
    PRUNED,
    RUNNING,
    Picture,
    axis,
    baseline_lines,
    hover,
    label,
    scatter,
    value_axis,
)
from sinesweep.report.subject import BASELINES, Subject, Trial, baseline_name
from sinesweep.sweep import entry as entries
from sinesweep.sweep.ranking import values_of
from sinesweep.sweep.wording import counted, figure, seconds_text

_KINDS = {
    entries.COMPLETE: ("complete", COMPLETE),
    entries.PRUNED: ("pruned", PRUNED),
    entries.RUNNING: ("running", RUNNING),
    entries.FAIL: ("failed", FAILED),
}
_MANY_CURVES = 100
_LONGEST_CURVE = 60  # points: more a picture cannot show


def best_so_far(subject: Subject) -> list[Picture]:
    """Draw the best value of each objective over trials and over time."""
    clock = clock_of(subject)
    pictures = []
    for index, name in enumerate(subject.objectives if subject.best else ()):
        by_number = [(float(trial.number), trial) for trial in subject.completed]
        by_time = sorted(
            ((clock.seconds(end_of(t)) / 60, t) for t in subject.completed if t.entry.start),
            key=lambda pair: pair[0],
        )
        pictures += [
            Picture(
                f"best-trials-{index}",
                f"Best {name} so far, over trials",
                _over_trials(subject, by_number, index),
                *_history(subject, by_number, index, "trial"),
            ),
            Picture(
                f"best-time-{index}",
                f"Best {name} so far, over time",
                _over_time(subject, by_time, index, clock),
                *_history(subject, by_time, index, "minutes that the sweep ran"),
            ),
        ]
    return pictures


Placed = Sequence[tuple[float, Trial]]


def improvements(subject: Subject, placed: Placed, index: int) -> list[tuple[float, Trial]]:
    """Return the feasible ones that were better than all before them."""
    sign = -1 if subject.directions[index] == "maximize" else 1
    found: list[tuple[float, Trial]] = []
    for place, trial in placed:
        if not trial.entry.is_feasible:
            continue
        value = sign * values_of(trial.entry)[index]
        if not found or value < sign * values_of(found[-1][1].entry)[index]:
            found.append((place, trial))
    return found


def levels(subject: Subject, metric: str) -> dict[str, float]:
    """Return the baselines' own values of a metric, by their words, of one of the best trials."""
    if not subject.best:
        return {}
    known = subject.best[0].metrics
    names = {words: baseline_name(baseline, metric) for baseline, words in BASELINES.items()}
    return {words: known[name] for words, name in names.items() if name in known}


def _history(
    subject: Subject, placed: Placed, index: int, x: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    name = subject.objectives[index]
    values = [values_of(trial.entry)[index] for _, trial in placed]
    better = improvements(subject, placed, index)
    last = placed[-1][0] if placed else 0.0
    steps = [*better, (last, better[-1][1])] if better else []
    points = scatter(
        [place for place, _ in placed],
        values,
        mode="markers",
        name="complete",
        marker={"color": COMPLETE, "size": 7, "opacity": 0.7},
        text=[hover(subject, trial) for _, trial in placed],
        hoverinfo="text",
    )
    line = scatter(
        [place for place, _ in steps],
        [values_of(trial.entry)[index] for _, trial in steps],
        mode="lines",
        name="best so far",
        line={"color": INK, "width": 2, "shape": "hv"},
        hoverinfo="skip",
    )
    shapes, annotations = baseline_lines(levels(subject, name), values)
    layout = {"xaxis": axis(x), "yaxis": value_axis(name, values)}
    return [points, line], {**layout, "shapes": shapes, "annotations": annotations}


def _over_trials(subject: Subject, placed: Placed, index: int) -> str:
    better = improvements(subject, placed, index)
    best = better[-1][1]
    after = sum(
        trial.number > best.number and trial.entry.state != entries.RUNNING
        for trial in subject.trials
    )
    sentence = (
        f"Trial {best.number} has the best {subject.objectives[index]}, "
        f"{figure(values_of(best.entry)[index])}"
    )
    if len(better) > 1:
        before = better[-2][1]
        sentence += f" (before it, {figure(values_of(before.entry)[index])} of {before.number})"
    if not after:
        return f"{sentence}; no later trial has ended."
    return f"{sentence}; {counted(after, 'trial')} since brought no better one."


def _over_time(subject: Subject, placed: Placed, index: int, clock: Clock) -> str:
    better = improvements(subject, placed, index)
    if not better:
        return "No trial has a time."
    best_at = 60 * better[-1][0]
    share = best_at / clock.length if clock.length else 1.0
    return (
        f"The best value was there after {seconds_text(best_at)}, "
        f"{share:.0%} of the {seconds_text(clock.length)} that the sweep ran."
    )


# learning curves


def curves(subject: Subject) -> list[Picture]:
    """Draw what trials reported, step by step."""
    told = [t for t in subject.trials if len(t.curve) > 1 and t.entry.state in _KINDS]
    if not told:
        return []
    traces = [
        _curves_of([t for t in told if t.entry.state == state], words, colour)
        for state, (words, colour) in _KINDS.items()
        if any(trial.entry.state == state for trial in told)
    ]
    if subject.winner and subject.winner in told:
        winner = _curves_of([subject.winner], f"the best, {subject.winner.number}", INK)
        traces.append({**winner, "line": {"color": INK, "width": 3}, "opacity": 1})
    name = subject.objectives[0]
    values = [value for trial in told for _, value in trial.curve]
    layout = {"xaxis": axis("step"), "yaxis": value_axis(name, values), "showlegend": True}
    title = "Learning curves"
    return [Picture("curves", title, _curves_sentence(told), traces, layout, 380, is_wide=True)]


def _curves_of(trials: Sequence[Trial], words: str, colour: str) -> dict[str, Any]:
    """Return one trace of many lines with gaps between: a page draws few traces quickly."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial in trials:
        points = _thinned(trial.curve)
        x += [*(float(step) for step, _ in points), None]
        y += [*(value for _, value in points), None]
        text += [f"trial {trial.number}"] * (len(points) + 1)
    return scatter(
        x,
        y,
        mode="lines",
        name=words,
        line={"color": colour, "width": 1.2 if len(trials) < _MANY_CURVES else 0.5},
        opacity=0.65,
        text=text,
        hovertemplate="%{text}, step %{x}: %{y:.4g}<extra></extra>",
    )


def _thinned(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    every = max(1, -(-len(curve) // _LONGEST_CURVE))
    kept = list(curve[::every])
    return kept if kept[-1] == curve[-1] else [*kept, curve[-1]]


def _curves_sentence(told: Sequence[Trial]) -> str:
    pruned = [trial for trial in told if trial.entry.state == entries.PRUNED]
    full = max(len(trial.curve) for trial in told)
    if not pruned:
        return f"No trial was pruned; the longest reported {full} times."
    spent = sum(len(trial.curve) for trial in told)
    spared = sum(full - len(trial.curve) for trial in pruned)
    return (
        f"{len(pruned)} of {len(told)} trials were pruned, after "
        f"{sum(len(t.curve) for t in pruned) / len(pruned):.1f} of {full} steps on average: "
        f"that spared {spared / (spent + spared):.0%} of all steps."
    )


# workers


def timeline(subject: Subject) -> list[Picture]:
    """Draw which worker ran which trial when; what is left bare it was idle."""
    clock = clock_of(subject)
    if not clock.length:
        return []
    rows = _rows(clock)
    lanes = list(dict.fromkeys(rows.values()))
    idle = _bars(lanes, [0.0] * len(lanes), [clock.length / 60] * len(lanes), "idle", FAINT)
    traces = [{**idle, "hoverinfo": "skip"}]
    for state, (words, colour) in _KINDS.items():
        trials = [t for lane in clock.lanes.values() for t in lane if t.entry.state == state]
        if trials:
            begin = [clock.seconds(begin_of(trial)) / 60 for trial in trials]
            lasted = [(end_of(trial) - begin_of(trial)) / 60 for trial in trials]
            bars = _bars([rows[trial.number] for trial in trials], begin, lasted, words, colour)
            texts = [hover(subject, trial) for trial in trials]
            traces.append({**bars, "hovertext": texts, "hoverinfo": "text"})
    layout = {
        "barmode": "overlay",
        "xaxis": axis("minutes that the sweep ran"),
        "yaxis": {"type": "category", "autorange": "reversed"},
        "showlegend": True,
    }
    height = 130 + (34 if len(lanes) == len(clock.lanes) else 18) * len(lanes)
    title, sentence = "What the workers did", _timeline_sentence(clock)
    return [Picture("timeline", title, sentence, traces, layout, height, is_wide=True)]


def _rows(clock: Clock) -> dict[int, str]:
    """Return each trial's row: its worker, or one of its worker's slots if that had several."""
    rows: dict[int, str] = {}
    for number, lane in clock.lanes.items():
        slots = packed(lane)
        for index, trials in enumerate(slots):
            name = f"worker {number}" + (f", slot {index}" if len(slots) > 1 else "")
            rows |= {trial.number: name for trial in trials}
    return rows


def _bars(
    lanes: Sequence[str],
    begin: Sequence[float],
    lasted: Sequence[float],
    words: str,
    colour: str,
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": list(lanes),
        "base": [round(value, 4) for value in begin],
        "x": [round(value, 4) for value in lasted],
        "name": label(words),
        "marker": {"color": colour, "line": {"color": "var(--page)", "width": 1}},
    }


def _timeline_sentence(clock: Clock) -> str:
    busy = sum(_busy(lane) for lane in clock.lanes.values())
    count = len(clock.lanes)
    sentence = (
        f"{count} worker{'s were' if count != 1 else ' was'} busy "
        f"{busy / (count * clock.length):.1%} of the {seconds_text(clock.length)} from the first "
        "trial's start to the last one's end"
    )
    pauses = len(clock.sessions) - 1
    if pauses:
        sentence += f", {counted(pauses, 'pause')} between commands left out"
    longest = max([0.0, *_idle(clock)])
    sentence += f"; the longest wait between two trials was {seconds_text(longest, 2)}."
    if clock.is_packed:
        sentence += (
            " Which worker ran which trial was not noted: the trials are drawn on as few as fit."
        )
    return sentence


def _busy(lane: Sequence[Any]) -> float:
    """Return the seconds that a worker had a trial, or several at once."""
    busy, reached = 0.0, float("-inf")
    for trial in sorted(lane, key=begin_of):
        busy += max(0.0, end_of(trial) - max(begin_of(trial), reached))
        reached = max(reached, end_of(trial))
    return busy


def _idle(clock: Clock) -> Iterator[float]:
    for lane in clock.lanes.values():
        reached = itertools.accumulate((end_of(trial) for trial in lane), max)
        for before, after in zip(reached, lane[1:], strict=False):
            yield clock.seconds(begin_of(after)) - clock.seconds(before)
