"""Outcomes that a worker reports to a simulated controller."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

import sinesweep
from sinesweep.errors import Interrupted
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.messages import Answer, Assignment, Ended, MayBePruned, Report, Stop
from sinesweep.sweep.outcome import Outcome, read_outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.trial import ManagedTrial, set_current
from sinesweep.sweep.trial_record import TrialRecord
from sinesweep.sweep.worker import Evaluation, Worker, _checked

MakePlan = Callable[..., Plan]
Function = Callable[[ManagedTrial], Any]


class PlayedController:
    """Answers each question of a trial's, in a thread.

    Args:
        connection: to the worker.
        answers: to whether the trial is to be pruned, in order.
        stops: with the answer to which question the sweep is stopped.
    """

    def __init__(self, connection: Connection, answers: list[bool], stops: int | None) -> None:
        self._connection = connection
        self._answers = answers
        self._stops = stops
        self.reports: list[float] = []
        self.asked = 0
        self.outcome: Outcome | None = None
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while self.outcome is None:
            match self._connection.recv():
                case Report(_, value, _):
                    self.reports.append(value)
                case MayBePruned(number):
                    if self.asked == self._stops:
                        self._connection.send(Stop("SIGINT"))
                    self._connection.send(Answer(number, self._answers[self.asked]))
                    self.asked += 1
                case Ended(_, outcome):
                    self.outcome = outcome


@pytest.fixture(autouse=True)
def _nobodys() -> Iterator[None]:
    yield
    set_current(None)


class Run:
    """Evaluates one trial as a worker does.

    Args:
        plan: the sweep.
        folder: the trial's.
        function: of the trial's handle.
        answers: of the controller, to whether the trial is to be pruned.
        stops: with which answer the sweep is stopped.
        seeds: how many seeds the trial is evaluated under.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        function: Function,
        answers: list[bool],
        stops: int | None = None,
        seeds: int = 1,
    ) -> None:
        ours, theirs = Pipe()
        with ours, theirs:
            self.controller = PlayedController(theirs, answers, stops)
            channel = Channel(ours)
            folder.mkdir()
            record = TrialRecord(plan, Assignment(0, (), folder))
            trial = ManagedTrial(0, (), folder, {}, channel, record.report)
            left: deque[tuple[Sequence[str], Path]] = deque([((), folder)] * seeds)
            worker = Worker(plan, lambda _: None)
            self.calls = 0

            def call(evaluation: Evaluation) -> Any:
                evaluation.left.popleft()
                self.calls += 1
                return function(trial)

            worker._call = call  # Hydra's part: composing, and a folder for its files
            worker._go_on(Evaluation(trial, record, left), channel)
            self.controller.thread.join()
        assert self.controller.outcome is not None
        self.outcome = self.controller.outcome
        assert read_outcome(folder) == self.outcome


@pytest.fixture
def run(make_plan: MakePlan, tmp_path: Path) -> Callable[..., Run]:
    def make(function: Function, answers: list[bool], **more: Any) -> Run:
        plan = make_plan("x=1,2", *more.pop("overrides", ()))
        plan.folder.mkdir(parents=True)
        return Run(plan, tmp_path / "0", function, answers, **more)

    return make


