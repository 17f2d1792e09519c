"""The page as a reader, and a browser, finds it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made import Made, Page, make_sweep
from optuna.trial import TrialState

from sinesweep.report import build
from sinesweep.report.static import draw
from sinesweep.report.subject import are_numbers
from sinesweep.sweep.entry import RUNNING

Report = Callable[..., Page]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Report on a sweep of given trials."""

    def make(trials: Sequence[Made], *, state: str | None = None, **more: Any) -> Page:
        folder = make_sweep(tmp_path / "mine", trials, **more)
        return Page(build.write(build.read(folder, state=state)))

    return make


def network(layers: int, width: int, value: float, **more: Any) -> Made:
    """Return a completed trial of the reference task."""
    metrics = {
        "reference/test_mae": 2 * value,
        "reference/skill": 0.25,
        "reference/test_mae_by_decay/0.01": 3 * value,
        "reference/test_mae_by_decay/0.1": value,
        "baseline/linear/reference_test_mae": 0.05,
        "baseline/last_value/reference_test_mae": 0.8,
        "baseline/linear/val_mae": 0.04,
    }
    metrics |= more.pop("metrics", {})
    params = {"model.layers": layers, "model.width": width, **more.pop("params", {})}
    return Made(params, [value], metrics=metrics, **more)


