"""Trials trained together are the trials that they are alone."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from played import Controller

from sinesweep.errors import Interrupted
from sinesweep.fused import engines, training
from sinesweep.fused.engines import Engine
from sinesweep.fused.member import Member
from sinesweep.sweep.messages import Report, Stop
from sinesweep.sweep.trial import TrialPruned
from sinesweep.tracking import record
from sinesweep.training.checkpoint import load, load_module

MakeTrials = Callable[..., Any]
SMALL = ("data.num_series=80", "data.val_series=40", "data.test_series=40", "data.batch_size=32")
DOUBLE = ("trainer.precision=64-true", "trainer.max_epochs=3")

# Depths, widths, budgets, seeds, data and optimizers of all kinds beside each other.
VARIED = [
    ("model.layers=1", "model.width=5"),
    ("model.layers=3", "model.width=8", "model.dropout=0.3", "seed=4"),
    ("model.layers=2", "model.width=7", "model.dropout=0.2", "optimizer.lr=0.02"),
    ("model.layers=2", "model.width=12", "data.decay.high=0.2", "data.seed=3"),
    ("model.layers=2", "model.width=16", "optimizer=adamw", "optimizer.weight_decay=0.1"),
    ("model.layers=1", "model.width=16", "optimizer.weight_decay=0.01", "scheduler=cosine"),
    ("model.layers=2", "model.width=16", "trainer.gradient_clip_val=0.01", "data.noise=0.05"),
    ("model.layers=2", "model.width=6", "data.batch_size=24", "scheduler=step"),
    ("model.layers=1", "model.width=8", "trainer.max_epochs=2", "model.initialization=keras"),
    ("model.layers=2", "model.width=8", "optimizer=sgd"),
    ("model.layers=1", "model.width=40"),
    ("model.layers=2", "model.width=8", "data.val_series=30"),
    ("model.layers=1", "model.width=8", "optimizer=keras_adam"),
]


def best_of(trials: Any, kind: str, number: int) -> dict[str, Any]:
    """Return the checkpoint of a trial's best epoch."""
    return load(trials.folder / kind / str(number) / "checkpoints" / "best.ckpt")


def history(folder: Path, kind: str, number: int) -> dict[str, list[tuple[int, float]]]:
    """Return a trial's metrics."""
    return record.metric_history(folder / kind / str(number))


def test_every_number_is_that_of_the_same_trial_alone(make_trials: MakeTrials) -> None:
    """In double precision its weights agree to 1e-9 after three epochs, and so do its metrics."""
    trials = make_trials(*SMALL, *DOUBLE)
    alone = trials.serially(*VARIED)
    together = trials.together(*VARIED)
    for number, value in enumerate(alone):
        assert together[number] == pytest.approx(value, abs=1e-7)
        expected = history(trials.folder, "serial", number)
        found = history(trials.folder, "fused", number)
        assert found.keys() == expected.keys()
        for name, points in expected.items():
            assert [step for step, _ in found[name]] == [step for step, _ in points]
            for (_, ours), (_, theirs) in zip(found[name], points, strict=True):
                # Lightning keeps what is logged in single precision.
                assert ours == pytest.approx(theirs, abs=1e-7, rel=1e-7), name
        alone_best, best = best_of(trials, "serial", number), best_of(trials, "fused", number)
        for key in ("epoch", "global_step"):
            assert best[key] == alone_best[key]
        assert best["sinesweep"]["best_epoch"] == alone_best["sinesweep"]["best_epoch"]
        for name, weights in alone_best["state_dict"].items():
            torch.testing.assert_close(best["state_dict"][name], weights, atol=1e-9, rtol=0)


