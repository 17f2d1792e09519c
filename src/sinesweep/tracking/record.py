"""A run's own account of itself: one JSON object a line, appended as things happen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from sinesweep.clock import timestamp_ns
from sinesweep.redaction import redact_tree

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


class Record:
    """The append-only file of one run.

    A line that a killed process left half written is dropped when the record is opened for
    writing again. Metrics are written once for each name and step: what a continued run trains
    again is the same to the last bit, and is not told twice.

    Args:
        directory: the run's folder.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        if self.path.exists():
            self._drop_torn_line()

    def append(self, kind: str, **content: Any) -> None:
        """Write one event; it is in the operating system's hands when this returns."""
        self._write(kind, redact_tree(content))

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
        new = {name: value for name, value in values.items() if (name, step) not in self._told}
        if new:
            self._told.update((name, step) for name in new)
            self._write("metrics", {"step": step, "values": new})  # numbers hold no secrets

    def _write(self, kind: str, content: Mapping[str, Any]) -> None:
        event = {"kind": kind, "time": timestamp_ns() // 1_000_000, **content}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")

    def _drop_torn_line(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.open("r+b") as file:
                file.truncate(whole)


def read(directory: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Yield each whole event from a byte offset on, with the offset behind it."""
    path = directory / FILE_NAME
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield json.loads(line), offset


def last(directory: Path) -> Event | None:
    """Return the last whole event, without reading the others, or None where there is none."""
    path = directory / FILE_NAME
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    return json.loads(whole[-1]) if whole else None


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
