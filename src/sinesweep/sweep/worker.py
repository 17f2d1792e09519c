"""A worker process: runs one trial after another and says what became of each."""

from __future__ import annotations

import importlib.util
import math
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hydra.core.utils import run_job
from hydra.errors import HydraException
from hydra.types import TaskFunction

from sinesweep.errors import InputError, Interrupted
from sinesweep.redaction import redact
from sinesweep.sweep import repeats
from sinesweep.sweep.composing import Composer
from sinesweep.sweep.log_stream import LOG_FILE
from sinesweep.sweep.messages import Assignment, Ended, Stop
from sinesweep.sweep.outcome import Outcome
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.trial import ManagedTrial, TrialPruned, set_current
from sinesweep.sweep.trial_record import TrialRecord
from sinesweep.sweep.wording import error_text


class Worker:
    """Runs trials of a sweep in this process.

    Args:
        plan: the sweep.
        function: the user's function of a configuration.
    """

    def __init__(self, plan: Plan, function: TaskFunction) -> None:
        self._plan = plan
        self._function = function
        self._composer = Composer(plan)

    def serve(self, connection: Connection) -> None:
        """Run what the controller assigns until it closes the connection."""
        _limit_threads()
        while True:
            message = connection.recv()
            if isinstance(message, Stop):
                continue  # it crossed the end of the last trial
            assert isinstance(message, Assignment)
            connection.send(Ended(self._run(message, connection)))

    def _run(self, assignment: Assignment, connection: Connection) -> Outcome:
        directory = assignment.directory
        directory.mkdir(parents=True)
        record = TrialRecord(self._plan, assignment)
        trial = ManagedTrial(
            assignment.number,
            assignment.overrides,
            directory,
            record.tags,
            connection,
            record.report,
        )
        with _output_to(directory / LOG_FILE):
            set_current(trial)
            try:
                outcome = self._evaluate(trial)
            finally:
                set_current(None)
        record.values(outcome)
        outcome.write(directory)
        return outcome

    def _evaluate(self, trial: ManagedTrial) -> Outcome:
        try:
            values = self._mean_of_repeats(trial)
        except TrialPruned:
            return Outcome.pruned(_path(trial.checkpoint))
        except BaseException as error:  # noqa: BLE001 # whatever it was, it costs this trial only
            return _judge(error, trial)
        return Outcome.complete(values, _path(trial.checkpoint))

    def _mean_of_repeats(self, trial: ManagedTrial) -> tuple[float, ...]:
        found = [self._values(trial, trial.overrides, trial.directory)]
        # Pruned by its first seed: what others report would be compared with that.
        trial.listens = False
        further = self._plan.repeats.further(trial.overrides) if self._plan.repeats else ()
        for index, overrides in enumerate(further, 1):
            assert trial.directory is not None
            found.append(self._values(trial, overrides, repeats.folder(trial.directory, index)))
        return tuple(sum(column) / len(found) for column in zip(*found, strict=True))

    def _values(
        self, trial: ManagedTrial, overrides: Sequence[str], directory: Path | None
    ) -> tuple[float, ...]:
        assert trial.number is not None
        assert directory is not None
        config = self._plan.job(self._composer.compose(overrides), trial.number, directory)
        called = _Called(self._function)
        run_job(
            task_function=called,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self._plan.context,
        )
        if called.error is not None:
            raise called.error
        if trial.stopped is not None:
            raise Interrupted(trial.stopped)  # whoever swallowed it
        return _checked(called.value, len(self._plan.settings.objectives))


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
    many = list(value) if isinstance(value, (list, tuple)) else [value]
    try:
        values = tuple(float(each) for each in many)
    except (TypeError, ValueError):
        raise TypeError(f"the function must return {expected}, but returned {value!r}") from None
    if len(values) != count or any(isinstance(each, (str, bytes, bool)) for each in many):
        raise TypeError(f"the function must return {expected}, but returned {value!r}")
    if not all(math.isfinite(each) for each in values):
        raise ArithmeticError(f"the objective must be finite, but is {value}")
    return values


def _judge(error: BaseException, trial: ManagedTrial) -> Outcome:
    if trial.stopped is not None:
        return Outcome.interrupted(trial.stopped)
    if _is_optunas_pruned(error):
        return Outcome.pruned(_path(trial.checkpoint))
    if isinstance(error, Interrupted):  # the trial was told by a signal, and not by the sweep
        return Outcome.failed(f"stopped by {error}, which was sent to its worker alone")
    print(redact("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201 # its log
    if isinstance(error, SystemExit):
        return Outcome.failed(f"the function called sys.exit({error.code!r})")
    if isinstance(error, InputError):
        return Outcome.failed(redact(str(error)))
    cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
    return Outcome.failed(redact(error_text(cause)))


def _is_optunas_pruned(error: BaseException) -> bool:
    optuna = sys.modules.get("optuna")  # raised here only if the function imported it
    return optuna is not None and isinstance(error, optuna.TrialPruned)


def _path(checkpoint: Path | str | None) -> str | None:
    return None if checkpoint is None else str(checkpoint)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send what the process prints, from Python or below it, to a file."""
    saved = [(stream, os.dup(stream.fileno())) for stream in (sys.__stdout__, sys.__stderr__)]  # pyright: ignore[reportOptionalMemberAccess]
    with path.open("ab") as file:
        for stream, _ in saved:
            os.dup2(file.fileno(), stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
    try:
        yield
    finally:
        for stream, descriptor in saved:
            stream.flush()  # pyright: ignore[reportOptionalMemberAccess]
            os.dup2(descriptor, stream.fileno())  # pyright: ignore[reportOptionalMemberAccess]
            os.close(descriptor)


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
