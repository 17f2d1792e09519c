"""A worker process: runs one trial after another and says what became of each."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import TaskFunction
from omegaconf import DictConfig

from sinesweep.errors import InputError, Interrupted
from sinesweep.files import refused_number, warn_once
from sinesweep.forks import ended_forked_children
from sinesweep.output import protect_log_files
from sinesweep.redaction import redact_error, redact_traceback
from sinesweep.redaction.hydra import learn_config, redacted_files
from sinesweep.sweep import repeats
from sinesweep.sweep.channel import Channel, SweepEnded
from sinesweep.sweep.composing import Composer
from sinesweep.sweep.log_stream import LOG_FILE
from sinesweep.sweep.messages import Assignment, Ended, Ready
from sinesweep.sweep.no_input import HINT, is_debuggers_end
from sinesweep.sweep.outcome import Outcome, listed
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.process_state import CONNECTION, restored_process_state
from sinesweep.sweep.random_state import seed_generators, trial_seed
from sinesweep.sweep.ranks import RankedTrial, known_to_further_ranks
from sinesweep.sweep.together import FusedForm, FusedTraining, find_form
from sinesweep.sweep.trial import ManagedTrial, TrialPruned, set_current
from sinesweep.sweep.trial_record import TrialRecord
from sinesweep.sweep.wording import error_text

_TOGETHER_LOG = "together.log"  # what is printed while trials are trained together

# What a call returns where the trial is trained together with others from then on.
_ADMITTED = object()


class CommandTerminal(Protocol):
    """The terminal of a command that runs trials in its own process."""

    def attached(self) -> AbstractContextManager[None]:
        """Let stop signals interrupt the code inside."""
        ...

    def interrupt(self, error: KeyboardInterrupt) -> str:
        """Stop the sweep because its trial was interrupted; return the signal's name."""
        ...

    def leave(self) -> NoReturn:
        """Leave the worker: the sweep has ended."""
        ...


@dataclass
class Evaluation:
    """A trial that was begun.

    Attributes:
        trial: its handle.
        record: for the tracker.
        left: what it is still to be evaluated as: overrides with a folder, one for each seed.
        found: the values of the seeds before.
        constraints: what each of the seeds before has set.
    """

    trial: ManagedTrial
    record: TrialRecord
    left: deque[tuple[Sequence[str], Path]]
    found: list[tuple[float, ...]] = field(default_factory=list)
    constraints: list[dict[str, float]] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        """The trial's folder."""
        assert self.trial.directory is not None
        return self.trial.directory

    def take(self, value: Any, count: int) -> None:
        """Take what the function returned, which must be so many numbers.

        Raises:
            TrialPruned: the trial was answered that it is to be pruned, and returned all the same.
        """
        if self.trial.is_pruned:
            raise TrialPruned
        if self.trial.stopped is not None:
            raise Interrupted(self.trial.stopped)  # whoever swallowed it
        self.found.append(_checked(value, count))
        self.constraints.append(dict(self.trial.constraints))
        self.trial.constraints.clear()
        # Pruned by its first seed: what others report would be compared with that.
        self.trial.listens = False

    def outcome(self) -> Outcome:
        """Return the mean over the seeds."""
        columns = zip(*self.found, strict=True)
        values = tuple(sum(column) / len(self.found) for column in columns)
        return Outcome.complete(values, _path(self.trial.checkpoint), self.mean_constraints())

    def mean_constraints(self) -> dict[str, float]:
        """Return the mean of each constraint over the seeds that have set it."""
        told = [*self.constraints, self.trial.constraints]
        names = dict.fromkeys(name for each in told for name in each)
        by_name = {name: [each[name] for each in told if name in each] for name in names}
        return {name: sum(values) / len(values) for name, values in by_name.items()}


