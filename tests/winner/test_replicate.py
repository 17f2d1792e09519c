"""``sinesweep replicate``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient
from runner import Runner

from sinesweep import runs
from sinesweep.commands import main
from sinesweep.commands.replicate import show
from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.sweep.archive import Archive, Tracking
from sinesweep.sweep.plan import SWEEP_LOCK
from sinesweep.tracking.addition import add_artifact
from sinesweep.tracking.location import locate
from sinesweep.tracking.record import last_end
from sinesweep.winner import replication, script
from sinesweep.winner.bootstrap import mean_interval
from sinesweep.winner.verdict import compare, conclude, direction_of

pytestmark = pytest.mark.xdist_group("winner")
PASSWORD = "+db.password=hunter2"


@pytest.fixture
def replicate(plain: Archive, capfd: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Replicate the best two points of the plain sweep; return the result."""

    def run(seeds: int) -> dict[str, Any]:
        command = ["replicate", str(plain.folder), "--top", "2", "--seeds", str(seeds), "--json"]
        code = main([*command, "--", PASSWORD])
        out, err = capfd.readouterr()
        assert code == 0, err
        return json.loads(out)

    return run


def calls_of(archive: Archive) -> int:
    """Return how often the function of a sweep was called."""
    return len((archive.directory / "calls.txt").read_text().splitlines())


@pytest.mark.slow
def test_fresh_seeds_once_each(plain: Archive, replicate: Callable[..., dict[str, Any]]) -> None:
    """Points are evaluated under seeds that the sweep has not used; more seeds add to them."""
    before = calls_of(plain)
    found = replicate(2)
    first, second = found["points"]
    assert [first["trial"], second["trial"]] == [1, 0]
    assert (first["mean"], first["sweep_value"]) == (pytest.approx(2.8), pytest.approx(0.8))
    assert list(second["values"]) == ["2", "3"]
    assert found["comparison"]["difference"] == pytest.approx(-0.81)
    assert found["comparison"]["distinguishable"] is True
    assert json.loads((plain.folder / "replication.json").read_text()) == found
    assert "hunter2" not in json.dumps(found)

    assert calls_of(plain) == before + 4
    assert replicate(2) == found
    assert calls_of(plain) == before + 4
    assert list(replicate(3)["points"][0]["values"]) == ["2", "3", "4"]
    assert calls_of(plain) == before + 6


@pytest.mark.parametrize("width", [80, 160])
def test_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """Parameters are never broken: they stand beside the numbers, or below them."""
    monkeypatch.setenv("COLUMNS", str(width))
    point = {
        "rank": 1, "label": "trial 12", "params": {"model.layers": 2, "optimizer.lr": 0.001234},
        "mean": 0.04321, "interval": [0.04123, 0.04512], "values": {"3": 0.04321},
        "sweep_value": 0.04012,
    }  # fmt: skip
    points = [point, {**point, "rank": 2, "label": "trial 3", "sweep_value": None}]
    show({"metric": "reference/test_mae", "points": points, "conclusion": "So it is."})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    below = [line.split() for line in lines if line.startswith(" trial ")]
    beside = [
        line.split() for line in lines if "layers=2 lr=0.001234" in line and "0.04321" in line
    ]
    expected = [
        ["trial", "12", "layers=2", "lr=0.001234"],
        ["trial", "3", "layers=2", "lr=0.001234"],
    ]
    assert below == (expected if width == 80 else [])
    assert len(beside) == (0 if width == 80 else 2)
    assert lines[-1] == "So it is."


def test_what_a_training_is_compared_by(trained: Archive) -> None:
    """The reference test MAE, and nothing that the sweep chose by."""
    planned = replication.plan(trained, 5, 3, [])
    assert [replica.rank for replica in planned] == [1, 2]
    assert replication.default_metric(trained, planned) == "reference/test_mae"
    assert "seed=range(1,1001)" in planned[0].overrides
    assert "hydra.sweeper.workers=2" in planned[0].overrides
    assert not any(each == "study_name=depth" for each in planned[0].overrides)


def test_the_best_of_each_value(trained: Archive) -> None:
    """The best point is trained with each value of a key, and nothing else changed."""
    planned = replication.plan(trained, 1, 2, [], each="model.layers")
    best = planned[0].entry
    assert [replica.entry.number for replica in planned] == [best.number] * 2
    assert [replica.label for replica in planned] == ["model.layers=1", "model.layers=2"]
    other = planned[2 - best.params["model.layers"]]
    assert other.folder.name == f"depth-replicated-{best.number}-{other.label.replace('=', '-')}"
    assert other.label in other.overrides
    assert f"model.layers={best.params['model.layers']}" not in other.overrides


def test_every_pair_is_compared(plain: Archive, replicate: Callable[..., dict[str, Any]]) -> None:
    """The comparisons of all points are kept for the report."""
    (pair,) = replicate(2)["pairs"]
    assert pair == {**pair, "first": "trial 1", "second": "trial 0", "distinguishable": True}


@pytest.mark.slow
def test_the_result_is_sent(trained: Archive, root: Path) -> None:
    """It joins the files of a sweep that has ended, which stays as it ended."""
    path = trained.folder / "replication.json"
    path.write_text("{}")
    ended = last_end(trained.folder)
    add_artifact(trained.folder, path, locate(None, root))

    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    run_id = runs.run_id(trained.folder) or ""
    assert path.name in [artifact.path for artifact in client.list_artifacts(run_id)]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert last_end(trained.folder) == ended