def test_a_failed_trial_stores_no_secret(
    make_plan: MakePlan, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret in the text of an exception, its cause or its notes is in no file and no message."""

    def fail(config: DictConfig) -> None:
        try:
            raise KeyError(f"no login {config.db.password} of {config.db.passwords}")
        except KeyError as error:
            error.add_note(f"at {config.dsn}")
            raise RuntimeError(f"{config!r}: {config.db.password!r}, {config.dsn}") from error

    secrets = ("+db={password: 'canary01 x', passwords: [canary02]}", "+dsn='http://u:canary03@h'")
    plan = make_plan("x=1,2", *secrets)
    plan.folder.mkdir(parents=True)
    ours, theirs = Pipe()
    with ours, theirs:
        controller = PlayedController(theirs, [], None)
        worker, channel = Worker(plan, fail), Channel(ours)
        evaluation = worker._begin(Assignment(0, ("x=1", *secrets), plan.folder / "0"), channel)
        assert evaluation is not None
        worker._go_on(evaluation, channel)
        controller.thread.join()
    assert controller.outcome is not None
    assert "RuntimeError: {" in str(controller.outcome.error)
    files = {path.name: path.read_text() for path in plan.folder.rglob("*") if path.is_file()}
    assert {"outcome.json", "config.yaml", "hydra.yaml", "overrides.yaml"} <= files.keys()
    printed = capsys.readouterr()  # to the trial's log, outside of tests
    assert "no login *** of ['***']\"\nat http://***@h" in printed.err
    texts = {**files, "out": printed.out, "err": printed.err, "sent": repr(controller.outcome)}
    assert [name for name, text in texts.items() if "canary" in text] == []


def heedless(trial: ManagedTrial) -> float:
    """Report three epochs, and ask after each, to no effect."""
    for epoch in range(3):
        trial.report(float(epoch), epoch)
        trial.should_prune()
    return 1.0


@pytest.mark.parametrize("returned", [1.0, None, "nothing", float("nan"), (1.0, 2.0)])
def test_pruned_trial_that_returns_is_pruned(run: Callable[..., Run], returned: object) -> None:
    """The pruner's answer decides, whatever the function returns."""

    def stopping(trial: ManagedTrial) -> object:
        trial.report(3.0, 0)
        assert trial.should_prune()
        return returned

    assert run(stopping, [True]).outcome == Outcome.pruned()


def test_pruned_trial_that_trains_on_is_pruned(run: Callable[..., Run]) -> None:
    """The answer is final, and what is reported after it reaches the study."""
    found = run(heedless, [False, True])

    assert found.outcome == Outcome.pruned()
    assert found.controller.reports == [0.0, 1.0, 2.0]
    assert found.controller.asked == 2


def test_pruned_trial_that_fails_is_failed(run: Callable[..., Run]) -> None:
    """An error of the function's own is shown, although the trial was to be pruned."""

    def failing(trial: ManagedTrial) -> float:
        trial.should_prune()
        raise ValueError("broken")

    assert run(failing, [True]).outcome == Outcome.failed("ValueError: broken")


def test_pruned_trial_that_is_stopped_is_not_run_again(run: Callable[..., Run]) -> None:
    """A sweep that is interrupted after the answer leaves the trial PRUNED."""
    assert run(heedless, [False, True], stops=1).outcome == Outcome.pruned()


def test_pruned_trial_that_swallows_a_stop_is_pruned(run: Callable[..., Run]) -> None:
    """A function that catches everything cannot make a pruned trial complete."""

    def swallowing(trial: ManagedTrial) -> float:
        with suppress(Interrupted):
            trial.should_prune()
        return 1.0

    assert run(swallowing, [True], stops=0).outcome == Outcome.pruned()


def test_trial_that_is_not_pruned_is_complete(run: Callable[..., Run]) -> None:
    """The answer no leaves the value of the function."""
    assert run(heedless, [False] * 3).outcome == Outcome.complete((1.0,))


def test_trial_that_is_stopped_is_interrupted(run: Callable[..., Run]) -> None:
    """Without the answer yes a stop is an interruption: the trial is run again."""
    assert run(heedless, [False], stops=0).outcome == Outcome.interrupted("SIGINT")


def test_pruned_seed_ends_the_trial(run: Callable[..., Run]) -> None:
    """A trial that is pruned by its first seed is not evaluated under the others."""
    found = run(heedless, [True], seeds=3)

    assert found.outcome == Outcome.pruned()
    assert found.calls == 1


def constrained(trial: ManagedTrial) -> float:
    """Set a constraint that a further seed raises, and report."""
    trial.set_constraint("size", 2.0 if trial.listens else 4.0)
    if trial.listens:
        trial.set_constraint("once", -1.0)
        trial.report(1.0, 0)
        trial.should_prune()
    return 1.0


def test_constraints_are_part_of_the_outcome(run: Callable[..., Run]) -> None:
    """A complete trial tells its constraints with its value."""
    found = run(constrained, [False])
    assert found.outcome == Outcome.complete((1.0,), None, {"size": 2.0, "once": -1.0})


def test_constraints_of_a_pruned_trial_are_kept(run: Callable[..., Run]) -> None:
    """The sampler learns from the constraints of a pruned trial, too."""
    assert run(constrained, [True]).outcome.constraints == {"size": 2.0, "once": -1.0}


def test_constraints_are_means_over_the_seeds(run: Callable[..., Run]) -> None:
    """As the value is; a seed that does not set a constraint is left out of its mean."""
    found = run(constrained, [False], seeds=3)
    assert found.outcome.constraints == {"size": (2 + 4 + 4) / 3, "once": -1.0}


def test_pruned_trial_of_a_batch_is_pruned(make_plan: MakePlan, tmp_path: Path) -> None:
    """A trial that is trained together with others and ends with a value is PRUNED."""

    class Form:
        """Trains one trial, which ends with the round in which it is pruned."""

        def refusal(self, config: DictConfig) -> None:
            return None

        def make(self) -> Form:
            return self

        def admit(self, config: DictConfig, trial: ManagedTrial, directory: Path) -> None:
            self.trial = trial

        def advance(self) -> dict[int, float]:
            return {0: heedless(self.trial)}

    plan = make_plan("x=1,2")
    plan.folder.mkdir(parents=True)
    folder = tmp_path / "0"
    folder.mkdir()
    ours, theirs = Pipe()
    with ours, theirs:
        controller = PlayedController(theirs, [True], None)
        channel = Channel(ours)
        record = TrialRecord(plan, Assignment(0, (), folder))
        trial = ManagedTrial(0, (), folder, {}, channel, record.report)
        worker = Worker(plan, lambda _: None)
        worker._form = Form()
        evaluation = Evaluation(trial, record, deque())
        worker._together[0] = evaluation
        worker._evaluate(OmegaConf.create(), trial, folder)
        for ended, value in worker._advance():
            worker._go_on(ended, channel, value)
        controller.thread.join()

    assert controller.outcome == Outcome.pruned()
    assert sinesweep.current_trial().is_managed is False


class Tensor:
    """As much of a tensor as an objective needs."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def tolist(self) -> Any:
        return self._values


@pytest.mark.parametrize(
    "returned",
    [
        np.array([1.0, 2.0]),
        np.array([1, 2], dtype=np.int8),
        [np.float32(1), np.int64(2)],
        (Tensor(1.0), np.array(2.0)),
        Tensor([1.0, 2.0]),
        [1, 2.0],
    ],
)
def test_objectives_of_every_kind_of_number(returned: Any) -> None:
    """Arrays, tensors, lists and tuples of numbers are several objectives."""
    assert _checked(returned, 2) == (1.0, 2.0)


@pytest.mark.parametrize("returned", [np.float32(1), np.array(1), np.array([1.0]), Tensor(1.0)])
def test_objective_of_every_kind_of_number(returned: Any) -> None:
    """An array or a tensor of one number is one objective."""
    assert _checked(returned, 1) == (1.0,)


@pytest.mark.parametrize(
    "returned", [np.array([[1.0, 2.0]]), np.array([1.0, 2.0, 3.0]), np.array([True, False]), "12"]
)
def test_objectives_that_are_none(returned: Any) -> None:
    """Another number of values, or values that are no numbers, are refused."""
    with pytest.raises(TypeError, match="the function must return 2 numbers, but returned"):
        _checked(returned, 2)