class Worker:
    """Runs trials of a sweep in this process: one after another, or some of them together.

    Args:
        plan: the sweep.
        function: the user's function of a configuration.
        terminal: the terminal of the command, if trials are to use it.
    """

    def __init__(
        self, plan: Plan, function: TaskFunction, terminal: CommandTerminal | None = None
    ) -> None:
        self._plan = plan
        self._function = function
        self._terminal = terminal
        self._descriptors: Sequence[int] = ()  # that a trial must leave open
        self._lost: list[str] = []  # what a trial has changed for good
        self._is_leaving = False
        self._composer = Composer(plan)
        self._form: FusedForm | None = None
        self._training: FusedTraining | None = None
        self._together: dict[int, Evaluation] = {}  # by the trial's number

    def serve(self, connection: Connection) -> None:
        """Run what the controller assigns until it closes the connection."""
        _limit_threads()
        channel = Channel(connection, *([self._terminal.leave] if self._terminal else []))
        self._descriptors = [connection.fileno()]
        if self._plan.slots > 1:
            assert self._plan.settings.fused is not None
            self._form = find_form(self._plan.settings.fused)
        channel.send(Ready())
        while not self._is_leaving:
            for assignment in channel.assignments(wait=not self._together):
                if evaluation := self._begin(assignment, channel):
                    self._go_on(evaluation, channel)
            for evaluation, returned in self._advance():
                self._go_on(evaluation, channel, returned)

    def _begin(self, assignment: Assignment, channel: Channel) -> Evaluation | None:
        number, overrides, directory = assignment.number, assignment.overrides, assignment.directory
        try:
            directory.mkdir(parents=True)
        except OSError as error:
            cause = f"its folder could not be created: {error_text(error)}"
            channel.end(Ended(number, Outcome.failed(cause, refused_number(error))))
            return None
        files = directory.absolute()  # a trial may change the working directory
        record = TrialRecord(self._plan, replace(assignment, directory=files))
        trial = ManagedTrial(number, overrides, files, record.tags, channel, record.report)
        further = self._plan.repeats.further(overrides) if self._plan.repeats else ()
        folders = [repeats.folder(directory, index) for index in range(1, len(further) + 1)]
        left = [(overrides, directory), *zip(further, folders, strict=True)]
        return Evaluation(trial, record, deque(left))

    def _go_on(self, evaluation: Evaluation, channel: Channel, *returned: Any) -> None:
        """Evaluate a trial until it is trained together with others, or to its end.

        Args:
            evaluation: the trial.
            channel: is told of the end.
            returned: what has come of the seed that was trained together, if one was.
        """
        count = len(self._plan.settings.objectives)
        try:
            for value in returned:
                if isinstance(value, BaseException):
                    raise value
                evaluation.take(value, count)
            while evaluation.left:
                value = self._call(evaluation)
                if value is _ADMITTED:
                    self._together[evaluation.trial.number] = evaluation
                    return
                evaluation.take(value, count)
            outcome = evaluation.outcome()
        except BaseException as error:  # noqa: BLE001 # whatever it was, it costs this trial only
            with self._output_to(evaluation.directory / LOG_FILE):
                outcome = self._judge(error, evaluation)
        evaluation.trial.listens = False  # a form may go on with it: that is nobody's any more
        _keep(evaluation, outcome)
        self._end(evaluation.trial.number, outcome, channel)

    def _end(self, number: int, outcome: Outcome, channel: Channel) -> None:
        """Send a trial's end, and leave if the process is no longer as the next trial needs it."""
        self._is_leaving = bool(self._lost) and not self._together and self._terminal is None
        if CONNECTION in self._lost:
            os._exit(1)  # the controller reads the outcome in the trial's folder
        channel.end(Ended(number, outcome, is_last=self._is_leaving))

    def _judge(self, error: BaseException, evaluation: Evaluation) -> Outcome:
        stopped = evaluation.trial.stopped
        if self._terminal and isinstance(error, KeyboardInterrupt) and stopped is None:
            return Outcome.interrupted(f"interrupted by {self._terminal.interrupt(error)}")
        if isinstance(error, SweepEnded):
            raise error
        if self._terminal and is_debuggers_end(error):
            return Outcome.failed("the debugger was quit")
        return _judge(error, evaluation)

    @contextmanager
    def _output_to(self, path: Path) -> Iterator[None]:
        with nullcontext() if self._terminal else _output_to(path):
            yield

    def _run_function(self, config: DictConfig) -> Any:
        """Call the user's function, and undo what it has changed in this process."""
        try:
            with (
                restored_process_state(self._descriptors, self._lost),
                ended_forked_children(),
                self._terminal.attached() if self._terminal else nullcontext(),
            ):
                return self._function(config)
        finally:
            if self._lost:
                print(  # noqa: T201 # its log
                    f"sinesweep: could not be restored: {', '.join(self._lost)}"
                    + (": the next trial gets a new worker" if self._terminal is None else ""),
                    file=sys.stderr,
                )

    def _call(self, evaluation: Evaluation) -> Any:
        """Evaluate a trial's next seed, or have it trained together with others."""
        overrides, directory = evaluation.left.popleft()
        files = directory.absolute()  # with hydra.job.chdir the function is called elsewhere
        number = evaluation.trial.number
        seed = trial_seed(self._plan.name, number, len(evaluation.found))
        ranked = RankedTrial(number, overrides, str(directory), str(self._plan.folder), seed)

        def evaluate(config: DictConfig) -> Any:
            protect_log_files()
            seed_generators(seed)
            return self._evaluate(config, evaluation.trial, files)

        called = _Called(evaluate)
        with self._output_to(evaluation.directory / LOG_FILE):
            set_current(evaluation.trial)
            try:
                config = self._composer.compose(overrides)
                learn_config(config)
                with redacted_files(), known_to_further_ranks(ranked):
                    run_job(
                        task_function=called,
                        config=self._plan.job(config, number, directory),
                        job_dir_key="hydra.sweep.dir",
                        job_subdir_key="hydra.sweep.subdir",
                        hydra_context=self._plan.context,
                    )
            finally:
                set_current(None)
        if called.error is not None:
            raise called.error
        return called.value

    def _evaluate(self, config: DictConfig, trial: ManagedTrial, directory: Path) -> Any:
        if self._form is None:
            return self._run_function(config)
        reason = self._form.refusal(config)
        if reason is not None and self._plan.settings.unfused == "refuse":
            raise InputError(  # a value in a range or a combination: its ends were looked at
                "hydra.sweeper.unfused: must be serial for a trial that cannot be trained together "
                f"with others, but is refuse, and {reason}"
            )
        if reason is not None:
            trial.alone(reason)
            with trial.holding():
                return self._run_function(config)
        if self._training is None:  # here, so that a trial says why it cannot be made
            self._training = self._form.make()
        self._training.admit(config, trial, directory)
        return _ADMITTED

    def _advance(self) -> list[tuple[Evaluation, Any]]:
        """Train a round of what is trained together; return those that have ended with it."""
        if self._training is None or not self._together:
            return []
        with _output_to(self._plan.folder / _TOGETHER_LOG):
            try:
                with ended_forked_children():
                    ended = dict(self._training.advance())
                for number in ended.keys() - self._together:
                    raise LookupError(f"advance() must tell of trials it has, not of {number}")
            except BaseException as error:  # noqa: BLE001 # the form's own: it costs those it had
                self._stop_with_whom_it_let_through()
                ended = dict.fromkeys(self._together, error)
                self._training = None
        return [(self._together.pop(number), value) for number, value in ended.items()]

    def _stop_with_whom_it_let_through(self) -> None:
        """Where a form has not caught that a trial was to stop, the others are run again."""
        trials = [evaluation.trial for evaluation in self._together.values()]
        if cause := next((trial.stopped for trial in trials if trial.stopped), None):
            for trial in trials:
                trial.stopped = trial.stopped or f"another trial was stopped: {cause}"


