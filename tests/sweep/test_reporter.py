import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from omegaconf import OmegaConf

from sinesweep.report import process
from sinesweep.sweep import reporter as module
from sinesweep.sweep.entry import COMPLETE, DROPPED, FAIL, PRUNED, RETRIED, REUSED, RUNNING, Entry
from sinesweep.sweep.log_stream import LOG_FILE
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.plan import objective_names
from sinesweep.sweep.pruning_check import PruningCheck
from sinesweep.sweep.reporter import Reporter, progress
from sinesweep.sweep.rerun import SweepCommand

MakeEntry = Callable[..., Entry]


class Tracker:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.metrics: list[tuple[int, Mapping[str, float]]] = []
        self.artifacts: list[str] = []
        self.content: dict[str, str] = {}
        self.on_flush: Callable[[], object] = lambda: None

    def trial_started(self, entry: Entry) -> None:
        self.begun.append(entry.number)

    def trial_ended(self, entry: Entry) -> None:
        self.ended.append(entry.number)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self.metrics.append((step, metrics))

    def log_artifact(self, path: Path) -> None:
        self.artifacts.append(path.name)
        self.content[path.name] = path.read_text()

    def flush(self) -> None:
        self.on_flush()


class Sweep:
    """A sweep whose trials the test decides on, and its reporter."""

    def __init__(self, folder: Path, *entries: Entry, **settings: Any) -> None:
        self.folder = folder
        self.entries = {entry.number: entry for entry in entries}
        self.tracker = Tracker()
        self.plan = make_plan(folder, **settings)
        self.occupancy = Occupancy(4)
        self.pruning = PruningCheck("optuna.pruners.MedianPruner")
        study, tracker = (cast("Any", each) for each in (self.study(), self.tracker))
        self.reporter = Reporter(self.plan, study, tracker, self.occupancy)

    def study(self) -> Any:
        """Return what the reporter asks of a study."""
        return SimpleNamespace(
            entries=self.entries, participant=None, closed=[], pruning=self.pruning
        )

    def end(self, entry: Entry) -> None:
        """Have the study told of a trial's end, and then the reporter."""
        self.entries[entry.number] = entry
        self.reporter.ended(entry)

    def rows(self) -> list[dict[str, str]]:
        """Return the table's rows."""
        with (self.folder / "trials.csv").open(newline="") as file:
            return list(csv.DictReader(file))


def make_plan(
    folder: Path, base: Mapping[str, Any] | None = None, slots: int = 1, **settings: Any
) -> Any:
    given = {
        "objectives": ("minimize",),
        "stream": False,
        "report": False,
        "processes": 2,
        "tracking": None,
        "is_tracked": False,
        "backend": "local",
        **settings,
    }
    return SimpleNamespace(
        settings=SimpleNamespace(**given),
        name="quick",
        folder=folder,
        total=4,
        slots=slots,
        repeats=None,
        base=OmegaConf.create(dict(base or {})),
        config=OmegaConf.create({"hydra": {"runtime": {"choices": {}}}}),
        command=SweepCommand(["app.py"]),
        objective_names=objective_names(
            OmegaConf.create(dict(base or {})), len(given["objectives"])
        ),
    )


def make_folder_of_table(folder: Path) -> Path:
    """Stand in the way of the table, as nothing that can be replaced by a file."""
    path = folder / "trials.csv"
    (path / "in the way").mkdir(parents=True)
    return path


# what the tracker is told