def keep_replication(folder: Path, seeds: int, pairs: Sequence[dict[str, Any]] = ()) -> None:
    """Leave what a replication by depth leaves; the first two seeds gave little."""
    points = [
        {
            "trial": None if i else 0,
            "label": f"model.layers={i + 1}",
            "params": {"model.layers": i + 1},
            "values": {str(seed): 0.3 if seed > 1 else 0.2 for seed in range(seeds)},
            "mean": 0.3,
            "interval": [0.2, 0.4],
            "sweep_value": None if i else 0.25,
        }
        for i in range(3)
    ]
    told = [{**pair, "seeds": seeds} for pair in pairs]
    content = {"metric": "reference/test_mae", "direction": "minimize", "points": points}
    path = folder / "replication-model.layers.json"
    path.write_text(json.dumps({**content, "pairs": told}))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The report of a small sweep of the reference task, with pruned and failed trials."""
    trials = [
        network(
            layers,
            width,
            0.1 * layers + width / 1000 + 0.001 * i,
            params={"data.decay.low": low},
            curve={0: 1.0, 1: 0.5},
            begin=20 * i,
        )
        for i, (layers, width, low) in enumerate(
            (layers, width, low)
            for layers in (1, 2)
            for width in (8, 16)
            for low in (0.01, 0.02, 0.03)
        )
    ]
    pruned = Made(
        {"model.layers": 2, "model.width": 8, "data.decay.low": 0.01},
        state=TrialState.PRUNED,
        curve={0: 2.0, 1: 1.5},
    )
    failed = Made(
        {"model.layers": 2, "model.width": 16, "data.decay.low": 0.01},
        state=TrialState.FAIL,
        attributes={"sinesweep.error": "OSError: no answer from https://bob:hunter2@host/"},
    )
    folder = make_sweep(
        tmp_path_factory.mktemp("report") / "mine",
        [*trials, pruned, failed],
        arguments=["src/train.py", "-m", "sweeps=mine", "tracking.uri=http://me:hunter2@host"],
        question="Is deeper better? It takes a minute.",
    )
    return Page(build.write(build.read(folder, tracker="http://me:hunter2@tracker:5000/")))


def test_winner(page: Page) -> None:
    """The headline is what the winner was not chosen by, and says by what it was chosen."""
    text = page.texts["winner"]
    assert re.search(r"trial 0\s+0\.216\s*reference/test_mae", text)
    assert "chosen by val/mae 0.108, the best of 12 completed trials" in text
    assert "12 points were tried" in text
    assert "Skill 0.25" in page.texts["against"]
    assert ["linear map", "0.05", "0.04"] in page.rows


def test_question_and_standing(page: Page) -> None:
    """The page begins with the question and how the sweep stands."""
    text = page.texts["top"]
    assert "Is deeper better?" in text
    assert "finished: 14 of 14 trials done (12 complete, 1 pruned, 1 failed)" in text


def test_commands(page: Page) -> None:
    """The best trial can be run again, and the sweep be continued, from where it was begun."""
    text = page.texts["commands"]
    assert "cd /home/someone\npython src/train.py" in text
    assert "python src/train.py -m sweeps=mine 'tracking.uri=http://***@host'" in text


def test_nothing_secret(page: Page) -> None:
    """No credential of the command, the tracker or an error is on the page."""
    assert "OSError: no answer from https://***@host/" in page.texts["trials"]
    assert "hunter2" not in "".join(page.texts.values())
    assert "hunter2" not in repr(page.references)


def test_nothing_is_fetched(page: Page) -> None:
    """The page draws itself without any other file, and carries plotly.js packed."""
    assert [ref for ref in page.references if ref[0] != "a"] == []
    assert "@import" not in page.texts["style"]
    assert "url(" not in page.texts["style"]
    assert len(page.texts["plotly"]) > 1e6


def test_one_value_completed(report: Report) -> None:
    """Where pruning left one value alone, nothing is called the best: the others' fate is told."""
    ranges = [{"data.decay.low": low} for low in (0.01, 0.02)]
    done = [network(2, 8 * (1 + i % 2), 0.1 + i / 100, params=ranges[i // 2]) for i in range(4)]
    given_up = [
        Made({"model.layers": n, "model.width": 8, "data.decay.low": 0.01}, state=state)
        for n, state in ((1, TrialState.PRUNED), (1, TrialState.PRUNED), (3, TrialState.FAIL))
    ]
    text = report([*done, *given_up]).texts["main"]
    told = "Only model.layers=2 was completed (4 trials); model.layers=1 was tried in 2 trials"
    assert text.count(f"{told} (2 pruned), model.layers=3 was tried in 1 trial (1 failed).") == 3
    assert "All completed trials have model.layers 2." in text
    assert re.search(r"(model.layers.2|2 layers) (had|has)", text) is None


def test_other_noise(tmp_path: Path) -> None:
    """The best of sweeps that differ in the noise alone stand in one picture of the baselines."""
    own = {"test/mae": 0.02, "baseline/linear/test_mae": 0.0001}
    make_sweep(tmp_path / "noisy", [network(2, 8, 0.5), network(1, 8, 0.2)], noise=0.05)
    make_sweep(tmp_path / "same", [network(1, 8, 0.3)], noise=0.0)
    two = Made({"x": 1}, [0.1, 0.1], metrics=network(1, 8, 0.1).metrics)
    make_sweep(tmp_path / "other", [two], objectives=["a", "b"], noise=0.1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sweep.yaml").write_text("study: 1")
    folder = make_sweep(tmp_path / "clean", [network(1, 8, 0.1, metrics=own)], noise=0.0)
    page = Page(build.write(build.read(folder)))
    bars = {trace["name"]: trace for trace in page.figures["baselines"]["traces"]}
    assert bars["best network"]["x"] == ["data.noise=0.0", "data.noise=0.05<br>(sweep noisy)"]
    assert bars["best network"]["y"] == [0.2, 0.4]
    text = page.texts["main"]
    assert "on its own test set it has a test/mae of 0.02, 200 times the linear map's" in text
    assert "With data.noise=0.05 (sweep noisy), trial 1 has a reference/test_mae of 0.4" in text


def test_worse_than_the_last_value(report: Report) -> None:
    """A network that is worse than repeating the last value has more error, not -25% less."""
    assert (
        "and 25% more than repeating the last value" in report([network(1, 8, 0.5)]).texts["main"]
    )


def test_pruned_curves(page: Page) -> None:
    """What pruned trials reported is drawn beside that of completed ones."""
    assert page.names("curves") == ["complete", "pruned", "the best, 0"]
    assert page.figures["curves"]["traces"][1]["y"] == [2.0, 1.5, None]
    assert "1 of 13 trials were pruned" in page.texts["main"]


def test_answers(page: Page) -> None:
    """Depth, the baselines and the decay ranges are each answered in a sentence."""
    text = page.texts["main"]
    assert "1 layer had the lowest median reference/test_mae" in text
    assert "The difference is beyond chance" in text
    assert "With data.noise=0.05, trial 0 has a reference/test_mae of 0.216, 4.32 times" in text
    assert "decay low 0.01 had the lowest median reference/test_mae" in text
    assert "model.layers 1 had the lowest median in 3 of 3 ranges. model.width 8 had" in text
    assert "Series were forecast best of decay 0.01 after training on low 0.01" in text


def test_depth_beyond_the_noise_of_seeds(tmp_path: Path) -> None:
    """What fresh seeds said of the best of each depth stands beneath the picture of depths."""
    trials = [
        Made({"model.layers": n}, [0.1 * n], metrics={"reference/test_mae": 0.2 * n})
        for n in (1, 2, 3)
    ]
    one, two, three = (f"model.layers={n}" for n in (1, 2, 3))
    pairs = [
        {"first": one, "second": two, "difference": -0.1, "interval": [-0.2, -0.05]},
        {"first": one, "second": three, "difference": 0.1, "interval": [-0.2, 0.3]},
        {"first": two, "second": three, "difference": 0.1, "interval": [0.05, 0.2]},
    ]
    told = [{**pair, "distinguishable": pair is not pairs[1]} for pair in pairs]
    folder = make_sweep(tmp_path / "deep", trials)

    def page(seeds: int) -> Page:
        keep_replication(folder, seeds, told)
        return Page(build.write(build.read(folder)))

    text = page(10).texts["main"]
    assert "under 10 fresh seeds, mean reference/test_mae" in text
    assert "model.layers=1 0.3 (0.2 .. 0.4), model.layers=2 0.3 (0.2 .. 0.4)" in text
    assert "layers=1 beats model.layers=2 beyond that noise (difference -0.2 .. -0.05)" in text
    assert "model.layers=1 and model.layers=3 cannot be told apart beyond that noise" in text
    assert "model.layers=3 beats model.layers=2 beyond that noise" in text
    assert "too narrow" not in text
    assert "beats" in page(3).texts["main"]
    few = page(2).texts["main"]
    assert "Intervals of fewer than 10 seeds are too narrow. No verdict is given by" in few
    assert "beats" not in few


def test_winner_under_fresh_seeds(tmp_path: Path) -> None:
    """The winner's card tells what fresh seeds made of it, or that one seed alone was tried."""
    folder = make_sweep(tmp_path / "deep", [network(n, 8, 0.1 * n) for n in (1, 2, 3)])

    def card() -> str:
        return Page(build.write(build.read(folder))).texts["winner"]

    assert "It was trained with 1 seed" in card()
    assert "sinesweep replicate deep" in card()
    keep_replication(folder, 10)
    told = "Over 10 fresh seeds its mean reference/test_mae is 0.3 (95% interval 0.2 .. 0.4)"
    assert f"{told}; the 0.25 of the sweep's seed is better than 8 of 10." in card()
    keep_replication(folder, 5)
    assert "(95% interval 0.2 .. 0.4, too narrow for fewer than 10 seeds)" in card()
    keep_replication(folder, 2)
    assert "is 0.3: too few for a verdict; the 0.25" in card()


@pytest.mark.parametrize("content", [b"", b'{"points": [', b"[1]", b"{}"])
def test_damaged_replication_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """A damaged file of a replication is named with the remedy, and the report is written."""
    folder = make_sweep(tmp_path / "deep", [network(n, 8, 0.1 * n) for n in (1, 2, 3)])
    path = folder / "replication-model.layers.json"
    path.write_bytes(content)
    page = Page(build.write(build.read(folder)))
    assert "It was trained with 1 seed" in page.texts["winner"]
    assert f"{path}: damaged" in caplog.text
    assert "`sinesweep replicate` writes it again" in caplog.text


def test_every_picture_has_words(page: Page) -> None:
    """Each picture has a place on the page, and every place a picture."""
    assert {
        "best-trials-0",
        "best-time-0",
        "importances",
        "heat-map",
        "parallel",
        "timeline",
    } < set(page.figures)
    assert all(name in page.texts for name in page.figures)


def test_static_pictures(tmp_path: Path) -> None:
    """The main three pictures are PNGs, too."""
    trials = [network(i % 2, 8 * (i % 3), 0.1 + i / 100) for i in range(8)]
    written = draw(build.read(make_sweep(tmp_path / "mine", trials)))
    assert [path.name for path in written] == ["best.png", "importances.png", "heat_map.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_static_pictures_without_a_heat_map(tmp_path: Path) -> None:
    """Slices and the best over time stand in where there are no two discrete parameters."""
    folder = make_sweep(tmp_path / "mine", [Made({"lr": 0.1 + i}, [0.1 * i]) for i in range(9)])
    (folder / "report").mkdir()
    (folder / "report" / "heat_map.png").touch()
    written = draw(build.read(folder))
    assert [path.name for path in written] == ["best.png", "slice-0.png", "best_time.png"]
    assert sorted((folder / "report").iterdir()) == sorted(written)


def test_links_to_runs(tmp_path: Path) -> None:
    """A run is linked to its page, without credentials, or to its folder."""
    folder = make_sweep(tmp_path / "linked", [Made({"x": 1}, [0.1]), Made({"x": 2}, [0.2])])
    (folder / "trials" / "0" / "delivery.json").write_text('{"run_id": "abc"}')
    page = Page(build.write(build.read(folder, tracker="http://me:hunter2@tracker:5000/")))
    links = [where for tag, _, where in page.references if tag == "a"]
    assert links == ["http://tracker:5000/#/runs/abc", "trials/1/"]


def test_other_applications(report: Report) -> None:
    """Without the reference task's metrics the page says what the number is."""
    page = report(
        [Made({"x": i, "kind": "a"}, [float(i)]) for i in range(1, 4)], objectives=["value"]
    )
    assert re.search(r"trial 0\s+1\s*value", page.texts["winner"])
    assert "and so optimistic: no other number of the trial is known" in page.texts["winner"]
    assert "depth" not in page.figures
    assert "baselines" not in page.figures


def test_nothing_complete(report: Report) -> None:
    """A sweep without a completed trial has a page that says so, with the last error."""
    failed = Made({"x": 1}, state=TrialState.FAIL, attributes={"sinesweep.error": "it broke"})
    page = report([failed, Made({"x": 2}, state=TrialState.PRUNED, curve={0: 1.0, 1: 1.0})])
    assert "No trial was completed" in page.texts["winner"]
    assert "of trial 0: it broke" in page.texts["winner"]
    assert "best-trials-0" not in page.figures
    assert page.names("curves") == ["pruned"]


def test_no_trial_at_all(report: Report) -> None:
    """A sweep that has just begun has a page."""
    page = report([], state=RUNNING)
    assert "none began" in page.texts["top"]
    assert "No trial is complete yet" in page.texts["winner"]
    assert page.figures == {}


def test_several_objectives(report: Report) -> None:
    """Of several objectives the Pareto set is shown, each trial with its command."""
    values = [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (3.0, 3.0), (4.0, 4.0), (5.0, 5.0)]
    trials = [Made({"x": i, "y": i % 2}, value) for i, value in enumerate(values)]
    page = report(trials, objectives=["error", "cost"])
    assert "The Pareto set: 3 of 6 completed trials" in page.texts["winner"]
    text = page.texts["main"]
    assert "quarter of 6 completed trials by how few dominate them in error and cost" in text
    assert "This is of error alone, not of cost." in text
    dominated, best = page.figures["pareto"]["traces"]
    assert (best["x"], best["y"]) == ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert dominated["x"] == dominated["y"] == [3.0, 4.0, 5.0]
    assert {"best-trials-0", "best-trials-1"} < set(page.figures)
    assert page.texts["commands"].count("by itself") == 3


def test_conditional_parameters(report: Report) -> None:
    """A parameter that not every trial has is shown of those that have it."""
    trials = [
        Made({"kind": "sgd", "momentum": 0.1 * (i + 1)} if i % 2 else {"kind": "adam"}, [i / 10])
        for i in range(6)
    ]
    page = report(trials)
    kind, momentum, _ = page.figures["parallel"]["traces"][0]["dimensions"]
    assert kind["ticktext"] == ["adam", "sgd"]
    assert momentum["ticktext"][-1] == "none"
    assert momentum["values"][0] == pytest.approx(momentum["range"][0], abs=1e-4)
    assert momentum["values"][0] < min(momentum["values"][1::2])


def test_texts_are_escaped(report: Report) -> None:
    """A parameter that holds HTML is text on the page and in its figures."""
    evil = "</script><script>alert(1)</script><b>"
    page = report(
        [Made({evil: evil if i else "plain"}, [float(i)]) for i in range(3)], objectives=[evil]
    )
    assert page.tags.count("script") == 3
    assert "b" not in page.tags
    assert any(evil in cell for row in page.rows for cell in row)
    title = page.figures["slice-0"]["layout"]["xaxis"]["title"]["text"]
    assert title == "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;"


def test_secret_parameter(report: Report) -> None:
    """A swept secret is nowhere on the page."""
    trials = [Made({"db.password": f"hunter{i}", "x": i}, [float(i)]) for i in range(6)]
    page = report(trials)
    assert "hunter" not in "".join(page.texts.values())
    assert "***" in page.texts["trials"]


def test_diverged_trial(report: Report) -> None:
    """What a trial reported that is no number is a gap in its curve."""
    page = report([Made({"x": 1}, [1.0], curve={0: 1.0, 1: float("nan"), 2: float("inf")})])
    assert page.figures["curves"]["traces"][0]["y"] == [1.0, None, None, None]


def test_pauses_are_left_out(report: Report) -> None:
    """Time counts while the sweep runs, and what a worker waited shows."""
    begins = [0.0, 15.0, 100000.0]
    page = report([Made({"x": i}, [1.0 - i / 10], begin=b) for i, b in enumerate(begins)])
    told = (
        "1 worker was busy 85.7% of the 35.0 s from the first trial's start to the last one's end"
    )
    assert f"{told}, 1 pause between commands left out" in page.texts["main"]
    assert "the longest wait between two trials was 5.00 s" in page.texts["main"]
    assert page.figures["best-time-0"]["traces"][0]["x"] == pytest.approx(
        [10 / 60, 25 / 60, 35 / 60]
    )


def test_workers(tmp_path: Path) -> None:
    """A trial is drawn on the worker that ran it; where nobody noted that, the page says so."""
    trials = [Made({"x": i}, [1.0], begin=b) for i, b in enumerate((0.0, 10.0, 20.0))]
    folder = make_sweep(tmp_path / "mine", trials)

    def workers(*, is_packed: bool) -> list[str]:
        page = Page(build.write(build.read(folder)))
        assert ("was not noted" in page.texts["main"]) == is_packed
        return page.figures["timeline"]["traces"][1]["y"]

    path = folder / "workers.jsonl"
    assert workers(is_packed=True) == ["worker 0"] * 3
    notes = [{"trial": trial, "worker": worker} for trial, worker in ((0, 3), (1, 0), (2, 3))]
    lines = [f"{json.dumps(note)}\n" for note in notes]
    path.write_text("".join(lines) + lines[0][:9])
    assert workers(is_packed=False) == ["worker 0", "worker 3", "worker 3"]
    path.write_text(lines[0][:9] + "".join(lines))  # a full disk cut a note
    assert workers(is_packed=True) == ["worker 0"] * 3


def test_slots(tmp_path: Path) -> None:
    """Trials that one worker had at once are drawn on rows of their own, as few as fit."""
    begins = (0.0, 0.0, 2.0, 10.0, 12.0)
    trials = [Made({"x": i}, [1.0], begin=begin) for i, begin in enumerate(begins)]
    folder = make_sweep(tmp_path / "mine", trials)
    notes = [{"trial": i, "worker": worker} for i, worker in enumerate((0, 1, 0, 0, 0))]
    (folder / "workers.jsonl").write_text("".join(f"{json.dumps(note)}\n" for note in notes))
    page = Page(build.write(build.read(folder)))
    idle, *drawn = page.figures["timeline"]["traces"]
    rows = ["worker 0, slot 0", "worker 0, slot 1", "worker 1"]
    assert idle["y"] == rows
    assert dict(zip(drawn[0]["base"], drawn[0]["y"], strict=True)) == {
        0.0: rows[2], 0.0333: rows[1], 0.1667: rows[0], 0.2: rows[1],
    }  # fmt: skip
    assert "2 workers were busy 72.7% of the 22.0 s" in page.texts["main"]
    assert "the longest wait between two trials was 0.00 s" in page.texts["main"]


def test_trials_since_the_best(report: Report) -> None:
    """Only trials that have ended since count among those that brought no better one."""
    trials = [Made({"x": 1}, [0.2]), Made({"x": 2}, [0.1])]
    running = Made({"x": 3}, state=TrialState.RUNNING)
    page = report([*trials, running], state=RUNNING)
    assert "0.2 of 0); no later trial has ended." in page.texts["main"]


def test_maps_scroll_on_small_screens(tmp_path: Path) -> None:
    """The more decay ranges stand side by side, the wider the picture, whatever the screen."""
    trials = [
        network(1 + i % 2, 8, 0.1, params={"data.decay.low": low})
        for low in (0.01, 0.02, 0.03)
        for i in range(2)
    ]
    path = build.write(build.read(make_sweep(tmp_path / "mine", trials)))
    found = re.search(
        r'<div class="scroll"><div [^>]*id="decay"[^>]*min-width:(\d+)px', path.read_text()
    )
    assert found
    assert int(found[1]) > 3 * 200


def test_trials_that_violate_a_constraint_are_not_the_best(report: Report) -> None:
    """The winner, the best so far and the ranks are of feasible trials, as Optuna's best is."""
    page = report(
        [
            network(1, 8, 0.1, constraints={"size": 1.0}),
            network(2, 16, 0.3, constraints={"size": -1.0}),
            network(3, 32, 0.2, constraints={"size": 0.0}),
        ]
    )

    assert "trial 2" in page.texts["winner"].lower()
    line = next(t for t in page.figures["best-trials-0"]["traces"] if t["name"] == "best so far")
    assert line["y"] == [0.3, 0.2, 0.2]


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.2]])
def test_sweep_without_a_feasible_trial_has_a_report(
    report: Report, tmp_path: Path, values: list[float]
) -> None:
    """The page says that no trial satisfies its constraints, with one objective and with two."""
    trials = [Made({"x": x}, values, constraints={"size": 1.0}) for x in (1.0, 2.0)]
    page = report(trials, objectives=["mae", "cost"][: len(values)])

    assert "No completed trial satisfies its constraints" in page.texts["winner"]
    draw(build.read(tmp_path / "mine"))


def test_pareto_set_is_of_feasible_trials(report: Report) -> None:
    """A trial that violates a constraint is neither in the set nor called dominated."""
    trials = [
        Made({"x": 1.0}, [0.1, 0.1], constraints={"size": 1.0}),
        Made({"x": 2.0}, [0.1, 0.5], constraints={"size": 0.0}),
        Made({"x": 3.0}, [0.5, 0.1]),
    ]
    page = report(trials, objectives=["mae", "cost"])

    assert page.names("pareto") == ["others", "Pareto set"]
    assert "2 of 2 completed trials that satisfy their constraints" in page.texts["main"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, 2.5), True),
        ((1, 1), True),
        ((1, 1.0), False),
        ((0.0, -0.0), False),
        ((1, True), False),
        ((1.0, math.nan), False),
        ((1.0, math.inf), False),
        ((1, "1"), False),
    ],
)
def test_values_on_an_axis(values: tuple[Any, ...], expected: bool) -> None:
    """Values have places on an axis only if different ones have different places."""
    assert are_numbers(values) is expected
