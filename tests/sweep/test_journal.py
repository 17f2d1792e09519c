"""Journals that a trial, a full disk or a failing machine has damaged."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from sinesweep import files
from sinesweep.errors import InputError
from sinesweep.sweep.journal import open_journal

SPACE = {"x": FloatDistribution(0, 1), "kind": CategoricalDistribution(["a", None, 3])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def begin(path: Path) -> optuna.Study:
    """Open a study as the command that runs it does."""
    storage = open_journal(path, repair=True)
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


def add(study: optuna.Study, value: float) -> None:
    trial = study.ask(SPACE)
    trial.set_user_attr("mark", {"ask": trial.number})
    trial.report(value / 2, 0)
    study.tell(trial, value)


def known(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials()


def values(path: Path) -> list[float | None]:
    """Return the trials' values as the next command reads them."""
    return [trial.value for trial in begin(path).trials]


FOREIGN = {
    "text": b"garbage\n",
    "half a line": b"garbage",
    "bytes that are no text": b"\xff\xfe\x00\n",
    "JSON that is no object": b"[1, 2]\n",
    "an unknown operation": b'{"op_code": 99, "worker_id": "w"}\n',
    "an operation of no kind": b'{"op_code": [], "worker_id": "w"}\n',
    "an operation without its fields": b'{"op_code": 5, "worker_id": "w"}\n',
    "an operation without a worker": b'{"op_code": 4, "study_id": 0}\n',
    "deep nesting": b"[" * 100_000 + b"\n",
    "a long torn line": b'{"op_code": 4, "x": "' + b"y" * (3 << 20),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_running_command_survives_foreign_content(path: Path, content: bytes) -> None:
    """The command that runs goes on, and the next one has all trials before and after."""
    study = begin(path)
    add(study, 1.0)
    with path.open("ab") as file:
        file.write(content)
    add(study, 2.0)
    assert values(path) == [1.0, 2.0]


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN.keys())
def test_next_command_survives_foreign_content(path: Path, content: bytes) -> None:
    """The next command reads the trials and adds others, which the one after it reads."""
    add(begin(path), 1.0)
    with path.open("ab") as file:
        file.write(content)
    add(begin(path), 2.0)
    assert values(path) == [1.0, 2.0]


def test_skipped_line_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning names the file, the line and what is lost."""
    study = begin(path)
    lines = path.read_bytes().count(b"\n")
    with path.open("ab") as file:
        file.write(b"garbage\n")
    with caplog.at_level(logging.WARNING):
        add(study, 1.0)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: damaged (line {lines + 1}: no operation of Optuna's): the line is skipped, the "
        "rest is read"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_lost_creation_of_a_trial_moves_no_other(path: Path, workers: int) -> None:
    """Where the line is damaged that created a trial, every trial keeps its number and values."""
    study = begin(path)
    for start in range(0, 6, workers):
        trials = [study.ask(SPACE) for _ in range(workers)]
        for trial in trials:
            study.tell(trial, trial.number)
        assert start + workers == len(study.trials)
    before = [(each.number, each.value, each.params) for each in study.trials]
    lines = path.read_bytes().splitlines(keepends=True)
    created = [index for index, line in enumerate(lines) if json.loads(line)["op_code"] == 4]
    for lost in ([created[0]], [created[2]], [created[5]], [created[1], created[3]], created):
        damaged = [b"garbage\n" if index in lost else line for index, line in enumerate(lines)]
        path.write_bytes(b"".join(damaged))
        again = begin(path)
        assert [(each.number, each.value, each.params) for each in again.trials] == before
        add(again, 7)
        assert values(path) == [*(value for _, value, _ in before), 7]


def test_foreign_lines_create_no_trial(path: Path) -> None:
    """Lines that no trial is missing for are skipped alone."""
    study = begin(path)
    path.write_bytes(path.read_bytes() + b"garbage\n" * 5)
    add(study, 1)
    assert values(path) == [1]


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


def _cut_in_a_line(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _overwrite(path: Path) -> None:
    path.write_bytes(b"x" * (2 * path.stat().st_size))


@pytest.mark.parametrize("damage", [_delete, _truncate, _cut_in_a_line, _overwrite])
def test_running_command_restores_the_journal(path: Path, damage: Callable[[Path], None]) -> None:
    """Operations that are gone from the file are written again, with every trial as it was."""
    study = begin(path)
    study.set_user_attr("note", "kept")
    add(study, 1.0)
    running = study.ask(SPACE)
    running.report(0.5, 3)
    before = known(study)
    damage(path)
    study.tell(running, 2.0)
    add(study, 3.0)
    after = begin(path)
    assert after.user_attrs == {"note": "kept"}
    assert known(after)[0] == before[0]
    assert known(after)[1].intermediate_values == {3: 0.5}
    assert known(after)[1].params == before[1].params
    assert [trial.value for trial in after.trials] == [1.0, 2.0, 3.0]


def test_own_operation_survives_damage_before_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial that cuts the journal between this process's write and read loses no operation."""
    study = begin(path)
    add(study, 1.0)
    append = files.append

    def append_and_damage(*arguments: Any, **more: Any) -> None:
        append(*arguments, **more)
        os.truncate(path, 10)

    with monkeypatch.context() as patched:
        patched.setattr(files, "append", append_and_damage)
        trial = study.ask(SPACE)
        study.tell(trial, 2.0)
    assert trial.number == 1
    assert values(path) == [1.0, 2.0]


def test_journal_that_is_only_read_stays_as_it_is(path: Path) -> None:
    """A reader neither removes a torn line, which may be being written, nor restores anything."""
    add(begin(path), 1.0)
    with path.open("ab") as file:
        file.write(b'{"op_co')
    before = path.read_bytes()
    reader = open_journal(path, repair=False)
    study = optuna.load_study(study_name="s", storage=reader)
    assert path.read_bytes() == before
    path.write_bytes(b"")
    assert [trial.value for trial in study.trials] == [1.0]
    assert path.read_bytes() == b""


def test_failed_append_leaves_no_part_of_a_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk fails the operation, and the next one finds a whole journal."""
    study = begin(path)
    add(study, 1.0)
    whole = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=f"No space.*{path}"):
            study.ask(SPACE)
    assert path.read_bytes() == whole
    add(study, 2.0)
    assert values(path) == [1.0, 2.0]


def test_two_commands_share_a_journal(path: Path) -> None:
    """What another process appends is read, and takes no part of this one's lines."""
    first, second = begin(path), begin(path)
    add(first, 1.0)
    add(second, 2.0)
    add(first, 3.0)
    assert [trial.value for trial in second.trials] == values(path) == [1.0, 2.0, 3.0]


def test_lines_are_optunas(path: Path) -> None:
    """Optuna's own backend reads the journal."""
    add(begin(path), 1.0)
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(study_name="s", storage=optuna.storages.JournalStorage(backend))
    assert [trial.value for trial in study.trials] == [1.0]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_folder_in_place_of_a_journal(path: Path) -> None:
    """A folder of the journal's name is refused in one message."""
    path.mkdir()
    with pytest.raises(InputError, match=rf"^{path}: must be a study's journal, but is a folder"):
        open_journal(path, repair=True)
