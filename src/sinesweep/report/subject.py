"""What a report is about: a sweep as its folder has it, with nothing in it that must stay secret.

Whatever becomes a picture, a sentence or a cell is taken from here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sinesweep.redaction import redact, redact_tree
from sinesweep.runs import run_id
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import COMPLETE, DROPPED, INTERRUPTED, RETRIED, REUSED, Entry
from sinesweep.sweep.ranking import chosen, ranked
from sinesweep.sweep.rerun import SweepCommand, rerun_command
from sinesweep.sweep.wording import all_keys
from sinesweep.tracking import record

REPORTED = "reference/test_mae"
SKILL = "reference/skill"
BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}
NOISE = "data.noise"
LAYERS, WIDTH = "model.layers", "model.width"
DECAY = ("data.decay.low", "data.decay.high")

# Of these nothing was learned that their repetition, or what they repeat, does not say.
_NOT_POINTS = (REUSED, RETRIED, INTERRUPTED, DROPPED)


@dataclass(frozen=True)
class Trial:
    """A trial as a report shows it.

    Attributes:
        entry: as the study has it.
        params: dotted key to value, without credentials.
        metrics: the last value of each that it logged, where that is a number.
        repeats: the same, of its further seeds.
        curve: (step, value) of what it reported, by step.
    """

    entry: Entry
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    repeats: Sequence[Mapping[str, float]]
    curve: Sequence[tuple[int, float]]

    @cached_property
    def run_id(self) -> str | None:
        """MLflow's id, or None where it has none: the tracker may give it while we look."""
        return run_id(self.entry.directory) if self.entry.directory else None

    @property
    def number(self) -> int:
        """Counted from 0."""
        return self.entry.number

    @property
    def value(self) -> float:
        """A completed trial's first value."""
        assert self.entry.values is not None, "a completed trial has values"
        return self.entry.values[0]


@dataclass(frozen=True)
class Subject:
    """A sweep, read once.

    Attributes:
        name: the sweep's.
        folder: the sweep's.
        question: what its file says that it asks, or None.
        state: RUNNING, COMPLETE, FAIL or INTERRUPTED.
        total: how many trials it is for, or None.
        directions: ``minimize`` or ``maximize`` for each objective.
        objectives: what each value is called.
        trials: by number; those that never began are left out.
        logarithmic: the keys that were sampled on a logarithmic scale.
        definition: what makes it the same sweep, as its folder has it.
        settings: dotted key to value of what every trial had in common.
        importances: each parameter's share, the largest first; empty where too little is known.
        command: the command that began the sweep.
        directory: where that was typed.
        tracker: the address of MLflow's pages, or None where they have none.
    """

    name: str
    folder: Path
    question: str | None
    state: str
    total: int | None
    directions: Sequence[str]
    objectives: Sequence[str]
    trials: Sequence[Trial]
    logarithmic: frozenset[str]
    definition: Mapping[str, Any]
    settings: Mapping[str, Any]
    importances: Mapping[str, float]
    command: SweepCommand
    directory: Path
    tracker: str | None

    @cached_property
    def completed(self) -> list[Trial]:
        """The trials that have values of their own."""
        return [t for t in self.trials if t.entry.outcome == COMPLETE]

    @cached_property
    def best(self) -> list[Trial]:
        """The best trial, or the Pareto set of several objectives; empty while there is none."""
        by_number = {trial.number: trial for trial in self.trials}
        entries = [trial.entry for trial in self.trials]
        return [by_number[entry.number] for entry in chosen(entries, self.directions)]

    @property
    def winner(self) -> Trial | None:
        """The best trial of one objective."""
        return self.best[0] if self.best and self.has_one_objective else None

    @cached_property
    def ranks(self) -> Mapping[int, int]:
        """The rank of each completed trial by its number, from 1; empty for several objectives."""
        if not self.has_one_objective:
            return {}
        order = ranked([trial.entry for trial in self.trials], self.directions)
        return {entry.number: rank for rank, entry in enumerate(order, start=1)}

    @cached_property
    def keys(self) -> list[str]:
        """What was searched."""
        return all_keys(trial.params for trial in self.trials)

    @property
    def varied(self) -> list[str]:
        """The keys that had more than one value."""
        return [key for key in self.keys if len(self.values_of(key)) > 1]

    @property
    def points(self) -> int:
        """How many different points were tried."""
        tried = [trial.params for trial in self.trials if trial.entry.outcome not in _NOT_POINTS]
        return len({repr(sorted(params.items())) for params in tried})

    @property
    def has_one_objective(self) -> bool:
        """Whether there is a best trial, rather than a Pareto set."""
        return len(self.directions) == 1

    @property
    def remark(self) -> str:
        """What a picture of the first objective alone says of that, beginning with a space."""
        if self.has_one_objective:
            return ""
        others = " and ".join(self.objectives[1:])
        return f" This is of {self.objectives[0]} alone, not of {others}."

    @property
    def sign(self) -> int:
        """1 where the first objective is to be small, -1 where it is to be large."""
        return -1 if self.directions[0] == "maximize" else 1

    def values_of(self, key: str) -> list[Any]:
        """Return the different values of a parameter, in order."""
        found = {repr(t.params[key]): t.params[key] for t in self.trials if key in t.params}
        values = list(found.values())
        return sorted(values) if are_numbers(values) else values

    def rerun(self, trial: Trial) -> str:
        """Return the command that runs a trial by itself."""
        return rerun_command(trial.entry, self.command)

    @property
    def continue_command(self) -> str:
        """The command that goes on with the sweep."""
        return self.command.text

    def link(self, trial: Trial) -> str | None:
        """Return the address of a trial's page in MLflow, where a server shows it."""
        if self.tracker is None or trial.run_id is None:
            return None
        return f"{self.tracker}/#/runs/{trial.run_id}"


