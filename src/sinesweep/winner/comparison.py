"""Two evaluations of one trial: whether their numbers are the same to the last bit, or why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sinesweep.tracking import record
from sinesweep.tracking.provenance import THREADS_TAG

# What a sweep adds to the record of a trial of any function.
_OF_THE_SWEEP = re.compile(r"value(_\d+)?|objective")
_WORDS = {
    "mlflow.source.git.commit": "commit",
    "sinesweep.git.dirty": "uncommitted changes",
    "sinesweep.host": "machine",
    "sinesweep.device": "device",
    THREADS_TAG: "threads of linear algebra",
}
_VERSION = "sinesweep.version."
_FINGERPRINT = "sinesweep.fingerprint."
# Where a run is recorded, and what is made of it besides its numbers.
_NOT_COMPARED = ("tracking.", "artifacts.", "resume")

Point = tuple[str, int | None]  # a metric and its step, or an objective


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to, and what it was made with.

    Attributes:
        numbers: by metric and step; of an objective, which has no step, by its name and None.
        tags: where the numbers come from, as records have it.
        params: the resolved configuration; empty where it was not recorded.
    """

    numbers: Mapping[Point, float]
    tags: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """A number that is not what it was; None where it is missing."""

    name: str
    step: int | None
    then: float | None
    now: float | None


def differences(then: Evaluation, now: Evaluation, *, whole: bool) -> list[Difference]:
    """Return every number that differs in any bit, in the order in which they were told.

    Args:
        then: the trial.
        now: the same, run again.
        whole: whether the trial went to its end: what only ``now`` has differs, too.
    """
    points = list(dict.fromkeys([*then.numbers, *(now.numbers if whole else ())]))
    pairs = [(point, then.numbers.get(point), now.numbers.get(point)) for point in points]
    return [Difference(*point, a, b) for point, a, b in pairs if not _same(a, b)]


def changes(then: Evaluation, now: Evaluation) -> list[str]:
    """Return in words what the evaluations were not made alike with, as far as it was recorded."""
    found = [*_changed(_origin(then), _origin(now))] if is_traced(then) else []
    if then.params and now.params:
        found += _changed(_deciding(then.params), _deciding(now.params))
    dirty = [each.tags.get("sinesweep.git.dirty") for each in (then, now)]
    if is_traced(then) and "true" in dirty:
        found.append("code: there were uncommitted changes, of which no record is kept")
    return found


def is_traced(evaluation: Evaluation) -> bool:
    """Whether anything was recorded of the code, versions, data and machine behind its numbers."""
    return bool(_origin(evaluation))


def numbers_of(directory: Path, prefix: str = "") -> dict[Point, float]:
    """Return every metric of a run's record."""
    return {
        (f"{prefix}{name}", step): value
        for name, pairs in record.metric_history(directory).items()
        if not _OF_THE_SWEEP.fullmatch(name)
        for step, value in pairs
    }


def beginning(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the tags and the params that a run began with; empty where there is no record."""
    for event, _ in record.read(directory):
        if event["kind"] == "begin":
            return event["tags"], event["params"]
    return {}, {}


def _same(then: float | None, now: float | None) -> bool:
    return then == now or (then != then and now != now)  # nan is itself


def _origin(evaluation: Evaluation) -> dict[str, str]:
    """Return where numbers come from, by what a reader calls it."""

    def words(key: str) -> str | None:
        if key.startswith(_VERSION):
            return key.removeprefix(_VERSION)
        if key.startswith(_FINGERPRINT):
            return f"{key.removeprefix(_FINGERPRINT)} data"
        return _WORDS.get(key)

    tags = evaluation.tags
    return {name: str(value) for key, value in tags.items() if (name := words(key))}


def _deciding(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if not key.startswith(_NOT_COMPARED)}


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*then, *now]):
        if then.get(key) != now.get(key):
            yield f"{key}: {_shown(then, key)} -> {_shown(now, key)}"


def _shown(values: Mapping[str, Any], key: str) -> str:
    return str(values[key]) if key in values else "(not recorded)"
