"""A sweep as JSON, for scripts: stable keys, plain values, no credentials.

``sinesweep list --json`` prints a list of what :func:`sweep_facts` returns, the newest first, and
last ``folder`` and ``unreadable`` (why) of each sweep that cannot be read. ``sinesweep show
--json`` prints what :func:`all_facts` returns.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sinesweep.commands.standing import REPORTED, STATES, Standing, last_metrics
from sinesweep.redaction import redact_overrides, redact_tree
from sinesweep.runs import run_id
from sinesweep.sweep.entry import Entry
from sinesweep.sweep.rerun import rerun_command
from sinesweep.sweep.results import find_checkpoint

FORMAT = 1  # changes when a key's meaning does


def sweep_facts(found: Standing) -> dict[str, Any]:
    """Return a sweep in brief.

    Returns:
        ``name``; ``folder``; ``state`` (``running``, ``complete``, ``failed`` or ``interrupted``);
        ``done`` and ``total`` (trials; total is null where another budget ends the sweep);
        ``counts`` (outcome to number); ``objectives`` (list of ``name`` and ``direction``);
        ``best`` (list of ``trial`` and ``values``: one, or the Pareto set, or none);
        ``reference_test_mae`` (of the best, or null); ``seconds`` (of all trials together);
        ``active`` (when something last happened, ISO 8601 with the zone).
    """
    archive = found.archive
    pairs = zip(archive.objectives, archive.directions, strict=True)
    return {
        "name": archive.name,
        "folder": str(archive.folder.absolute()),
        "state": STATES[found.state],
        "done": found.done,
        "total": archive.total,
        "counts": found.counts,
        "objectives": [{"name": name, "direction": direction} for name, direction in pairs],
        "best": [{"trial": e.number, "values": list(e.values or ())} for e in found.best],
        "reference_test_mae": found.best_metrics.get(REPORTED),
        "seconds": found.seconds,
        "active": _when(found.active),
    }


def all_facts(found: Standing, report: Path | None) -> dict[str, Any]:
    """Return everything that is known of a sweep.

    Args:
        found: the sweep.
        report: the file of its report, if there is one.

    Returns:
        :func:`sweep_facts`, and ``format`` (1); ``space`` (key to what is searched, as it was
        written); ``fixed`` (overrides that every trial got); ``repeats``;
        ``custom_search_space``; ``command`` (words) typed in ``directory``; ``run_id`` (MLflow's,
        or null); ``report`` (a path, or null); ``trials``, each with ``number``, ``state``
        (Optuna's), ``outcome`` (the state, or INTERRUPTED, RETRIED, REUSED), ``values`` (as
        ``objectives``, or null), ``params``, ``overrides``, ``metrics`` (name to last value),
        ``constraints`` (name to value; above 0 is violated), ``start`` (ISO 8601, or null),
        ``seconds``, ``error``, ``origin`` (the trial that it runs
        again, or null), ``directory``, ``run_id``, ``checkpoint``, ``command`` (runs it again).
    """
    archive = found.archive
    definition = archive.definition
    return {
        "format": FORMAT,
        **sweep_facts(found),
        "space": definition["space"],
        "fixed": redact_overrides(archive.fixed),
        "repeats": definition["repeats"],
        "custom_search_space": definition["custom_search_space"],
        "command": [*archive.command.interpreter, *archive.command.redacted.arguments],
        "directory": str(archive.directory),
        "run_id": run_id(archive.folder),
        "report": None if report is None else str(report.absolute()),
        "trials": [_trial(found, entry) for entry in found.entries],
    }


def print_json(value: Any) -> None:
    """Print a value without credentials; numbers that JSON does not have are null."""
    print(json.dumps(redact_tree(_finite(value)), indent=2, allow_nan=False))  # noqa: T201


def _trial(found: Standing, entry: Entry) -> dict[str, Any]:
    directory = entry.directory
    return {
        "number": entry.number,
        "state": entry.state,
        "outcome": entry.outcome,
        "values": None if entry.values is None else list(entry.values),
        "params": entry.params,
        "overrides": redact_overrides(entry.overrides),
        "metrics": last_metrics(directory),
        "constraints": entry.constraints,
        "start": None if entry.start is None else _when(entry.start),
        "seconds": entry.seconds,
        "error": entry.error,
        "origin": entry.origin,
        "directory": None if directory is None else str(directory.absolute()),
        "run_id": None if directory is None else run_id(directory),
        "checkpoint": find_checkpoint(directory),
        "command": rerun_command(entry, found.archive.command),
    }


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
