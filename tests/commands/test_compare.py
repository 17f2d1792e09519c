"""Sweeps side by side, and runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sinesweep.commands import main
from sinesweep.commands.comparison import unfair
from sinesweep.redaction import add_rules, reset_rules, user_rules
from sinesweep.tracking.record import Record

pytestmark = pytest.mark.xdist_group("looking")

MakeSweep = Callable[..., Path]
Tell = Callable[..., Path]
Compared = Callable[..., str]

BASELINE = "baseline/linear/reference_test_mae"
TAGS = {"sinesweep.fingerprint.reference_test": "23a5"}


@pytest.fixture
def compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Compared:
    """Compare what is under ``tmp_path``, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "160")

    def run(*names: str) -> str:
        assert main(["compare", *names, "--root", str(tmp_path)]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Compared:
    """Return why a comparison is refused."""

    def run(*names: str) -> str:
        assert main(["compare", *names, "--root", str(tmp_path)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return run


def cells(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of a table with lines, by its first cell."""
    split = (line.split("│")[1:-1] for line in text.splitlines() if "│" in line)
    rows = ([cell.strip() for cell in row] for row in split)
    return {row[0]: row[1:] for row in rows}


# sweeps


def test_sweeps(make_sweep: MakeSweep, tell: Tell, compared: Compared) -> None:
    """Each column is a sweep; a row is what it came to, or a key by which they differ."""
    config = {"model": {"width": 4, "layers": 2}, "data": {"num_series": 8}}
    first = make_sweep("first", 0.3, 0.1, "no", config=config, total=3)
    config = {"model": {"width": 9, "layers": 2}, "data": {"num_series": 9}}
    make_sweep("second", 0.2, config=config, space={"y": "1,2"})
    tell(first / "trials" / "1", {"reference/test_mae": 0.4, BASELINE: 0.5})
    rows = cells(text := compared("first", "second"))
    assert rows["trials tried"] == ["3/3", "1"]
    assert rows["of these"] == ["2 complete, 1 failed", "1 complete"]
    assert rows["best"] == ["0.1", "0.2"]
    assert rows["best trial"] == ["1", "0"]
    assert rows["reference/test_mae"] == ["0.4", ""]
    assert rows["- linear map"] == ["0.5", ""]
    assert rows["over x"] == ["interval(0, 99)", "-"]
    assert rows["over y"] == ["-", "1,2"]
    assert rows["model.width"] == ["4", "9"]
    assert "model.layers" not in rows
    assert "the best of more trials is better by luck alone" in text
    assert "fair" not in text  # more series to train on change no series that is forecast


def test_sweeps_that_are_alike(make_sweep: MakeSweep, compared: Compared) -> None:
    """Where definitions are the same, that is said; a Pareto set has no best trial."""
    make_sweep("first", (1.0, 2.0), objectives=["val/mae", "size"])
    folder = make_sweep("2026", (1.0, 2.0), objectives=["val/mae", "size"])
    rows = cells(text := compared("first", str(folder)))
    assert rows["best"] == ["Pareto set of 1"] * 2
    assert "best trial" not in rows
    assert "they are defined alike" in text


def test_many_differences(make_sweep: MakeSweep, compared: Compared) -> None:
    """Of many keys that differ, those that all have come first and the rest only when asked."""
    make_sweep("first", 0.1, config={**{f"own_{n}": n for n in range(40)}, "shared": 1})
    make_sweep("second", 0.1, config={"shared": 2})
    rows = cells(compared("first", "second"))
    assert rows["shared"] == ["1", "2"]
    assert rows["and 17 more: --all"] == ["...", "..."]
    assert cells(compared("first", "second", "--all"))["own_39"] == ["39", "-"]


def test_width(
    make_sweep: MakeSweep, tell: Tell, compared: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five sweeps fit a narrow terminal, and what to report is called in one piece."""
    names = [f"layers-width-{number}" for number in range(5)]
    for name in names:
        tell(make_sweep(name, 0.125) / "trials" / "0", {"reference/test_mae": 0.125})
    monkeypatch.setenv("COLUMNS", "80")
    lines = compared(*names).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = (line.split() for line in lines if "reference/test_mae" in line)
    assert row[1:] == ["0.125"] * 5


# runs


@pytest.fixture
def two_runs(tmp_path: Path, tell: Tell) -> tuple[str, str]:
    """Make two runs that differ in width and noise; return their ids."""
    for run_id, width, noise in (("aaaabbbb", 4, 0.0), ("ccccdddd", 8, 0.1)):
        params = {"model.width": width, "model.layers": 2, "data.noise": noise, "resume": run_id}
        metrics = {
            "train/mae": width / 100,
            "reference/test_mae": width / 10,
            "reference/test_mae_by_decay/0.1": 0.7,
            BASELINE: 0.5,
        }
        tell(tmp_path / "runs" / f"20260101-000000-{run_id}", metrics, params=params, tags=TAGS)
    return "aaaabbbb", "ccccdddd"


def test_runs_show_the_keys_that_their_commands_have_exempted(
    tmp_path: Path, tell: Tell, compared: Compared
) -> None:
    """A value that a run was told to show is compared, and one that it was told to hide is not."""
    for run_id, tokens in (("aaaabbbb", 4), ("ccccdddd", 8)):
        add_rules(redacted_keys=["model.pin"], visible_keys=["model.tokens"])
        params = {"model.tokens": tokens, "model.pin": tokens}
        folder = tmp_path / "runs" / f"20260101-000000-{run_id}"
        tell(folder, {}, params=params, tags=TAGS, redaction=user_rules())
    reset_rules()
    rows = cells(compared("aaaabbbb", "ccccdddd"))
    assert rows["model.tokens"] == ["4", "8"]
    assert "model.pin" not in rows


def test_runs(two_runs: tuple[str, str], compared: Compared) -> None:
    """A row is a metric, a baseline, or a parameter by which the runs differ."""
    rows = cells(text := compared(*two_runs))
    assert list(rows)[:5] == ["state", "begun", "time", "reference/test_mae", "train/mae"]
    assert rows["state"] == ["left open"] * 2
    assert rows["reference/test_mae"] == ["0.4", "0.8"]
    assert rows["linear map: reference/test_mae"] == ["0.5", "0.5"]
    assert rows["model.width"] == ["4", "8"]
    assert not {"model.layers", "resume", "reference/test_mae_by_decay/0.1"} & set(rows)
    assert "1 metric over parts of the data not shown: --all" in text
    assert "only reference/test_mae can be compared: the data differs (data.noise)" in text
    assert "reference/test_mae_by_decay/0.1" in cells(compared(*two_runs, "--all"))


def test_damaged_configuration(
    two_runs: tuple[str, str],
    tmp_path: Path,
    compared: Compared,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the file of a configuration is damaged, the run's record is compared."""
    before = compared(*two_runs)
    folder = next((tmp_path / "runs").iterdir()) / ".hydra"
    folder.mkdir()
    (folder / "config.yaml").write_text("model: {width\n")
    assert compared(*two_runs) == before
    assert f"{folder / 'config.yaml'}: damaged" in caplog.text


def test_damaged_record(
    two_runs: tuple[str, str], tmp_path: Path, compared: Compared, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of which no event can be read is compared by what else is known."""
    path = next((tmp_path / "runs").iterdir()) / "record.jsonl"
    path.write_bytes(b"garbage\n")
    assert "left open" in compared(*two_runs)
    assert f"{path}: damaged" in caplog.text


def test_runs_on_other_reference_sets(
    two_runs: tuple[str, str], tmp_path: Path, tell: Tell, compared: Compared
) -> None:
    """A reference MAE of another horizon is none to compare by."""
    tags = {"sinesweep.fingerprint.reference_test": "other"}
    folder = tmp_path / "runs" / "20260101-000000-eeeeffff"
    tell(folder, {"reference/test_mae": 0.1}, params={"data.output_steps": 9}, tags=tags)
    text = compared("aaaa", "eeee")
    assert "not a fair comparison: the data differs (data." in text
    assert "there is no reference metric that all have" in text


def test_time_of_an_interrupted_run(tmp_path: Path, tell: Tell, compared: Compared) -> None:
    """The time between its interruptions is none that a run took."""
    for name in ("aaaa", "bbbb"):
        tell(tmp_path / "runs" / f"1-{name}", {})
    lines = [
        f'{{"kind": "{kind}", "time": {seconds}000, "name": "a", "experiment": "e", '
        '"params": {}, "datasets": [], "status": "FINISHED", '
        '"tags": {"sinesweep.state": "COMPLETE"}}'
        for kind, seconds in (("begin", 10), ("end", 13), ("resume", 100), ("end", 104))
    ]
    for name in ("aaaa", "bbbb"):
        (tmp_path / "runs" / f"1-{name}" / "record.jsonl").write_text("\n".join([*lines, ""]))
    rows = cells(text := compared("aaaa", "bbbb"))
    assert rows["time"] == ["7.0 s", "7.0 s"]
    assert rows["state"] == ["complete", "complete"]
    assert "their parameters are the same" in text


@pytest.mark.parametrize(
    "line", ['{"kind": "end"}', '{"kind": "begin", "time": 1}', '{"kind": []}']
)
def test_record_with_an_incomplete_line(
    tmp_path: Path, tell: Tell, compared: Compared, line: str
) -> None:
    """A line without the fields of its kind keeps no run from being compared."""
    for name in ("aaaa", "bbbb"):
        folder = tell(tmp_path / "runs" / f"1-{name}", {"test/mae": 0.1}, params={})
        with (folder / "record.jsonl").open("a") as file:
            file.write(f"{line}\n")
    rows = cells(compared("aaaa", "bbbb"))
    assert rows["state"] == ["left open", "left open"]
    assert rows["test/mae"] == ["0.1", "0.1"]


def test_end_without_a_state(tmp_path: Path, tell: Tell, compared: Compared) -> None:
    """A run whose end has no state of this project's is shown as ended."""
    for name in ("aaaa", "bbbb"):
        folder = tell(tmp_path / "runs" / f"1-{name}", {}, params={})
        Record(folder).append("end", status="FINISHED", tags={})
    assert cells(compared("aaaa", "bbbb"))["state"] == ["ended", "ended"]


def test_trials(make_sweep: MakeSweep, compared: Compared) -> None:
    """A trial is a run, called by its sweep and number, and has what it was chosen by."""
    folder = make_sweep("sweep", 0.3, "no")
    for number in (0, 1):
        (folder / "trials" / str(number) / ".hydra").mkdir()
        path = folder / "trials" / str(number) / ".hydra" / "config.yaml"
        path.write_text(f"{{model: {{width: {number}}}, token: hunter2, depth: 1}}")
    rows = cells(text := compared("sweep/0", f"{folder}/trials/1"))
    assert "sweep/0" in text
    assert rows["state"] == ["complete", "failed"]
    assert rows["chosen by val/mae"] == ["0.3", ""]
    assert rows["model.width"] == ["0", "1"]
    assert "hunter2" not in text


def test_mlflow_ids(make_sweep: MakeSweep, two_runs: tuple[str, str], compared: Compared) -> None:
    """What MLflow's pages call a trial or a run names it here, too."""
    folder = make_sweep("sweep", 0.3)
    (folder / "trials" / "0" / "delivery.json").write_text('{"run_id": "0123456789"}')
    run = next(folder.parent.parent.glob("runs/*aaaabbbb"))
    (run / "delivery.json").write_text('{"run_id": "9876543210"}')
    assert "│ sweep/0" in compared("012345", "987654").replace("┃", "│")


# what is refused, and what is warned of


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["sweep", "aaaabbbb"],
            "sweep is a sweep and aaaabbbb is a run: name a trial of the sweep",
        ),
        (["sweep", "swe"], "must be given two or more sweeps, or runs, but is given sweep alone"),
        (["sweep", "swepp"], "'swepp': there is no such sweep or run under .*mean sweep?"),
        (["aaaabbbb", "aaabbbb"], "'aaabbbb': there is no such sweep .*mean aaaabbbb?"),
        (["sweep/0", "sweep/7"], "trial 7 of sweep: must be one that began, .* has 0 to 1"),
        (["swepp/0", "sweep/0"], "sweep 'swepp': there is no such sweep .*mean sweep?"),
    ],
)
def test_refused(
    make_sweep: MakeSweep,
    two_runs: tuple[str, str],
    refused: Compared,
    names: list[str],
    message: str,
) -> None:
    """Sweeps and runs are not mixed, one alone is not compared, unknown ones have a nearest."""

    make_sweep("sweep", 0.1, 0.2)
    assert re.search(message, refused(*names))


@pytest.mark.parametrize(
    ("objectives", "keys", "has_reference", "warning"),
    [
        ([["val/mae"], ["val/mae"]], ["model.width", "data.batch_size"], False, None),
        ([["val/mae"], ["val/mae"]], ["data.noise"], True, "only reference/test_mae can be"),
        ([["val/mae"], ["val/mae"]], ["data.noise"], False, "not a fair comparison: the data"),
        ([["val/mae"], ["test/mae"]], [], False, "judged by another objective (val/mae, test/mae)"),
        ([["val/mae"], ["test/mae"]], [], True, "only reference/test_mae can be compared: each"),
    ],
)
def test_fairness(
    objectives: list[list[str]], keys: list[str], has_reference: bool, warning: str | None
) -> None:
    """Other data or another objective are named; a reference metric is what still compares."""
    said = unfair(objectives, keys, has_reference=has_reference)
    assert said == warning if warning is None else warning in (said or "")