@pytest.mark.slow
def test_trials_that_join(make_trials: MakeTrials) -> None:
    """With all that changes a step, each in an epoch of its own, weights are those of serial."""
    common = ("model.layers=2", "trainer.max_epochs=4", "optimizer=adamw")
    own = {
        "model.dropout": 0.3,
        "optimizer.weight_decay": 0.3,
        "trainer.gradient_clip_val": 0.02,
        "scheduler.step_size": 1,
    }
    trials = make_trials(*SMALL, *DOUBLE, *common, "model.width=8", "scheduler=step")
    whole = tuple(f"{key}={value}" for key, value in own.items())
    joined = [(f"seed={seed}", f"model.width={8 - seed}", *whole) for seed in range(3)]
    without = [tuple(each for each in joined[0] if each != left_out) for left_out in whole]
    together = trials.together(*joined, joining=True)
    alone = trials.serially(*joined, *without)
    # Each of them matters to the numbers.
    assert len({round(value, 7) for value in (alone[0], *alone[3:])}) == 1 + len(own)
    for number in range(len(joined)):
        assert together[number] == pytest.approx(alone[number], abs=1e-7)
        best, expected = best_of(trials, "fused", number), best_of(trials, "serial", number)
        for name, weights in expected["state_dict"].items():
            # A few last bits: what differs is the order of sums.
            torch.testing.assert_close(best["state_dict"][name], weights, atol=1e-12, rtol=0)


@pytest.mark.slow
def test_single_precision_is_the_same_to_single_precision(make_trials: MakeTrials) -> None:
    """What is compiled agrees with serial training to 1e-5 over three epochs."""
    trials = make_trials(*SMALL, "trainer.max_epochs=3")
    alone = trials.serially(*VARIED)
    together = trials.together(*VARIED)
    for number, value in enumerate(alone):
        # A last bit is 6e-8 of a number; nine steps make some 4e-7 of it.
        assert together[number] == pytest.approx(value, rel=1e-5)
        expected = history(trials.folder, "serial", number)
        found = history(trials.folder, "fused", number)
        for name, points in expected.items():
            for (_, ours), (_, theirs) in zip(found[name], points, strict=True):
                assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5), name


def test_neighbours_change_nothing(make_trials: MakeTrials) -> None:
    """A trial's numbers are the same to 1e-9 whoever trains beside it."""
    trials = make_trials(*SMALL, *DOUBLE)
    alone = trials.together(VARIED[2], kind="alone")
    among = trials.together(VARIED[2], *VARIED[:2], *VARIED[3:5], kind="among")
    assert among[0] == pytest.approx(alone[0], abs=1e-9)


def test_a_trial_that_diverges_changes_not_one_bit_of_its_neighbours(
    make_trials: MakeTrials,
) -> None:
    """NaN stays with the trial that it arose in, which fails."""
    trials = make_trials(*SMALL, "trainer.max_epochs=3", "model.width=8")
    calm = [(f"seed={seed}", "model.layers=2") for seed in range(3)]
    wild = ("seed=9", "model.layers=2", "optimizer.lr=1e38")
    usual = trials.together(*calm, ("seed=9", "model.layers=2"), kind="usual")
    beside = trials.together(*calm, wild, kind="beside")
    assert isinstance(beside[3], ArithmeticError)
    assert not math.isfinite(history(trials.folder, "beside", 3)["train/mae"][-1][1])
    for number in range(3):
        assert beside[number] == usual[number]
        assert history(trials.folder, "beside", number) == history(trials.folder, "usual", number)


def test_the_best_epoch_is_noted_as_alone(make_trials: MakeTrials) -> None:
    """Where it is not the last, its checkpoint says so, in a batch and one by one."""
    trials = make_trials(*SMALL, "trainer.max_epochs=4", "optimizer.lr=0.3")
    varied = [("model.width=5",), ("model.width=6", "optimizer=sgd", "optimizer.lr=0.5")]
    trials.serially(*varied)
    controllers = Controller(), Controller()
    trials.together(*varied, t0=controllers[0], t1=controllers[1])
    reason = "its optimizer is SGD, not Adam or AdamW"
    assert [each.alone for each in controllers] == [[], [reason]]
    for number in range(len(varied)):
        alone, among = (
            load(trials.folder / kind / str(number) / "checkpoints" / "best.ckpt")
            for kind in ("serial", "fused")
        )
        assert alone["sinesweep"]["best_epoch"] < 3
        for key in ("epoch", "global_step"):
            assert among[key] == alone[key]


