"""The best points of a sweep trained again under fresh seeds: each as a sweep of its seeds.

The seeds are none that the sweep has used: a winner's own value is the best of many draws, and
would flatter its mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sinesweep.errors import InputError
from sinesweep.redaction import redact_override
from sinesweep.sweep import archive as archives
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.entry import COMPLETE, RUNNING, Entry
from sinesweep.sweep.plan import DEFINITION_FILE
from sinesweep.sweep.ranking import pareto, ranked, why_none
from sinesweep.sweep.settings import GRID
from sinesweep.sweep.space import Choice, Interval, Steps, value_text
from sinesweep.tracking import record
from sinesweep.winner import script
from sinesweep.winner.script import key_of

REPORTED = "reference/test_mae"
MOST_SEEDS = 1000
_MOST_VALUES = 1000  # of a key that is varied
_PRUNER = "sinesweep.winner.unpruned.NopPruner"
# What a replication says itself; anything else that was typed of Hydra's is said again.
_OWN_KEYS = (
    "hydra.sweep.dir",
    "hydra.sweeper.params",
    "hydra.sweeper.custom_search_space",
    "hydra.sweeper.n_trials",
    "hydra.sweeper.timeout",
    "hydra.sweeper.terminator",
    "hydra.sweeper.repeats",
    "hydra.sweeper.deduplicate",
    "hydra.sweeper.storage",
    "hydra.sweeper.study_name",
    "hydra.sweeper.sampler",
    "hydra.sweeper.pruner",
)


@dataclass(frozen=True)
class Replica:
    """A point of a sweep that is to be trained under other seeds.

    Attributes:
        rank: in the sweep, from 1; of a Pareto set the place in it.
        entry: the trial.
        label: what the point is called among the others.
        params: the trial's, or those with one value changed.
        folder: of the sweep of its seeds.
        overrides: of that sweep.
    """

    rank: int
    entry: Entry
    label: str
    params: Mapping[str, Any]
    folder: Path
    overrides: Sequence[str]


def plan(
    archive: Archive,
    top: int,
    seeds: int,
    given: Sequence[str],
    each: str | None = None,
    *,
    typed: str = "sinesweep replicate",
) -> list[Replica]:
    """Plan the replication of a sweep's best points.

    Args:
        archive: the sweep.
        top: how many points, or fewer where there are no more.
        seeds: how many each.
        given: overrides; secrets must be among them.
        each: a swept key: instead of the best points, the best one with each of this key's values
            and nothing else changed.
        typed: the command up to the overrides, for the message that asks for secrets.

    Raises:
        InputError: the sweep is running, has completed no trial, does not sweep the key, or has no
            seed to change.
    """
    if archive.state == RUNNING:
        raise InputError(
            f"sweep {archive.name}: must have ended to be replicated, but is running: wait for it"
        )
    if not (1 <= seeds <= MOST_SEEDS and top >= 1):
        raise InputError(
            f"--top and --seeds: must be 1 or more, and seeds at most {MOST_SEEDS}, but are {top} "
            f"and {seeds}"
        )
    best = _best(archive)[: top if each is None else 1]
    if not best:
        raise InputError(
            f"sweep {archive.name}: must have a best trial, but {why_none(archive.entries)}: "
            "continue it"
        )
    first = _first_fresh_seed(archive)
    fresh = range(first, first + seeds)
    if each is None:
        return [
            _replica(archive, rank, entry, fresh, given, typed)
            for rank, entry in enumerate(best, start=1)
        ]
    key, dimension = _values_of(archive, each)
    return [
        _replica(archive, 1, best[0], fresh, given, typed, (key, value, dimension.text(value)))
        for value in map(dimension.at, range(dimension.count))
    ]


def is_replication(archive: Archive) -> bool:
    """Whether a sweep is one that a replication made of a point's seeds."""
    return any(word.endswith(f"={_PRUNER}") for word in archive.command.arguments)


def run(archive: Archive, replica: Replica, seeds: int, *, aside: bool) -> int:
    """Train a point under its seeds, those that were not yet; return the script's exit code.

    Args:
        archive: the sweep that it is a point of.
        replica: the point.
        seeds: how many there are to be.
        aside: show what the script prints among the errors.
    """
    if _is_done(replica, seeds):
        return 0
    return script.run(archive, replica.overrides, multirun=True, aside=aside)


def default_metric(archive: Archive, replicas: Sequence[Replica]) -> str:
    """Return what replicas are compared by: the reference MAE, or else the first objective."""
    for replica in replicas:
        assert replica.entry.directory is not None
        if REPORTED not in record.metric_history(replica.entry.directory):
            return archive.objectives[0]
    return REPORTED


def value_of(archive: Archive, entry: Entry, metric: str) -> float:
    """Return a completed trial's value of an objective or of any metric that it recorded.

    Raises:
        InputError: it has no such metric.
    """
    assert entry.directory is not None
    if metric in archive.objectives and entry.values is not None:
        return entry.values[list(archive.objectives).index(metric)]
    history = record.metric_history(entry.directory)
    if metric not in history:
        known = ", ".join([*archive.objectives, *sorted(set(history) - set(archive.objectives))])
        raise InputError(
            f"--metric: must be one that trials recorded, but {metric!r} is none of {known}"
        )
    return history[metric][-1][1]


