"""What a sweep leaves in its folder: every trial in a table, the best ones to be run again."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from sinesweep.files import write_atomically
from sinesweep.redaction import redact, redact_error, redact_overrides, redact_tree, sanitize
from sinesweep.runs import CHECKPOINTS, run_id
from sinesweep.sweep.entry import COMPLETE, DROPPED, REPORT, REUSED, RUNNING, Entry
from sinesweep.sweep.outcome import read_outcome
from sinesweep.sweep.ranking import chosen, values_of
from sinesweep.sweep.repeats import Repeats, mean_metrics
from sinesweep.sweep.space import point_key
from sinesweep.sweep.wording import all_keys, spelled

TRIALS_FILE = "trials.csv"
BEST_FILE = "best.yaml"
# The name and the content are hydra-optuna-sweeper's.
OPTIMIZATION_FILE = "optimization_results.yaml"

_BEST_CHECKPOINT = "best.ckpt"  # as the reference task's training names it, which imports torch
_PATIENCE = 10.0  # seconds between looks for run ids that a slow or dead tracker has not given yet

Command = Callable[[Entry], str]


@dataclass(frozen=True)
class Columns:
    """The columns of ``trials.csv`` that differ from sweep to sweep.

    Attributes:
        params: the keys that were searched.
        constraints: their names.
        metrics: the names of what trials recorded.
    """

    params: Sequence[str] = ()
    constraints: Sequence[str] = ()
    metrics: Sequence[str] = ()

    @property
    def titles(self) -> list[str]:
        """Return the titles, in order."""
        groups = {"params": self.params, "constraints": self.constraints, "metrics": self.metrics}
        return [f"{group}.{name}" for group, names in groups.items() for name in names]


class Results:
    """Writes the files, each only where its content has changed.

    What cannot change any more is read and put in words once, so that the table of thousands of
    trials can be written every second.

    Args:
        folder: the sweep's.
        directions: ``minimize`` or ``maximize`` for each objective.
        repeats: the seeds that a trial's values are the mean of, where there are several.
    """

    def __init__(
        self, folder: Path, directions: Sequence[str], repeats: Repeats | None = None
    ) -> None:
        self._folder = folder
        self._directions = directions
        self._repeats = repeats
        self._columns = Columns()
        self._metrics: dict[int, Mapping[str, float]] = {}
        self._metric_names: set[str] = set()
        self._lines: dict[int, tuple[Entry, str]] = {}
        self._evaluated: dict[str, Entry] = {}  # by what they evaluated
        self._run_ids: dict[int, str] = {}
        self._without_id: set[int] = set()  # whose lines were made before the tracker gave an id
        self._checkpoints: dict[int, str | None] = {}
        self._looked = time.monotonic()
        self._written: dict[str, str] = {}

    def write_trials(self, entries: Sequence[Entry], *, final: bool = False) -> None:
        """Write ``trials.csv``.

        Args:
            entries: every trial of the sweep; those that never began are left out.
            final: look once more for the run ids that were still missing.
        """
        shown = [entry for entry in entries if entry.outcome != DROPPED]
        self._read_metrics(shown)
        columns = Columns(
            params=all_keys(entry.params for entry in shown),
            constraints=all_keys(entry.constraints for entry in shown),
            metrics=sorted(self._metric_names),
        )
        if columns != self._columns:
            self._columns = columns
            self._lines.clear()
        elif final or time.monotonic() - self._looked > _PATIENCE:
            self._look_again()
        self._write(TRIALS_FILE, self._header() + "".join(self._line(entry) for entry in shown))

    def write_best(self, entries: Sequence[Entry], command: Command) -> None:
        """Write ``best.yaml``: the overrides that make the best trial, or the Pareto-optimal ones.

        Where a trial's value is the mean over several seeds, there is a command for each.

        Args:
            entries: every trial of the sweep; without a completed one nothing is written.
            command: the command line that runs a trial again, quoted for a shell.
        """
        found = chosen(entries, self._directions)
        if not found:
            return
        if len(self._directions) == 1:
            text = self._commands(found[0], command) + _yaml(self._described(found[0]))
        else:
            parts = [self._commands(e, command) + _yaml([self._described(e)]) for e in found]
            text = "\n".join(parts)
        self._write(BEST_FILE, text)

    def write_optimization_results(self, entries: Sequence[Entry]) -> None:
        """Write ``optimization_results.yaml``, if a trial was completed."""
        found = chosen(entries, self._directions)
        if not found:
            return
        content: dict[str, Any] = {"name": "optuna"}
        if len(self._directions) == 1:
            content["best_params"] = _params(found[0])
            content["best_value"] = values_of(found[0])[0]
        else:
            content["solutions"] = [
                {"params": _params(entry), "values": list(values_of(entry))} for entry in found
            ]
        created = OmegaConf.create(content, flags={"allow_objects": True})
        self._write(OPTIMIZATION_FILE, OmegaConf.to_yaml(created))

    def _write(self, name: str, text: str) -> None:
        if self._written.get(name) != text:
            # The study has it all: there is no need to wait for the disk.
            write_atomically(self._folder / name, text.encode(), sync=False)
            self._written[name] = text

    def _commands(self, entry: Entry, command: Command) -> str:
        text = _comment(command(entry))
        if self._repeats is None:
            return text
        text += _comment("and, for the other seeds that the value is the mean of:")
        further = self._repeats.further(entry.overrides)
        return text + "".join(_comment(command(replace(entry, overrides=each))) for each in further)

    def _described(self, entry: Entry) -> dict[str, Any]:
        values = list(values_of(entry))
        return {
            "trial": entry.number,
            **({"value": values[0]} if len(values) == 1 else {"values": values}),
            **({"seeds": list(self._repeats.seeds)} if self._repeats else {}),
            **({"constraints": dict(entry.constraints)} if entry.constraints else {}),
            "overrides": redact_overrides(entry.overrides),
            "directory": _text(entry.directory),
            "run_id": self._run_id(entry),
            "checkpoint": self._checkpoint(entry),
        }

    def _header(self) -> str:
        values = ["value"]
        if len(self._directions) > 1:
            values = [f"value_{index}" for index in range(len(self._directions))]
        last = ["duration_seconds", "directory", "run_id", "checkpoint", "error"]
        return _csv_line(["number", "state", *values, *self._columns.titles, *last])

    def _line(self, entry: Entry) -> str:
        kept = self._lines.get(entry.number)
        if kept is not None and (kept[0] is entry or kept[0] == entry):
            return kept[1]
        if entry.outcome == COMPLETE:
            self._evaluated.setdefault(point_key(entry.params), entry)
        line = _csv_line(self._cells(entry))
        if entry.state != RUNNING:
            self._lines[entry.number] = (entry, line)
            if self._run_id(self._source(entry)) is None:
                self._without_id.add(entry.number)
        return line

    def _cells(self, entry: Entry) -> list[str]:
        params = {key: spelled(value) for key, value in _params(entry).items()}
        values = [""] * len(self._directions)
        if entry.values is not None:
            values = [repr(value) for value in entry.values]
        source = self._source(entry)
        metrics = self._metrics.get(source.number, {})
        columns = self._columns
        return [
            str(entry.number),
            entry.state,
            *values,
            *(params.get(key, "") for key in columns.params),
            *(_number(entry.constraints.get(name)) for name in columns.constraints),
            *(_number(metrics.get(name)) for name in columns.metrics),
            "" if entry.seconds is None else f"{entry.seconds:.3f}",
            _text(source.directory) or "",
            self._run_id(source) or "",
            self._checkpoint(source) or "",
            redact_error(entry.error or ""),
        ]

    def _source(self, entry: Entry) -> Entry:
        """Return the trial whose folder a trial's values come from."""
        if entry.outcome != REUSED:
            return entry
        return self._evaluated.get(point_key(entry.params), entry)

    def _read_metrics(self, entries: Iterable[Entry]) -> None:
        """Read what the trials that have ended since have recorded."""
        for entry in entries:
            if entry.state != RUNNING and entry.number not in self._metrics:
                self._metrics[entry.number] = metrics_of(entry)
                self._metric_names.update(self._metrics[entry.number])

    def _look_again(self) -> None:
        self._looked = time.monotonic()
        for number in self._without_id:
            self._lines.pop(number, None)
        self._without_id.clear()

    def _run_id(self, entry: Entry) -> str | None:
        if entry.number not in self._run_ids:
            found = run_id(entry.directory) if entry.directory else None
            if found is None:
                return None
            self._run_ids[entry.number] = found
        return self._run_ids[entry.number]

    def _checkpoint(self, entry: Entry) -> str | None:
        if entry.number in self._checkpoints:
            return self._checkpoints[entry.number]
        found = find_checkpoint(entry.directory)
        if entry.state != RUNNING:
            self._checkpoints[entry.number] = found
        return found


