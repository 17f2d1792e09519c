"""A sweep as one file."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from runner import Runner

from sinesweep.commands import bundle, main
from sinesweep.files import take_lock

pytestmark = pytest.mark.xdist_group("looking")

MakeSweep = Callable[..., Path]
Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Export a sweep under ``tmp_path`` and unpack it somewhere else; return its folder."""

    def run(name: str) -> Path:
        output = tmp_path / "out" / f"{name}.zip"
        output.parent.mkdir()
        assert main(["export", name, "--root", str(tmp_path), "--output", str(output)]) == 0
        assert list(output.parent.iterdir()) == [output]
        return unpack(output)

    return run


def unpack(path: Path) -> Path:
    with zipfile.ZipFile(path) as file:
        file.extractall(path.parent / "unpacked")
    return path.parent / "unpacked" / path.stem


def load(folder: Path, name: str) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
    return optuna.load_study(study_name=name, storage=storage)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_plain_applications_sweep(plain: Runner) -> None:
    """Everything that tells of the sweep is in it, and is read without the original."""
    done = plain.sinesweep("export", "plain", "--root", "multirun")
    assert (done.code, done.err) == (0, "")
    folder = unpack(plain.folder / "plain.zip")
    of_a_trial = {".hydra/config.yaml", ".hydra/overrides.yaml", "outcome.json"}
    assert files(folder) == {
        "README.txt", "environment.json", "sweep.yaml", "state.json", "study.journal",
        "trials.csv", "best.yaml", "optimization_results.yaml",
        *(f"trials/{number}/{name}" for number in range(4) for name in of_a_trial),
    }  # fmt: skip
    study = load(folder, "plain")
    assert [trial.state.name for trial in study.trials] == [
        "COMPLETE", "COMPLETE", "FAIL", "COMPLETE",
    ]  # fmt: skip
    assert (study.best_trial.number, study.best_params) == (1, {"x": 1})
    rows = list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
    assert [row["directory"] for row in rows] == [f"trials/{number}" for number in range(4)]
    original = plain.folder / "multirun" / "plain" / "optimization_results.yaml"
    assert (folder / original.name).read_text() == original.read_text()
    assert "study_name='plain'" in (folder / "README.txt").read_text()


def test_the_best_checkpoint_alone(make_sweep: MakeSweep, export: Export) -> None:
    """Of all weights those of the best trial are packed, and the table says where they are."""
    folder = make_sweep("one", 0.3, 0.1)
    for number in (0, 1):
        path = folder / "trials" / str(number) / "checkpoints" / "best.ckpt"
        path.parent.mkdir()
        path.write_bytes(bytes([number]))
    found = export("one")
    assert {name for name in files(found) if name.endswith(".ckpt")} == {
        "trials/1/checkpoints/best.ckpt"
    }
    best = yaml.safe_load((found / "best.yaml").read_text())
    assert (found / best["checkpoint"]).read_bytes() == b"\x01"