def test_a_trial_that_never_had_a_best_epoch(make_trials: MakeTrials) -> None:
    """Its test scores are those of the weights that it ends with, as alone, and not its first."""
    trials = make_trials(*SMALL, "trainer.max_epochs=2", "model.width=24", "optimizer.lr=3e37")
    with pytest.raises(ArithmeticError, match="the objective val/mae is inf"):
        trials.serially(("seed=9",))
    (error,) = trials.together(("seed=9",)).values()
    assert isinstance(error, ArithmeticError)
    for kind in ("serial", "fused"):
        ((step, value),) = history(trials.folder, kind, 0)["test/mae"]
        assert step == 2
        assert not math.isfinite(value)
    assert not (trials.folder / "fused" / "0" / "checkpoints" / "best.ckpt").exists()


def test_a_pruned_trial_leaves_and_keeps_its_checkpoint(make_trials: MakeTrials) -> None:
    """The others go on as if nothing had been."""
    trials = make_trials(*SMALL, "trainer.max_epochs=4", "model.width=8")
    controller = Controller(False, True)
    ended = trials.together(("seed=0",), ("seed=1",), t1=controller)
    assert isinstance(ended[1], TrialPruned)
    assert [step for step, _ in controller.reports] == [0, 1]
    assert len(history(trials.folder, "fused", 0)["val/mae"]) == 4
    assert load_module(trials.folder / "fused" / "1" / "checkpoints" / "best.ckpt") is not None


def test_a_stopped_trial_leaves(make_trials: MakeTrials) -> None:
    """A trial of a sweep that is being stopped ends at its next epoch."""
    trials = make_trials(*SMALL, "trainer.max_epochs=4", "model.width=8")
    ended = trials.together(("seed=0",), ("seed=1",), t0=Controller(Stop("SIGINT")))
    assert isinstance(ended[0], Interrupted)
    assert isinstance(ended[1], float)


def test_a_trial_that_reports_nothing_leaves_when_it_is_stopped(make_trials: MakeTrials) -> None:
    """Its objective is known at the end only; those that share the worker go on."""
    trials = make_trials(*SMALL, "trainer.max_epochs=3", "model.width=8", "objective=test/mae")
    controller = Controller()
    controller.say(Stop("trial_timeout"))
    ended = trials.together(("seed=0",), ("seed=1",), t0=controller)
    assert isinstance(ended[0], Interrupted)
    assert isinstance(ended[1], float)
    assert best_epoch(trials.folder / "fused" / "1") == 2