@pytest.mark.slow
def test_a_sweep_that_is_recorded_elsewhere_gets_no_second_database(tmp_path: Path) -> None:
    """``--root`` names the folder of the sweep, and the tracker is the one that has the sweep."""
    runner = Runner(tmp_path)
    done = runner.sweep(
        "x=1,2", "hydra.sweeper.workers=1", "hydra.sweeper.study_name=bowl",
        "hydra.sweeper.tracking={backend: mlflow, uri: null, root: rec, experiment: e}",
    )  # fmt: skip
    assert done.code == 0, done.err
    sizes = ["--top", "1", "--seeds", "2"]
    done = runner.sinesweep("replicate", "--root", "multirun", "bowl", *sizes)
    assert done.code == 0, done.err
    assert list(tmp_path.rglob("mlflow.db")) == [tmp_path / "rec" / "mlflow.db"]
    done = runner.sinesweep("sync", "--root", "rec")
    assert done.out == "the tracker has everything that was recorded in rec\n"


@pytest.mark.parametrize(
    ("key", "multirun", "expected"),
    [
        ("tracking.root", True, True),
        ("tracking.root", False, True),
        ("hydra.sweeper.tracking.root", True, True),
        ("hydra.sweeper.tracking.root", False, False),
    ],
)
def test_what_is_run_again_is_recorded_where_the_sweep_is_now(
    plain: Archive, tmp_path: Path, key: str, multirun: bool, expected: bool
) -> None:
    """The root of a sweep that was moved is given to its script, as far as it takes it."""
    (tmp_path / runs.ROOT_ID_FILE).touch()
    tracking = Tracking(root="/before", root_key=key, uri=None)
    moved = replace(plain, folder=tmp_path / "sweeps" / "bowl", tracking=tracking)
    words = [f"{key}={tmp_path}"] if expected else []
    assert script.root_override(moved, multirun=multirun) == words


def test_what_is_run_again_is_recorded_where_it_was(plain: Archive) -> None:
    """A sweep that was not moved needs no override."""
    tracking = Tracking(root="/before", root_key="tracking.root", uri=None)
    assert script.root_override(replace(plain, tracking=tracking), multirun=True) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--top", "2"],
            r"db.password: must be given again, .*: "
            r"sinesweep replicate \S+/multirun/bowl --top 2 -- '\+db\.password=\*\*\*'   \(with",
        ),
        (["--seeds", "0", "--", PASSWORD], "--top and --seeds: must be 1 or more"),
        (["--each", "z", "--", PASSWORD], "--each: must be a key that the sweep varies, but z"),
        (["--metric", "mae", "--", PASSWORD], "--metric: must be one .* 'mae' is none of value"),
    ],
)
def test_refused(
    plain: Archive, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be replicated is refused before anything is run."""
    before = calls_of(plain)
    assert main(["replicate", str(plain.folder), *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert calls_of(plain) == before


def test_a_running_sweep_is_refused(plain: Archive) -> None:
    """Its best points may still change."""
    lock = take_lock(plain.folder / SWEEP_LOCK)
    assert lock is not None
    with lock, pytest.raises(InputError, match="must have ended to be replicated, but is running"):
        replication.plan(plain, 1, 1, [])


def test_interval_of_a_mean() -> None:
    """For many values the bootstrap gives the normal interval; the same values, the same one."""
    values = [float(index % 10) for index in range(400)]
    low, high = mean_interval(values)
    half = 1.96 * 8.25**0.5 / 20  # the deviation of 0 .. 9, over the root of 400
    assert low == pytest.approx(4.5 - half, abs=0.02)  # of 10,000 resamples
    assert high == pytest.approx(4.5 + half, abs=0.02)
    assert mean_interval(values) == (low, high)


def test_paired_by_seed() -> None:
    """A difference that every seed shows is found in noise that is larger."""
    noise = {seed: float((seed * 37) % 11) for seed in range(12)}
    better = {seed: value - 0.1 for seed, value in noise.items()}
    found = compare("trial 3", "trial 4", better, {**noise, 99: 0.0})
    assert found is not None
    assert (found.seeds, found.distinguishable) == (12, True)
    assert compare("trial 3", "trial 4", {0: 1.0, 1: 2.0}, {1: 1.0, 2: 3.0}) is None


@pytest.mark.parametrize(
    ("shift", "direction", "words"),
    [
        (-1.0, "minimize", "trial 3 is better than trial 4: "),
        (1.0, "maximize", "trial 3 is better than trial 4: "),
        (1.0, "minimize", "trial 4 is better than trial 3: "),
        (0.0, "minimize", "trial 3 cannot be told from trial 4: "),
    ],
)
def test_conclusions(shift: float, direction: str, words: str) -> None:
    """The sentence says who is better, by how much, and how sure that is."""
    others = dict.fromkeys(range(10), 0.0)
    values = {seed: shift + (-1) ** seed * 0.1 for seed in range(10)}
    said = conclude(compare("trial 3", "trial 4", values, others), "mae", direction)
    assert said.startswith(words)
    assert f"differs by {shift:+.3g}" in said
    assert said.endswith("includes 0." if shift == 0 else "excludes 0.")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("val/accuracy", "maximize"),
        ("test/accuracy", "maximize"),
        ("reference/test_accuracy", "maximize"),
        ("val/loss", "minimize"),
        ("reference/skill", "maximize"),
    ],
)
def test_direction_of_a_metric(metric: str, direction: str) -> None:
    """A metric has the direction of the objective that measures the same on another set."""
    archive: Any = SimpleNamespace(objectives=["val/accuracy"], directions=["maximize"])
    assert direction_of(archive, metric) == direction


def test_few_seeds_are_warned_of() -> None:
    """An interval of three values is not to be trusted."""
    found = compare("trial 3", "trial 4", {0: 1.0, 1: 1.1, 2: 1.2}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert conclude(found, "mae", "minimize").endswith("10 seeds are too narrow: give more.")