def values_by_seed(archive: Archive, replica: Replica, metric: str, seeds: int) -> dict[int, float]:
    """Return what a point came to under each seed; one that failed is missing."""
    own = archives.read(replica.folder)
    found: dict[int, float] = {}
    for entry in own.entries:
        if entry.state == COMPLETE:
            (seed,) = entry.params.values()
            found[int(seed)] = value_of(archive, entry, metric)
    return dict(sorted(found.items())[:seeds])


def _best(archive: Archive) -> list[Entry]:
    """Return a sweep's best points, each once, whatever seed it was evaluated under."""
    several = len(archive.directions) > 1
    found = pareto if several else ranked
    once: dict[str, Entry] = {}
    for entry in found(archive.entries, archive.directions):
        once.setdefault(json.dumps(_without_seed(archive, entry.params), sort_keys=True), entry)
    return list(once.values())


def _values_of(archive: Archive, key: str) -> tuple[str, Choice | Steps]:
    """Return a swept key as the sweep spells it, and its values.

    Raises:
        InputError: it is not swept, or has no end of values.
    """
    swept = {key_of(each): each for each in archive.dimensions}
    if key not in swept:
        raise InputError(
            f"--each: must be a key that the sweep varies, but {key} is none of "
            f"{', '.join(swept) or 'none'}"
        )
    dimension = archive.dimensions[swept[key]]
    if isinstance(dimension, Interval) or dimension.count > _MOST_VALUES:
        raise InputError(
            f"--each: must be a key with a list or range of at most {_MOST_VALUES} values, but "
            f"{key} is {archive.definition['space'][swept[key]]}"
        )
    return swept[key], dimension


def _without_seed(archive: Archive, params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key_of(key) != archive.seed_key}


def _first_fresh_seed(archive: Archive) -> int:
    config, key = OmegaConf.create(dict(archive.definition["config"])), archive.seed_key
    base = OmegaConf.select(config, key)
    if not isinstance(base, int):
        raise InputError(
            f"hydra.sweeper.seed_key: must name an integer of the configuration, but {key} is "
            f"{base!r}: replicas differ in it; begin the sweep with the right key"
        )
    swept = [v for entry in archive.entries for k, v in entry.params.items() if key_of(k) == key]
    last = max([base, *(int(value) for value in swept)])
    return last + archive.definition["repeats"]


def _replica(
    archive: Archive,
    rank: int,
    entry: Entry,
    seeds: range,
    given: Sequence[str],
    typed: str,
    changed: tuple[str, Any, str] | None = None,
) -> Replica:
    overrides = script.overrides_of(archive, entry.overrides, given, typed)
    spelled = [o.partition("=")[0] for o in overrides if key_of(o) == archive.seed_key]
    key = spelled[0] if spelled else archive.seed_key
    # By trial and not by rank, which another trial may take when the sweep is continued; and of
    # more seeds than are trained now, so that the same sweep goes on when more are asked for.
    name, label, params = f"{archive.name}-replicated-{entry.number}", f"trial {entry.number}", {}
    if changed is not None:
        swept, value, spelled_value = changed
        label, params = f"{key_of(swept)}={spelled_value}", {swept: value}
        if repr(entry.params[swept]) != repr(value):  # 1, 1.0 and true are equal
            name += f"-{re.sub('[^A-Za-z0-9.]+', '-', label)}"
            overrides = [o for o in overrides if o.partition("=")[0] != swept]
            overrides.append(f"{swept}={spelled_value}")
    folder = archive.folder.absolute().parent / name
    words = [
        *(override for override in overrides if key_of(override) != archive.seed_key),
        f"{key}=range({seeds.start},{seeds.start + MOST_SEEDS})",
        *script.still_needed(archive, list(_typed_again(archive)), given, typed),
        *script.root_override(archive, multirun=True),
        f"hydra.sweep.dir={value_text(str(folder))}",
        f"hydra.sweeper.study_name={value_text(folder.name)}",
        f"hydra.sweeper.n_trials={len(seeds)}",
        f"hydra.sweeper.sampler._target_={GRID}",
        f"hydra.sweeper.pruner._target_={_PRUNER}",
        "hydra.sweeper.repeats=1",
        "hydra.sweeper.deduplicate=false",
        *(f"hydra.sweeper.{key}=null" for key in ("params", "custom_search_space", "storage")),
        *(f"hydra.sweeper.{key}=null" for key in ("timeout", "terminator")),
    ]
    return Replica(rank, entry, label, {**entry.params, **params}, folder, words)


def _typed_again(archive: Archive) -> Iterator[str]:
    """Yield what was typed of Hydra's own keys, such as the number of workers."""
    for word in archive.command.arguments[1:]:
        key = key_of(word).replace("/", ".")
        own = any(f"{key}.".startswith(f"{each}.") for each in _OWN_KEYS)
        if key.startswith("hydra.") and not own:
            yield word


def _is_done(replica: Replica, seeds: int) -> bool:
    if not (replica.folder / DEFINITION_FILE).exists():
        return False
    own = archives.read(replica.folder)
    fixed = [redact_override(o) for o in replica.overrides if not key_of(o).startswith("hydra")]
    is_same = set(own.fixed) < set(fixed)  # but for the seeds, which are not fixed
    return is_same and own.state == COMPLETE and sum(e.counts for e in own.entries) >= seeds