def test_a_checkpoint_that_lies_elsewhere(
    make_sweep: MakeSweep, export: Export, tmp_path: Path
) -> None:
    """What an application keeps outside of the sweep's folder is brought into the trial's."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "weights.npz").write_bytes(b"weights")
    folder = make_sweep("one", 0.3, directory=str(tmp_path))
    outcome = {"kind": "COMPLETE", "values": [0.3], "error": None, "checkpoint": "kept"}
    (folder / "trials" / "0" / "outcome.json").write_text(json.dumps(outcome))
    found = export("one")
    best = yaml.safe_load((found / "best.yaml").read_text())
    assert (found / best["checkpoint"] / "weights.npz").read_bytes() == b"weights"


def test_a_report(make_sweep: MakeSweep, export: Export) -> None:
    """The report and the pictures beside it are packed as they are."""
    folder = make_sweep("one", 0.3)
    (folder / "report.html").write_text("<html>")
    (folder / "report").mkdir()
    (folder / "report" / "best.png").write_bytes(b"png")
    found = export("one")
    assert (found / "report.html").read_text() == "<html>"
    assert (found / "report" / "best.png").read_bytes() == b"png"


def test_a_sweep_that_runs(make_sweep: MakeSweep, export: Export) -> None:
    """What is packed is of one moment: nothing that a trial did since, no half-written line."""
    folder = make_sweep("one", 0.3, "RUNNING", state="RUNNING")
    running, ended = folder / "trials" / "1", folder / "trials" / "0"
    outcome = {"kind": "COMPLETE", "values": [0.1], "error": None, "checkpoint": None}
    (running / "outcome.json").write_text(json.dumps(outcome))
    (ended / "record.jsonl").write_text('{"kind": "begin"}\n{"kind": "met')
    lock = take_lock(folder / "sweep.lock")
    assert lock is not None
    with lock:
        found = export("one")
    assert [trial.state.name for trial in load(found, "one").trials] == ["COMPLETE", "RUNNING"]
    assert (found / "trials" / "0" / "record.jsonl").read_text() == '{"kind": "begin"}\n'
    assert not (found / "trials" / "1" / "outcome.json").exists()
    assert "It was running then: 1 trials done (1 complete, 1 running)" in (
        (found / "README.txt").read_text()
    )


def test_damaged_lines_and_files_are_left_out(
    make_sweep: MakeSweep, export: Export, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read may hold a secret: it is named and left out, the rest is packed."""
    folder = make_sweep("one", 0.3, 0.4)
    trial = folder / "trials" / "0"
    event = '{"kind": "tags", "time": 1, "tags": {}}\n'
    (trial / "record.jsonl").write_bytes(event.encode() + b"db.password: \xff\n" + event.encode())
    (trial / "outcome.json").write_text("{")
    (trial / "config.yaml").write_text("a: [1\n")
    (folder / "state.json").write_bytes(b"")
    with (folder / "study.journal").open("a") as journal:
        journal.write("garbage\n")
    found = export("one")
    assert len(load(found, "one").trials) == 2
    assert (found / "trials" / "0" / "record.jsonl").read_text() == event * 2
    left_out = {"trials/0/outcome.json", "trials/0/config.yaml", "state.json"}
    assert not left_out & files(found)
    for path in (trial / "record.jsonl", *(folder / name for name in left_out)):
        assert f"{path}: damaged" in caplog.text
    assert "what cannot be read is left out of the zip" in caplog.text


def test_no_completed_trial(make_sweep: MakeSweep, export: Export) -> None:
    """A sweep of several objectives in which every trial failed is packed, too."""
    make_sweep("one", "no", objectives=["val/mae", "size"])
    found = export("one")
    assert "best.yaml" not in files(found)
    assert len(load(found, "one").directions) == 2


def test_a_study_that_is_kept_elsewhere(
    make_sweep: MakeSweep, export: Export, tmp_path: Path
) -> None:
    """A study in a database is copied into a file."""
    make_sweep("one", 0.3, "PRUNED", storage=f"sqlite:///{tmp_path}/studies.db")
    found = export("one")
    (tmp_path / "studies.db").unlink()
    study = load(found, "one")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED"]
    assert study.best_value == 0.3


def test_credentials(make_sweep: MakeSweep, export: Export) -> None:
    """No file of it holds a password: not the study's, not a configuration's."""
    folder = make_sweep("one", 0.3, "http://me:hunter2@host", choices=["hunter2", "hunter22"])
    directory = folder / "trials" / "0"
    (directory / ".hydra").mkdir()
    (directory / ".hydra" / "config.yaml").write_text("{db: {password: hunter2}, width: 3}")
    (directory / "record.jsonl").write_text('{"uri": "http://me:hunter2@host"}\n')
    (directory / "trial.log").write_text("hunter2")
    found = export("one")
    holding = [name for name in files(found) if b"hunter2" in (found / name).read_bytes()]
    assert holding == []
    config = yaml.safe_load((found / "trials" / "0" / ".hydra" / "config.yaml").read_text())
    assert config == {"db": {"password": "***"}, "width": 3}
    assert load(found, "one").best_params == {"x": 0.0, "db.password": "***"}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("there.zip", "must be a new file, but .*there.zip exists: remove it"),
        ("sweep.tar.gz", "must end in .zip, but is .*sweep.tar.gz"),
        ("nowhere/sweep.zip", "must be in a folder that exists, but .*nowhere does not"),
    ],
)
def test_refused(
    make_sweep: MakeSweep,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    output: str,
    message: str,
) -> None:
    """Nothing is written over, and nothing is left behind."""

    make_sweep("one", 0.3)
    (tmp_path / "there.zip").write_text("precious")
    before = set(tmp_path.iterdir())
    arguments = ["--root", str(tmp_path), "--output", str(tmp_path / output)]
    assert main(["export", "one", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert set(tmp_path.iterdir()) == before
    assert (tmp_path / "there.zip").read_text() == "precious"


def test_a_full_disk(
    make_sweep: MakeSweep,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that could not be written whole is not there at all."""

    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "copied_journal", full)
    make_sweep("one", 0.3)
    before = set(tmp_path.iterdir())
    output = tmp_path / "one.zip"
    assert main(["export", "one", "--root", str(tmp_path), "--output", str(output)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before