def metrics_of(entry: Entry) -> dict[str, float]:
    """Return the last value of each metric that a trial recorded, or else of what it reported.

    The trial's own values, which are in columns of their own, are left out.
    """
    recorded = mean_metrics(entry.directory) if entry.directory else {}
    values = entry.values or ()
    own = {"value", *(f"value_{index}" for index in range(len(values)))}
    found = {name: value for name, value in recorded.items() if name not in own}
    if not found and entry.reported is not None:
        return {REPORT: entry.reported}
    return found


def update_run_ids(folder: Path) -> list[Path]:
    """Write into a sweep's tables the run ids that its trials have by now.

    Args:
        folder: of a sweep that no process runs.

    Returns:
        The files that have changed.
    """
    updates = {TRIALS_FILE: _with_run_ids, BEST_FILE: _best_with_run_ids}
    changed = []
    for name, update in updates.items():
        path = folder / name
        try:
            before = path.read_bytes().decode()
        except (FileNotFoundError, UnicodeDecodeError):  # the sweep's next command writes it
            continue
        after = update(before, folder)
        if after != before:
            write_atomically(path, after.encode(), sync=False)
            changed.append(path)
    return changed


def _with_run_ids(text: str, folder: Path) -> str:
    reader = csv.DictReader(io.StringIO(text))
    if not {"directory", "run_id"} <= set(reader.fieldnames or ()):
        return text
    buffer = io.StringIO()
    writer = csv.DictWriter(
        buffer, reader.fieldnames or (), lineterminator="\n", extrasaction="ignore"
    )
    writer.writeheader()
    for row in reader:
        if row["directory"]:
            row["run_id"] = _run_id_now(row["directory"], folder) or row["run_id"]
        writer.writerow(row)
    return buffer.getvalue()