def test_an_engine_that_cannot_be_made_costs_those_of_its_kind(
    make_trials: MakeTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be no memory for the wide ones: the others are trained."""
    made = engines.Batched

    def batched(members: Sequence[Member]) -> Engine:
        if members[0].width == 16:
            raise MemoryError("no room")
        return made(members)

    monkeypatch.setattr(engines, "Batched", batched)
    trials = make_trials(*SMALL, *DOUBLE, "trainer.max_epochs=2")
    ended = trials.together(("model.width=16",), ("model.width=8",), ("model.width=16", "seed=2"))
    assert [str(ended[number]) for number in (0, 2)] == ["no room"] * 2
    assert isinstance(ended[1], float)


class Full(Controller):
    """Has a trial find, once it has reported, that its checkpoints cannot be written."""

    def __init__(self, directory: Path, *answers: bool | Stop) -> None:
        super().__init__(*answers)
        self._directory = directory

    def send(self, message: object) -> None:
        if isinstance(message, Report) and not self.reports:
            (self._directory / "checkpoints").touch()  # a file, where a folder is to be
        super().send(message)


def best_epoch(directory: Path) -> int | None:
    """Return which epoch a trial's best checkpoint is of, if it has one."""
    path = directory / "checkpoints" / "best.ckpt"
    return load(path)["sinesweep"]["best_epoch"] if path.exists() else None


def test_a_checkpoint_that_cannot_be_written_costs_its_trial(make_trials: MakeTrials) -> None:
    """At its end, or when it is pruned; one that is stopped is stopped; the others go on."""
    trials = make_trials(*SMALL, *DOUBLE, "model.width=8", "checkpoint_interval=1000")
    full = {
        f"t{number}": Full(trials.folder / "fused" / str(number), *answers)
        for number, answers in {1: (), 2: (True,), 3: (Stop("SIGINT"),)}.items()
    }
    ended = trials.together(*((f"seed={seed}",) for seed in range(5)), **full)
    for number in (1, 2):
        path = trials.folder / "fused" / str(number) / "checkpoints" / "best.ckpt"
        assert isinstance(ended[number], OSError)
        assert str(ended[number]) == (
            f"[Errno 17] the checkpoint cannot be written (File exists): '{path}'"
        )
    assert isinstance(ended[3], Interrupted)
    assert "the checkpoint cannot be written" in ended[3].__notes__[0]
    assert [isinstance(ended[number], float) for number in (0, 4)] == [True] * 2


def test_an_engine_that_fails_leaves_the_best_epochs(
    make_trials: MakeTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As alone; one that cannot be written does not hide what went wrong, from whomever."""
    train_epoch = engines.Batched.train_epoch

    def breaks_in_the_third(engine: engines.Batched) -> Any:
        if engine.members[0].epoch == 2:
            raise MemoryError("no room")
        return train_epoch(engine)

    monkeypatch.setattr(engines.Batched, "train_epoch", breaks_in_the_third)
    trials = make_trials(*SMALL, *DOUBLE, "model.width=8", "checkpoint_interval=1000")
    ended = trials.together(
        ("seed=0",), ("seed=1",), ("model.width=20", "trainer.max_epochs=2"), ("seed=3",),
        t1=Full(trials.folder / "fused" / "1"),
    )  # fmt: skip
    assert [str(ended[number]) for number in (0, 1, 3)] == ["no room"] * 3
    assert isinstance(ended[2], float)
    for number in (0, 3):
        directory = trials.folder / "fused" / str(number)
        assert best_epoch(directory) == 1
        assert load_module(directory / "checkpoints" / "best.ckpt") is not None
    (note,) = ended[0].__notes__
    assert note.startswith("and then, of 1: FileExistsError: ")


class Looking(Controller):
    """Notes which best epoch is in a trial's folder whenever it reports."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.found: list[int | None] = []

    def send(self, message: object) -> None:
        if isinstance(message, Report):
            self.found.append(best_epoch(self._directory))
        super().send(message)


def test_the_best_epoch_is_written_as_training_goes_on(make_trials: MakeTrials) -> None:
    """A worker that is killed leaves it, if the interval is over; no number differs for it."""
    trials = make_trials(*SMALL, "trainer.max_epochs=4", "model.width=8")
    varied = [("seed=0",), ("optimizer=sgd",)]  # among others, and by PyTorch's own LSTM
    found: dict[str, list[list[int | None]]] = {}
    ended: dict[str, dict[int, Any]] = {}
    for interval in ("0", "1000"):
        looking = [Looking(trials.folder / interval / str(number)) for number in range(2)]
        ended[interval] = trials.together(
            *((*overrides, f"checkpoint_interval={interval}") for overrides in varied),
            kind=interval, t0=looking[0], t1=looking[1],
        )  # fmt: skip
        found[interval] = [each.found for each in looking]
    assert found == {"0": [[None, 0, 1, 2]] * 2, "1000": [[None] * 4] * 2}
    assert ended["0"] == ended["1000"]


@pytest.mark.parametrize(
    ("asked", "is_on", "warns"),
    [
        (("false", "false"), False, False),
        (("false", "true"), True, False),
        (("warn", "true"), True, False),
        (("warn", "false"), True, True),
    ],
)
def test_deterministic(
    make_trials: MakeTrials, asked: tuple[str, ...], is_on: bool, warns: bool
) -> None:
    """The strictest of those trained together holds, as under a Trainer."""
    trials = make_trials(*SMALL, "trainer.max_epochs=1", "model.width=4")
    trials.together(*((f"trainer.deterministic={each}",) for each in asked))
    assert torch.are_deterministic_algorithms_enabled() is is_on
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warns


def test_figures_for_those_among_the_best(make_trials: MakeTrials) -> None:
    """Each trial asks for itself; one that is told no has its checkpoint all the same."""
    asked = ("artifacts.figures=true", "artifacts.model=true", "artifacts.trials=3")
    trials = make_trials(*SMALL, *asked, "trainer.max_epochs=1", "model.width=8")
    trials.together(("seed=0",), ("seed=1",), t1=Controller(best=False))
    worthy, other = (trials.folder / "fused" / str(number) for number in range(2))
    assert len(list((worthy / "figures").iterdir())) == 3
    assert not (other / "figures").exists()
    assert load_module(other / "checkpoints" / "best.ckpt") is not None
    kinds = [[event["kind"] for event, _ in record.read(folder)] for folder in (worthy, other)]
    assert ["model" in kind for kind in kinds] == [True, False]


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("+trainer.max_steps=7", "trainer.max_steps=7 is for a Trainer of its own"),
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true is for a Trainer of its own"),
    ],
)
def test_what_has_no_fused_form(make_trials: MakeTrials, override: str, reason: str) -> None:
    """Arguments that only a Trainer knows are refused by name."""
    with pytest.raises(ValueError, match=reason):
        make_trials(*SMALL).together((override,))