def _keep(evaluation: Evaluation, outcome: Outcome) -> None:
    """Write an outcome into the trial's folder; the study has it, if that is not possible.

    An outcome that the environment may be at fault for is for the sweep's process to judge.
    """
    try:
        evaluation.record.values(outcome)
        if outcome.errno is None:
            outcome.write(evaluation.directory)
    except OSError as error:
        number = evaluation.trial.number
        warn_once(f"trial {number} has ended, but its folder does not say how: {error}")


class _Called:
    """A function that keeps what it returned or raised: Hydra prints overrides with the latter."""

    def __init__(self, function: TaskFunction) -> None:
        self._function = function
        self.value: Any = None
        self.error: Exception | None = None

    def __call__(self, config: Any) -> Any:
        try:
            self.value = self._function(config)
        except Exception as error:
            self.error = error
            raise
        return self.value


def _checked(value: Any, count: int) -> tuple[float, ...]:
    """Return what a function returned as finite numbers."""
    expected = "a number" if count == 1 else f"{count} numbers"
    many = listed(value)
    try:
        values = tuple(float(each) for each in many)
    except (TypeError, ValueError):
        raise TypeError(f"the function must return {expected}, but returned {value!r}") from None
    if len(values) != count or any(isinstance(each, (str, bytes, bool)) for each in many):
        raise TypeError(f"the function must return {expected}, but returned {value!r}")
    if not all(math.isfinite(each) for each in values):
        raise ArithmeticError(f"the objective must be finite, but is {value}")
    return values