def test_ends_that_were_not_told(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A continued sweep tells of every end again, for a killed process may have failed to."""
    sweep = Sweep(tmp_path, make_entry(0, 0.1), make_entry(1, state=FAIL))
    assert sweep.tracker.ended == [0, 1]


def test_trials_without_a_run(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A trial that never began, or took over values, has no run that could end."""
    dropped = make_entry(0, state=FAIL, outcome=DROPPED, directory=None)
    sweep = Sweep(tmp_path, dropped)
    sweep.end(make_entry(1, 0.1, outcome=REUSED, directory=None))
    assert sweep.tracker.ended == []


def test_beginning_and_end(tmp_path: Path, make_entry: MakeEntry) -> None:
    """Beginning and end of a trial are handed on."""
    sweep = Sweep(tmp_path)
    sweep.reporter.started(make_entry(0, state=RUNNING), 1)
    sweep.end(make_entry(0, 0.1))
    assert (sweep.tracker.begun, sweep.tracker.ended) == ([0], [0])
    assert (tmp_path / "workers.jsonl").read_text() == '{"trial": 0, "worker": 1}\n'


def test_progress(make_entry: MakeEntry) -> None:
    """The sweep's run shows counts and the best value; a retried failure is no failure."""
    entries = [
        make_entry(0, 0.2),
        make_entry(1, 0.1),
        make_entry(2, state=PRUNED),
        make_entry(3, state=FAIL),
        make_entry(4, state=FAIL, outcome=RETRIED),
    ]
    assert progress(entries, ["minimize"]) == {
        "trials/complete": 2,
        "trials/pruned": 1,
        "trials/failed": 1,
        "best_value": 0.1,
    }


def test_progress_of_several_objectives(make_entry: MakeEntry) -> None:
    """Each objective has a best value of its own."""
    metrics = progress([make_entry(0, 0.2, 5.0), make_entry(1, 0.1, 3.0)], ["minimize", "maximize"])
    assert (metrics["best_value_0"], metrics["best_value_1"]) == (0.1, 5.0)


def test_progress_before_a_trial_completed(make_entry: MakeEntry) -> None:
    """Without a completed trial there is no best value."""
    assert "best_value" not in progress([make_entry(0, state=FAIL)], ["minimize"])


def test_step(tmp_path: Path, make_entry: MakeEntry) -> None:
    """The step of the sweep's metrics is how many trials have ended."""
    sweep = Sweep(tmp_path, make_entry(0, 0.1), make_entry(1, state=FAIL, outcome=RETRIED))
    sweep.entries[2] = make_entry(2, state=RUNNING)
    sweep.reporter.close()
    assert [step for step, _ in sweep.tracker.metrics] == [2]


def test_artifacts(tmp_path: Path, make_entry: MakeEntry) -> None:
    """At the end the tables are handed to the tracker."""
    sweep = Sweep(tmp_path, make_entry(0, 0.1))
    sweep.reporter.close()
    assert sweep.tracker.artifacts == ["trials.csv", "best.yaml", "optimization_results.yaml"]


def test_artifacts_without_a_best_trial(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A file that does not exist is not handed on."""
    sweep = Sweep(tmp_path, make_entry(0, state=FAIL))
    sweep.reporter.close()
    assert sweep.tracker.artifacts == ["trials.csv"]


# tables


def test_tables_while_it_runs(tmp_path: Path, make_entry: MakeEntry) -> None:
    """The tables follow what has ended."""
    sweep = Sweep(tmp_path)
    sweep.end(make_entry(0, 0.1))
    sweep.reporter.tick()
    assert [row["value"] for row in sweep.rows()] == ["0.1"]
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["trial"] == 0


def test_tables_once_a_second(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A trial that ends soon after another is in the table a while later, or at the end."""
    sweep = Sweep(tmp_path)
    sweep.end(make_entry(0, 0.1))
    sweep.reporter.tick()
    sweep.end(make_entry(1, 0.2))
    sweep.reporter._next_refresh = float("inf")  # a second is never over
    sweep.reporter.tick()
    assert len(sweep.rows()) == 1
    sweep.reporter.close()
    assert len(sweep.rows()) == 2


def test_tables_without_news(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an end nothing is written again."""
    monkeypatch.setattr(module, "_REFRESH", -1.0)
    monkeypatch.setattr(module, "_PAUSES", 0)
    sweep = Sweep(tmp_path, make_entry(0, 0.1))
    sweep.reporter.tick()
    sweep.reporter.tick()
    assert len(sweep.tracker.metrics) == 1


def test_run_ids_that_came_last(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A run id that the tracker tells after the last trial is in the tables, its own copies too."""
    entry = make_entry(0, 0.1)
    sweep = Sweep(tmp_path, entry)
    state = tmp_path / "trials" / "0" / "delivery.json"
    sweep.tracker.on_flush = lambda: state.write_text('{"run_id": "abc"}')
    sweep.reporter.tick()
    assert sweep.rows()[0]["run_id"] == ""
    sweep.reporter.close()
    assert sweep.rows()[0]["run_id"] == "abc"
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["run_id"] == "abc"
    assert sweep.tracker.content["trials.csv"] == (tmp_path / "trials.csv").read_text()


def test_tables_that_cannot_be_written(
    tmp_path: Path,
    make_entry: MakeEntry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They cost no trial, but are told of, once for each cause."""
    monkeypatch.setattr(module, "_REFRESH", -1.0)
    monkeypatch.setattr(module, "_PAUSES", 0)
    make_folder_of_table(tmp_path)
    sweep = Sweep(tmp_path, make_entry(0, 0.1))
    sweep.reporter.tick()
    sweep.reporter.tick()
    out = capsys.readouterr().out
    assert out.count("must be writable, but are not") == 1
    assert "no trial is lost" in out


def test_tables_that_can_be_written_again(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written as soon as they can be, without waiting for another end."""
    monkeypatch.setattr(module, "_REFRESH", -1.0)
    monkeypatch.setattr(module, "_PAUSES", 0)
    blocked = make_folder_of_table(tmp_path)
    sweep = Sweep(tmp_path, make_entry(0, 0.1))
    sweep.reporter.tick()
    (blocked / "in the way").rmdir()
    blocked.rmdir()
    sweep.reporter.tick()
    assert len(sweep.rows()) == 1


def test_tables_take_a_small_share_of_the_time(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that take three seconds to write are left alone for a minute, not for a second."""
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    sweep = Sweep(tmp_path)

    def write_slowly() -> bool:
        clock[0] += 3.0
        writes.append(clock[0])
        return True

    writes: list[float] = []
    monkeypatch.setattr(sweep.reporter, "_refresh", write_slowly)
    for second in range(70):
        sweep.end(make_entry(second, 0.1))
        sweep.reporter.tick()
        clock[0] += 1.0
    assert writes == [103.0, pytest.approx(167.0, abs=1.0)]


# the end


def test_success(tmp_path: Path, make_entry: MakeEntry) -> None:
    """One completed trial makes a sweep a success."""
    sweep = Sweep(tmp_path, make_entry(0, 0.1), make_entry(1, state=FAIL))
    assert sweep.reporter.failing is None


def test_nothing_completed(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a completed trial the sweep has failed, and the last error is shown."""
    sweep = Sweep(tmp_path, make_entry(0, state=FAIL, error="RuntimeError: no"))
    sweep.reporter.show_end()
    assert sweep.reporter.failing == "no trial was completed"
    assert "the last error, of trial 0: RuntimeError: no" in capsys.readouterr().out


def test_old_tables(tmp_path: Path, make_entry: MakeEntry) -> None:
    """Tables that do not say what the sweep found are no success."""
    make_folder_of_table(tmp_path)
    reporter = Sweep(tmp_path, make_entry(0, 0.1)).reporter
    reporter.close()
    assert "Is a directory" in (reporter.failing or "")


@pytest.mark.parametrize(
    ("root", "uri", "command"),
    [
        ("mlruns", None, "sinesweep ui"),
        ("my runs", None, "sinesweep ui --root 'my runs'"),
        ("mlruns", "http://me:hunter2@host", "sinesweep ui --uri 'http://***@host'"),
    ],
)
def test_where_to_look(
    tmp_path: Path,
    make_entry: MakeEntry,
    capsys: pytest.CaptureFixture[str],
    root: str,
    uri: str | None,
    command: str,
) -> None:
    """A tracked sweep says how to see it, ready for a shell."""
    tracking = SimpleNamespace(root=root, uri=uri)
    sweep = Sweep(tmp_path, make_entry(0, 0.1), tracking=tracking, is_tracked=True)
    sweep.reporter.show_end()
    assert f"compare       {command}\n" in capsys.readouterr().out


# what the user sees


def test_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the user should know is shown."""
    Sweep(tmp_path).reporter.message("stopping")
    assert capsys.readouterr().out.endswith("stopping\n")


def test_continued_sweep(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A continued sweep says how far it is."""
    Sweep(tmp_path, make_entry(0, 0.1), make_entry(1, state=RUNNING))
    assert "continuing: 1 of 4 trials done" in capsys.readouterr().out


def test_stream(tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]) -> None:
    """What a trial prints is shown before its end."""
    entry = make_entry(0, state=RUNNING)
    sweep = Sweep(tmp_path, stream=True)
    sweep.reporter.started(entry, 0)
    assert entry.directory is not None
    (entry.directory / LOG_FILE).write_text("one\nlast")
    sweep.reporter.tick()
    sweep.end(make_entry(0, 0.1))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[:2] == ["trial-00000 | one", "trial-00000 | last"]
    assert lines[2].startswith("trial 0  complete")


@pytest.mark.parametrize(
    ("base", "names"),
    [
        ({"objective": "val/mae"}, ["val/mae"]),
        ({"objective": "val/mae", "returns": None}, ["val/mae"]),
        ({"objective": "val/mae", "returns": ["parameters"]}, ["parameters"]),
        ({}, ["value"]),
        ({"objective": {"name": "loss"}}, ["value"]),
        ({"objective": 2}, ["value"]),
        ({"objective": "${not.there}"}, ["value"]),
    ],
)
def test_name_of_the_objective(tmp_path: Path, base: Mapping[str, Any], names: list[str]) -> None:
    """The objective is called what the configuration calls it, if that is a name."""
    assert make_plan(tmp_path, base).objective_names == names


def test_names_of_several_objectives(tmp_path: Path) -> None:
    """Several objectives have the names of what is returned, or are counted."""
    two = ("minimize", "minimize")
    named = make_plan(tmp_path, {"returns": ["val/mae", "parameters"]}, objectives=two)
    assert named.objective_names == ["val/mae", "parameters"]
    assert make_plan(tmp_path, objectives=two).objective_names == ["value_0", "value_1"]


def test_report_without_plotly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where plotly is not installed a sweep says in one line what brings a report."""
    monkeypatch.setattr(process, "is_possible", lambda: False)
    sweep = Sweep(tmp_path, report=True)
    sweep.reporter.close()
    assert "pip install 'sinesweep[report]'" in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()


def test_a_pruner_without_reports_is_noticed(
    tmp_path: Path, make_entry: MakeEntry, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first trial that completes without a report is noticed, and the summary counts them."""
    sweep = Sweep(tmp_path)
    for number in range(2):
        sweep.pruning.begin(number)
        sweep.pruning.end(number, COMPLETE)
        sweep.end(make_entry(number, 0.5))
    shown = capsys.readouterr().out
    sweep.reporter.close()
    sweep.reporter.show_end()

    problem = "trial 0 completed without reporting a finite value"
    assert shown.count("MedianPruner has too little to decide on: " + problem) == 1
    assert (
        f"2 of 2 completed trials gave the pruner too little to decide on: {problem}"
        in capsys.readouterr().out
    )