@pytest.mark.slow
def test_single_precision_ranks_trials_as_serial_training_does(make_trials: MakeTrials) -> None:
    """Of 64 varied trials the ranks by final MAE correlate, and the medians agree."""
    rng = np.random.default_rng(0)
    trials = make_trials(*SMALL, "trainer.max_epochs=4")
    varied = [
        (
            f"model.layers={rng.integers(1, 4)}",
            f"model.width={rng.integers(4, 25)}",
            f"optimizer.lr={10 ** rng.uniform(-3, -1):.5f}",
            f"seed={number}",
        )
        for number in range(64)
    ]
    alone = np.array(trials.serially(*varied))
    ended = trials.together(*varied)
    together = np.array([ended[number] for number in range(64)])
    ranks = [values.argsort().argsort() for values in (alone, together)]
    assert np.corrcoef(*ranks)[0, 1] >= 0.99  # Spearman's
    assert np.median(together) == pytest.approx(np.median(alone), rel=0.02)


@pytest.mark.slow
def test_a_run_of_its_own_has_the_numbers_of_a_trial_among_others(make_trials: MakeTrials) -> None:
    """With together=true a trial run again gives the same numbers, bit for bit."""
    trials = make_trials(*SMALL, "trainer.max_epochs=3")
    varied = [
        ("model.layers=2", "model.width=13", "model.dropout=0.2"),
        ("model.width=9",),
        (),
        ("optimizer=sgd",),
        ("model.width=136", "trainer.max_epochs=1"),
    ]
    together = trials.together(*varied)
    alone = trials.serially(*((*overrides, "together=true") for overrides in varied))
    assert [together[number] for number in range(len(varied))] == alone
    for number in range(len(varied)):
        again = history(trials.folder, "serial", number)
        assert again == history(trials.folder, "fused", number)


def test_a_run_of_its_own_that_is_stopped_in_an_epoch_keeps_the_best(
    make_trials: MakeTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes at any time; what had been found until then is kept."""
    epoch = training._epoch

    def is_stopped_in_the_third(engine: Engine, runs: Sequence[training.Run]) -> Any:
        values = epoch(engine, runs)
        if engine.members[0].epoch == 3:
            signal.raise_signal(signal.SIGINT)
        return values

    monkeypatch.setattr(training, "_epoch", is_stopped_in_the_third)
    trials = make_trials(*SMALL, "trainer.max_epochs=4", "checkpoint_interval=1000")
    with pytest.raises(Interrupted, match="SIGINT"):
        trials.serially(("together=true",))
    assert best_epoch(trials.folder / "serial" / "0") == 1