def _judge(error: BaseException, evaluation: Evaluation) -> Outcome:
    """Return the outcome of a trial that ended with an exception.

    A pruned trial that is stopped with the sweep is PRUNED: nothing is left to be run again. An
    exception of the function's own is a failure, before and after the pruner's answer.
    """
    trial = evaluation.trial
    is_pruned = isinstance(error, TrialPruned) or _is_optunas_pruned(error)
    if trial.stopped is not None:
        is_pruned = trial.is_pruned
    if is_pruned:
        return Outcome.pruned(_path(trial.checkpoint), evaluation.mean_constraints())
    if trial.stopped is not None:
        return Outcome.interrupted(trial.stopped)
    if isinstance(error, Interrupted):  # the trial was told by a signal, and not by the sweep
        return Outcome.failed(f"stopped by {error}, which was sent to its worker alone")
    print(redact_traceback(error), file=sys.stderr)  # noqa: T201 # its log
    if isinstance(error, SystemExit):
        return Outcome.failed(redact_error(f"the function called sys.exit({error.code!r})"))
    if isinstance(error, InputError):
        return Outcome.failed(redact_error(str(error)))
    cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
    if is_debuggers_end(cause):
        return Outcome.failed(f"the debugger could read no command: {HINT}")
    return Outcome.failed(redact_error(error_text(cause)), refused_number(error))


def _is_optunas_pruned(error: BaseException) -> bool:
    optuna = sys.modules.get("optuna")  # raised here only if the function imported it
    return optuna is not None and isinstance(error, optuna.TrialPruned)


def _path(checkpoint: Path | str | None) -> str | None:
    return None if checkpoint is None else str(checkpoint)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send what the process prints, from Python or below it, to a file.

    What cannot be written is lost: it must not cost the trial.
    """
    with _opened(path) as file:
        saved = [(stream, os.dup(stream.fileno())) for stream in (sys.__stdout__, sys.__stderr__)]  # pyright: ignore[reportOptionalMemberAccess]
        for stream, _ in saved:
            os.dup2(file.fileno(), stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
    try:
        yield
    finally:
        for stream, descriptor in saved:
            _flush(stream)
            _return_to(descriptor, stream)


def _return_to(descriptor: int, stream: Any) -> None:
    """Have a stream write where it did before, or nowhere if the trial has closed that."""
    try:
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
    except OSError:
        with Path(os.devnull).open("ab") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("ab")
    except OSError as error:
        warn_once(f"what the trial prints is lost: {error}")
        return Path(os.devnull).open("ab")


def _flush(stream: Any) -> None:
    try:
        stream.flush()
    except OSError:  # a full disk: drop what the stream holds
        with Path(os.devnull).open("ab") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
            stream.flush()


def _limit_threads() -> None:
    """Give libraries that the command had loaded before the fork this worker's share of cores.

    Where the user has set a share, they have it already, in a form that may be theirs alone.
    """
    text = os.environ["OMP_NUM_THREADS"]
    count = int(text) if text.isdecimal() else 0  # OpenMP knows 4,2 for nested teams, too
    if not count:
        return
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    if importlib.util.find_spec("threadpoolctl") is not None:
        import threadpoolctl

        threadpoolctl.threadpool_limits(count)
