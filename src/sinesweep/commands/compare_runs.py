"""Runs and trials side by side: the parameters that differ, the metrics, the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from sinesweep import runs
from sinesweep.commands.comparison import (
    Row,
    differing,
    flat,
    reference_set,
    shortened,
    side_by_side,
    unfair,
)
from sinesweep.commands.named import NamedRun, NamedTrial
from sinesweep.commands.standing import BASELINES, REPORTED, STATES, baseline, last_metrics
from sinesweep.commands.tables import count, show_table, when_text
from sinesweep.files import read_yaml
from sinesweep.redaction import redact_tree
from sinesweep.sweep.entry import RUNNING
from sinesweep.sweep.screen import plain_console, say
from sinesweep.sweep.tally import WORDS
from sinesweep.sweep.wording import all_keys, brief, figure, seconds_text
from sinesweep.tracking import record

_NOT_COMPARED = ("hydra", "tracking", "artifacts", "resume")
_OF_THE_SWEEP = ("value", "objective")  # a sweep's own words for what the values row has
_FIRST = (REPORTED, "reference/skill", "test/mae", "test/skill", "val/mae", "reference/val_mae")
_FINER = "_by_"  # a metric over a part of the data


@dataclass(frozen=True)
class RunFacts:
    """A run, or a trial.

    Attributes:
        name: what it is called.
        state: in a word.
        begun: when, in seconds since the epoch, or None where that is not known.
        seconds: how long it took, or None where that is not known.
        params: dotted key to value.
        metrics: the last value of each.
        objectives: what its sweep chose by; empty where it belongs to none.
        values: one for each of them, where it completed.
        reference_set: what tells its reference set from others; None where it had none.
    """

    name: str
    state: str
    begun: float | None
    seconds: float | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    objectives: Sequence[str] = ()
    values: Sequence[float] = ()
    reference_set: str | None = None


def read_run(named: NamedRun) -> RunFacts:
    """Read a run from its folder."""
    record.apply_rules(named.folder)
    events = [event for event, _ in record.read(named.folder)]
    return RunFacts(
        name=named.name,
        state=_state(named.folder),
        begun=events[0]["time"] / 1000 if events else None,
        seconds=_seconds(events),
        params=_params(named.folder, events),
        metrics=last_metrics(named.folder),
        reference_set=reference_set(named.folder),
    )


def read_trial(named: NamedTrial) -> RunFacts:
    """Read a trial from its sweep's study and its own folder."""
    entry, directory = named.entry, named.entry.directory
    events = [event for event, _ in record.read(directory)] if directory else []
    params = _params(directory, events) if directory else {}
    return RunFacts(
        name=named.name,
        state=STATES[RUNNING] if entry.outcome == RUNNING else WORDS[entry.outcome],
        begun=entry.start,
        seconds=entry.seconds,
        params=params or redact_tree(dict(entry.params)),
        metrics=last_metrics(directory),
        objectives=named.archive.objectives,
        values=entry.values or (),
        reference_set=reference_set(directory),
    )


def compare_runs(
    found: Sequence[RunFacts], *, every: bool = False, console: Console | None = None
) -> None:
    """Print runs side by side.

    Args:
        found: two or more.
        every: show each metric, over parts of the data, too, and each key that differs.
        console: where to; stdout where it is left out.
    """
    console = console or plain_console()
    keys = differing([each.params for each in found])
    params = [
        (key, [brief(e.params[key]) if key in e.params else "-" for e in found]) for key in keys
    ]
    metrics, finer = _metrics(found)
    sections = [
        _results(found),
        shortened([*metrics, *finer] if every else metrics, every=every),
        _baselines(found),
        shortened(params, every=every),
    ]
    show_table(side_by_side([each.name for each in found], sections), console)
    if finer and not every:
        say(console, f"{count(len(finer), 'metric')} over parts of the data not shown: --all")
    if not keys:
        say(console, "their parameters are the same")
    judged = [each.objectives for each in found if each.objectives]
    sets = {each.reference_set for each in found}
    has_reference = len(sets) == 1 and all(REPORTED in each.metrics for each in found)
    if why := unfair(judged, keys, has_reference=has_reference):
        say(console, why)


def _results(found: Sequence[RunFacts]) -> list[Row]:
    seconds = ["" if each.seconds is None else seconds_text(each.seconds) for each in found]
    begun = ["" if each.begun is None else when_text(each.begun) for each in found]
    state = [each.state for each in found]
    rows: list[Row] = [("state", state), ("begun", begun), ("time", seconds)]
    for name in dict.fromkeys(name for each in found for name in each.objectives):
        values = [dict(zip(e.objectives, e.values, strict=False)).get(name) for e in found]
        rows.append((f"chosen by {name}", _figures(values)))
    return rows


def _metrics(found: Sequence[RunFacts]) -> tuple[list[Row], list[Row]]:
    """Return a row for each metric, what is to be reported first; and for each over a part."""
    told = all_keys(each.metrics for each in found)
    told = [name for name in told if not name.startswith("baseline/") and name not in _OF_THE_SWEEP]
    names = [*(name for name in _FIRST if name in told), *(n for n in told if n not in _FIRST)]
    rows = [(name, _figures([each.metrics.get(name) for each in found])) for name in names]
    return [r for r in rows if _FINER not in r[0]], [r for r in rows if _FINER in r[0]]


def _baselines(found: Sequence[RunFacts]) -> list[Row]:
    return [
        (f"{words}: {REPORTED}", _figures([e.metrics.get(baseline(kind, REPORTED)) for e in found]))
        for kind, words in BASELINES.items()
    ]


def _figures(values: Sequence[float | None]) -> list[str]:
    return ["" if value is None else figure(value) for value in values]


def _params(folder: Path, events: Sequence[record.Event]) -> dict[str, Any]:
    """Return the whole configuration: what Hydra wrote, or else what the run's record says."""
    written = read_yaml(folder / ".hydra" / "config.yaml", "the run's record is compared instead")
    if written is not None:
        found = dict(flat(written))
    else:
        found = next((event["params"] for event in events if event["kind"] == "begin"), {})
    return {k: v for k, v in redact_tree(found).items() if k.split(".")[0] not in _NOT_COMPARED}


def _state(folder: Path) -> str:
    end = record.last_end(folder)
    if end is not None:
        return STATES.get(end["tags"].get(record.STATE_TAG, ""), "ended")
    return STATES[RUNNING] if runs.is_alive(folder) else "left open"


def _seconds(events: Sequence[record.Event]) -> float | None:
    """Return how long a run trained, without the time between its interruptions."""
    total, begun, last = 0, None, None
    for event in events:
        if event["kind"] in ("begin", "resume"):
            total += last - begun if begun is not None and last is not None else 0
            begun = event["time"]
        last = event["time"]
    return None if begun is None or last is None else (total + last - begun) / 1000
