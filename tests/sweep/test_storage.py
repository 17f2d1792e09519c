from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from sinesweep.errors import InputError
from sinesweep.sweep.settings import Target
from sinesweep.sweep.storage import JOURNAL_FILE, open_storage, refuse_memory


def trials(folder: Path) -> list[float | None]:
    study = optuna.load_study(study_name="s", storage=open_storage(None, folder))
    return [trial.value for trial in study.trials]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Keep a study with one trial."""
    study = optuna.create_study(study_name="s", storage=open_storage(None, tmp_path))
    study.tell(study.ask(), 1.0)
    return tmp_path / JOURNAL_FILE


@pytest.mark.parametrize(
    "chosen",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        Target(_target_="optuna.storages.InMemoryStorage"),
    ],
)
def test_storage_in_memory(chosen: str | Target) -> None:
    """A storage that ends with the command is refused, since no sweep in it can be continued."""
    with pytest.raises(InputError, match=r"^hydra.sweeper.storage: must outlive the command, but"):
        refuse_memory(chosen)


@pytest.mark.parametrize(
    "chosen", [None, "sqlite:///s.db", "journal:///a/file", "postgresql://h/d"]
)
def test_storage_that_is_kept(chosen: str | None) -> None:
    """A storage in a file or on a server is accepted."""
    refuse_memory(chosen)


def test_target_that_is_no_storage(tmp_path: Path) -> None:
    """A class that is named as the storage and is none is refused."""
    with pytest.raises(InputError, match=r"it makes a str, which is no storage of Optuna's"):
        open_storage(Target(_target_="os.getcwd"), tmp_path)


def test_journal(journal: Path) -> None:
    """Without a choice, the study is kept in a journal in the sweep's folder."""
    assert trials(journal.parent) == [1.0]


def test_torn_line(journal: Path) -> None:
    """What was half written when the machine failed is dropped, and the study can go on."""
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "worker')
    storage = open_storage(None, journal.parent)
    assert journal.read_bytes() == whole
    study = optuna.load_study(study_name="s", storage=storage)
    study.tell(study.ask(), 2.0)
    assert trials(journal.parent) == [1.0, 2.0]


def test_torn_first_line(tmp_path: Path) -> None:
    """A journal that is nothing but half a line is empty."""
    (tmp_path / JOURNAL_FILE).write_bytes(b'{"op_co')
    open_storage(None, tmp_path)
    assert (tmp_path / JOURNAL_FILE).read_bytes() == b""


def test_whole_lines_stay(journal: Path) -> None:
    """A journal that ends with a whole line is not touched."""
    before = journal.read_bytes()
    open_storage(None, journal.parent)
    assert journal.read_bytes() == before


def test_empty_journal(tmp_path: Path) -> None:
    """An empty journal is a study that has not begun."""
    (tmp_path / JOURNAL_FILE).touch()
    study = optuna.create_study(study_name="s", storage=open_storage(None, tmp_path))
    assert study.trials == []


def test_lock_of_a_process_that_has_died(journal: Path) -> None:
    """The lock of a process that was killed is free at once."""

    code = (
        "import os, sys; from pathlib import Path\n"
        "from sinesweep.sweep.storage import open_storage\n"
        "with open_storage(None, Path(sys.argv[1]))._backend.locked(): os._exit(9)"
    )
    held = subprocess.run([sys.executable, "-c", code, str(journal.parent)])
    assert held.returncode == 9
    study = optuna.load_study(study_name="s", storage=open_storage(None, journal.parent))
    study.tell(study.ask(), 2.0)
    assert trials(journal.parent) == [1.0, 2.0]


def test_storage_of_a_class(tmp_path: Path) -> None:
    """Any storage of Optuna's can be named by its class."""
    target = Target(_target_="optuna.storages.InMemoryStorage")
    assert isinstance(open_storage(target, tmp_path), optuna.storages.InMemoryStorage)


def test_storage_of_an_address(tmp_path: Path) -> None:
    """A database can be named by its address."""
    storage = open_storage(f"sqlite:///{tmp_path}/s.db", tmp_path)
    study = optuna.create_study(study_name="s", storage=storage)
    assert study.trials == []


def test_storage_that_does_not_answer(tmp_path: Path) -> None:
    """A storage that does not answer is refused, without its password."""
    message = (
        r"^hydra.sweeper.storage: the study's storage must answer, but nosuch://\*\*\*@nowhere/x "
        r"does not \(.+\): correct the address"
    )
    with pytest.raises(InputError, match=message):
        open_storage("nosuch://me:hunter2@nowhere/x", tmp_path)
