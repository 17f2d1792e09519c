"""A run's own account of itself: one JSON object a line, appended as things happen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

from sinesweep import files
from sinesweep.clock import timestamp_ns
from sinesweep.redaction import add_rules, redact_tree, sanitize, sanitize_tree

FILE_NAME = "record.jsonl"
STATE_FILE = "delivery.json"  # beside it: how far it was sent

# By which a run is found again, its state in this project's words, and what it failed with.
RUN_TAG = "sinesweep.run"
STATE_TAG = "sinesweep.state"
ERROR_TAG = "sinesweep.error"
ROOT_TAG = "sinesweep.root"  # the id of the folder that it is recorded in
DIRECTORY_TAG = "sinesweep.directory"

FINISHED = "FINISHED"
FAILED = "FAILED"
KILLED = "KILLED"

COMPLETE = "COMPLETE"
FAIL = "FAIL"
INTERRUPTED = "INTERRUPTED"

Event = dict[str, Any]

# What every event of a kind has besides its time. It may have more.
_FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "begin": {"name": str, "experiment": str, "params": dict, "tags": dict, "datasets": list},
    "resume": {"tags": dict},
    "metrics": {"step": int, "values": dict},
    "tags": {"tags": dict},
    "trial": {"path": str},
    "artifact": {"path": str, "folder": (str, NoneType)},
    "model": {
        "checkpoint": str,
        "example": list,
        "input_steps": int,
        "output_steps": int,
        "requirements": list,
        "code": list,
    },
    "view": {"name": str, "params": list, "metrics": list, "of_sweep": list, "maximize": bool},
    "end": {"status": (str, NoneType), "tags": dict},
}


class Record:
    """The append-only file of one run.

    A torn last line is removed before the next one is written. Metrics are written once for each
    name and step: what a continued run trains again is the same to the last bit, and is not told
    twice.

    Args:
        directory: the run's folder.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self._process = os.getpid()

    def append(self, kind: str, **content: Any) -> None:
        """Write one event; it is in the operating system's hands when this returns."""
        self._write(kind, sanitize_tree(redact_tree(content)))

    @cached_property
    def _told(self) -> set[tuple[str, int]]:
        """The (name, step) of all metrics: read only for whoever has metrics to add."""
        return {
            (name, event["step"])
            for event, _ in read(self.path.parent)
            if event["kind"] == "metrics"
            for name in event["values"]
        }

    def append_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Write the metrics that have not been told for this step yet."""
        named = {sanitize(name): value for name, value in values.items()}
        new = {name: value for name, value in named.items() if (name, step) not in self._told}
        if new:
            self._told.update((name, step) for name in new)
            self._write("metrics", {"step": step, "values": new})  # numbers hold no secrets

    def refuse_fork(self) -> None:
        """Refuse a process that was forked from the one that records the run.

        Raises:
            RuntimeError: this is such a process.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                "a run must be recorded by the process that trains it, but a process that was "
                "forked from that one records, too: end it when its own work is done"
            )

    def _write(self, kind: str, content: Mapping[str, Any]) -> None:
        self.refuse_fork()
        event = {"kind": kind, "time": timestamp_ns() // 1_000_000, **content}
        files.append(self.path, f"{json.dumps(event)}\n".encode())


def read(directory: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from a byte offset on, with the offset behind it.

    A line that is no event, or lacks a field of its kind, is skipped with a warning.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return
    for line, behind in files.read_lines(path, offset):
        event = _event(line)
        if event is not None:
            yield event, behind
        else:
            files.warn_of_damage(
                path, f"no event before byte {behind}", "the line is skipped, the rest is read"
            )


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and _is_complete(event) else None


def _is_complete(event: Event) -> bool:
    """Whether an event has the fields of its kind."""
    kind = event.get("kind")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None or not isinstance(event.get("time"), int):
        return False
    if not all(key in event and isinstance(event[key], kinds) for key, kinds in fields.items()):
        return False
    values = event["values"].values() if kind == "metrics" else ()
    return all(isinstance(value, (int, float)) for value in values)


def size(directory: Path) -> int:
    """Return the length of a record in bytes."""
    path = directory / FILE_NAME
    return path.stat().st_size if path.exists() else 0


def last(directory: Path) -> Event | None:
    """Return the last whole event, without reading the others, or None where there is none."""
    path = directory / FILE_NAME
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    return next(filter(None, map(_event, reversed(whole))), None)


def delivery_state(directory: Path) -> dict[str, Any]:
    """Return how far a record was sent; nothing if the file is missing or damaged.

    The exporter then looks for the run in the tracker before it creates one.
    """
    path = directory / STATE_FILE
    loss = "how far the record was sent is lost; `sinesweep sync` finds its run and sends it again"
    return files.read_json(path, loss) or ({"creating": True} if path.exists() else {})


def apply_rules(directory: Path) -> None:
    """Redact as the run did that wrote this record: with the keys that its command has added."""
    begins = (event for event, _ in read(directory) if event["kind"] == "begin")
    add_rules(**next(begins, {}).get("redaction", {}))


def last_end(directory: Path) -> Event | None:
    """Return the event that ended the run, or None while it is open."""
    end: Event | None = None
    for event, _ in read(directory):
        if event["kind"] in ("begin", "resume"):
            end = None
        elif event["kind"] == "end":
            end = event
    return end


def metric_history(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Return each metric's (step, value) pairs in the order they were told."""
    history: dict[str, list[tuple[int, float]]] = {}
    for event, _ in read(directory):
        if event["kind"] == "metrics":
            for name, value in event["values"].items():
                history.setdefault(name, []).append((event["step"], value))
    return history