def _best_with_run_ids(text: str, folder: Path) -> str:
    """Change the lines of ids alone: the file has comments."""
    lines, directory = text.splitlines(keepends=True), ""
    for index, line in enumerate(lines):
        key, _, value = line.strip().removeprefix("- ").partition(": ")
        if key == "directory":
            directory = str(yaml.safe_load(value))
        elif key == "run_id" and directory and (found := _run_id_now(directory, folder)):
            lines[index] = f"{line[: line.index('run_id')]}run_id: {found}\n"
    return "".join(lines)


def _run_id_now(directory: str, folder: Path) -> str | None:
    """Return the id of a trial's run; a relative folder was written where the sweep was typed."""
    own = folder / "trials" / Path(directory).name
    return run_id(own if own.is_dir() else Path(directory))


def find_checkpoint(directory: Path | None) -> str | None:
    """Return the checkpoint that a trial named, or its training's best, if it has one."""
    if directory is None:
        return None
    outcome = read_outcome(directory)
    if outcome and outcome.checkpoint:
        return outcome.checkpoint
    path = directory / CHECKPOINTS / _BEST_CHECKPOINT
    return str(path) if path.exists() else None


def _params(entry: Entry) -> Mapping[str, Any]:
    return redact_tree(dict(entry.params))


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(map(sanitize, cells))
    return buffer.getvalue()


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in redact(text).splitlines())


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