def read(archive: Archive, *, state: str, tracker: str | None) -> Subject:
    """Read what the report needs.

    Args:
        archive: the sweep.
        state: RUNNING, COMPLETE, FAIL or INTERRUPTED.
        tracker: the tracker's address; one that is no server's has no pages.

    Raises:
        InputError: the study's storage does not answer.
    """
    from sinesweep.report.importance import importances

    frozen = {trial.number: trial for trial in archive.study.get_trials(deepcopy=False)}
    trials = [
        trial_of(entry, frozen[entry.number].intermediate_values) for entry in archive.entries
    ]
    return Subject(
        name=archive.name,
        folder=archive.folder,
        question=archive.question,
        state=state,
        total=archive.total,
        directions=archive.directions,
        objectives=archive.objectives,
        trials=trials,
        logarithmic=frozenset(_logarithmic(frozen.values())),
        definition=archive.definition,
        settings=dict(_flat(archive.definition["config"])),
        importances=importances(archive.study),
        command=archive.command,
        directory=archive.directory,
        tracker=_pages(tracker),
    )


def baseline_name(baseline: str, metric: str) -> str:
    """Return what a baseline's own value of a metric is called."""
    return f"baseline/{baseline}/{metric.replace('/', '_')}"


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether a parameter's values have places on an axis, different ones if they differ."""
    plain = (isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if not all(plain) or not all(math.isfinite(value) for value in values):
        return False
    return len(set(values)) == len(set(map(repr, values)))  # 1 and 1.0 would have one place


def trial_of(entry: Entry, curve: Mapping[int, float]) -> Trial:
    """Return a trial with what it logged.

    Args:
        entry: as the study has it.
        curve: step to what it reported.
    """
    folder = entry.directory
    return Trial(
        entry=entry,
        params=redact_tree(entry.params),
        metrics=_last_values(folder) if folder else {},
        repeats=[_last_values(each) for each in sorted(folder.glob("repeat-*"))] if folder else [],
        curve=sorted(curve.items()),
    )


def _last_values(folder: Path) -> dict[str, float]:
    last = {name: pairs[-1][1] for name, pairs in record.metric_history(folder).items()}
    return {name: value for name, value in last.items() if math.isfinite(value)}


def _logarithmic(trials: Any) -> Iterator[str]:
    for trial in trials:
        for key, distribution in trial.distributions.items():
            if getattr(distribution, "log", False):
                yield key


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _pages(tracker: str | None) -> str | None:
    """Return the address of MLflow's pages without the credentials of who reads them."""
    address = tracker or os.environ.get("MLFLOW_TRACKING_URI") or ""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        return None
    host = parts.netloc.rpartition("@")[2]
    return redact(parts._replace(netloc=host, query="", fragment="").geturl().rstrip("/"))
