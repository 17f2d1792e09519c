"""A sweep packed into one zip file.

A zip opens with a double click on every system, and one trial can be read without unpacking the
rest. The study is read once, first; tables and trials are those of that moment, whatever a sweep
that runs does meanwhile.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import yaml
from optuna.trial import FrozenTrial

from sinesweep.commands.bundle_readme import readme
from sinesweep.commands.standing import Standing
from sinesweep.commands.study_copy import copied_journal
from sinesweep.errors import InputError
from sinesweep.files import load_yaml, warn_of_damage
from sinesweep.redaction import redact_overrides, redact_tree
from sinesweep.sweep.archive import STATE_FILE, Archive
from sinesweep.sweep.entry import RUNNING, Entry
from sinesweep.sweep.outcome import FILE_NAME as OUTCOME_FILE
from sinesweep.sweep.plan import DEFINITION_FILE
from sinesweep.sweep.rerun import rerun_command
from sinesweep.sweep.results import (
    BEST_FILE,
    OPTIMIZATION_FILE,
    TRIALS_FILE,
    Results,
    find_checkpoint,
)
from sinesweep.sweep.storage import JOURNAL_FILE
from sinesweep.tracking import record

README_FILE = "README.txt"
VERSIONS_FILE = "environment.json"
_OF_A_SWEEP = (DEFINITION_FILE, STATE_FILE, record.FILE_NAME)
_OF_A_TRIAL = ("config.yaml", ".hydra/config.yaml", ".hydra/overrides.yaml", "metrics.csv")
_OF_AN_ENDED_TRIAL = (record.FILE_NAME, OUTCOME_FILE)
_REPORTS = ("report.html", "report")


@dataclass(frozen=True)
class _Checkpoint:
    """A best trial's checkpoint: as tables tell it, where it is, and its place in the zip."""

    told: str
    path: Path
    name: str


class _Zip:
    """A zip file that is being written: everything in it is in one folder."""

    def __init__(self, path: Path, folder: str) -> None:
        self._file = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False)
        self._folder = folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, name: str, content: bytes) -> None:
        self._file.writestr(f"{self._folder}/{name}", content)

    def add_texts(self, folder: Path, names: Sequence[str], under: str = "") -> None:
        """Add those of a folder's files that are there, without credentials."""
        for name in names:
            if not (folder / name).exists():
                continue
            content = _without_credentials(folder / name)
            if content is not None:
                self.add(f"{under}{name}", content)

    def add_path(self, path: Path, name: str) -> None:
        """Add a file, or every file of a folder, as it is; nothing where there is none."""
        if path.is_dir():
            for inner in sorted(each for each in path.rglob("*") if each.is_file()):
                self.add_path(inner, f"{name}/{inner.relative_to(path)}")
        elif path.exists():
            self._file.write(path, f"{self._folder}/{name}")


def write_bundle(archive: Archive, output: Path) -> int:
    """Pack a sweep.

    Args:
        archive: the sweep, which may be running.
        output: a new file; it is there when all of it is.

    Returns:
        How many trials there are in it.

    Raises:
        InputError: the study cannot be read, or a file cannot be read or written.
    """
    state = archive.state
    trials = archive.study.get_trials(deepcopy=False)
    found = Standing(archive, archive.entries_of(trials), state)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        with _Zip(temporary, archive.folder.resolve().name) as file:
            _pack(found, file, trials)
        temporary.rename(output)
    except OSError as error:
        raise InputError(
            f"export: the sweep's files must be readable and {output} writable, but: {error}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return len(found.entries)


def _pack(found: Standing, file: _Zip, trials: Sequence[FrozenTrial]) -> None:
    archive, folder = found.archive, found.archive.folder
    checkpoints = list(_checkpoints(found))
    file.add(README_FILE, readme(found).encode())
    file.add(JOURNAL_FILE, copied_journal(archive, trials))
    file.add(VERSIONS_FILE, json.dumps(_environment(folder), indent=2).encode())
    for name, text in _tables(archive, found.entries).items():
        file.add(name, _relative(text, archive, checkpoints).encode())
    file.add_texts(folder, _OF_A_SWEEP)
    for name in _REPORTS:
        file.add_path(folder / name, name)
    for entry in found.entries:
        if entry.directory is not None:
            names = _OF_A_TRIAL if entry.state == RUNNING else (*_OF_A_TRIAL, *_OF_AN_ENDED_TRIAL)
            file.add_texts(entry.directory, names, f"trials/{entry.number}/")
    for kept in checkpoints:
        file.add_path(kept.path, kept.name)


def _without_credentials(path: Path) -> bytes | None:
    """Return a file's content, without credentials.

    What cannot be read may hold a credential. A damaged line is left out with a warning. So is a
    damaged file, for which None is returned.
    """
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        whole = content[: content.rfind(b"\n") + 1]  # its last line may be being written
        lines = (_redacted(path, line, json.loads, _dumps) for line in whole.splitlines(True))
        return b"".join(line for line in lines if line is not None)
    if path.suffix == ".json":
        return _redacted(path, content, json.loads, _dumps)
    if path.suffix == ".yaml":
        return _redacted(path, content, load_yaml, partial(yaml.safe_dump, sort_keys=False))
    return content


def _redacted(
    path: Path, content: bytes, load: Callable[[bytes], Any], dump: Callable[[Any], str]
) -> bytes | None:
    try:
        value = load(content)
    except (ValueError, RecursionError) as error:
        warn_of_damage(path, str(error), "what cannot be read is left out of the zip")
        return None
    # A list alone is one of overrides: .hydra/overrides.yaml.
    shown = redact_overrides(map(str, value)) if isinstance(value, list) else redact_tree(value)
    return content if shown == value else dump(shown).encode()


def _dumps(value: Any) -> str:
    return json.dumps(value) + "\n"


def _tables(archive: Archive, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the tables of these trials, as the sweep itself writes them."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        results = Results(folder, archive.directions)
        results.write_trials(entries, final=True)
        results.write_best(entries, lambda entry: rerun_command(entry, archive.command))
        results.write_optimization_results(entries)
        paths = [folder / name for name in (TRIALS_FILE, BEST_FILE, OPTIMIZATION_FILE)]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def _checkpoints(found: Standing) -> Iterator[_Checkpoint]:
    for entry in found.best:
        told = find_checkpoint(entry.directory)
        if told is None:
            continue
        # As this command finds it, or as the sweep's own did.
        for path in (Path(told), found.archive.directory / told):
            if path.exists():
                yield _Checkpoint(told, path, f"trials/{entry.number}/checkpoints/{path.name}")
                break


def _relative(text: str, archive: Archive, checkpoints: Sequence[_Checkpoint]) -> str:
    """Return a table in which paths begin at the zip's folder, as far as they lead into it."""
    for kept in checkpoints:
        text = text.replace(kept.told, kept.name)
    for folder in (archive.folder.absolute(), archive.folder):
        text = text.replace(f"{folder}/", "")
    return text


def _environment(folder: Path) -> dict[str, Any]:
    """Return what the sweep was run with, as far as it was recorded, and what packed it."""
    begins = (event for event, _ in record.read(folder) if event["kind"] == "begin")
    tags = next((event["tags"] for event in begins), {})
    kept = ("sinesweep.version.", "mlflow.source.git.", "sinesweep.git.")
    installed = ((d.metadata["Name"], d.version) for d in metadata.distributions())
    return {
        "sweep": {name: text for name, text in tags.items() if name.startswith(kept)},
        "installed_at_export": dict(sorted(installed, key=lambda pair: pair[0].lower())),
    }
