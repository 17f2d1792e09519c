"""The trial handle: what a function inside a sweep can ask about itself and report.

Outside of a sweep the handle reports to nobody, so the same function runs either way::

    trial = sinesweep.current_trial()
    for epoch in range(epochs):
        trial.report(loss, step=epoch)
        if trial.should_prune():
            raise sinesweep.TrialPruned
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from sinesweep.errors import Interrupted
from sinesweep.sweep.messages import Question, Report, Stop, Verdict


class TrialPruned(Exception):  # noqa: N818 # Optuna's name for it
    """Raise it to give a trial up as unpromising; it counts as pruned, not as failed."""


class Trial:
    """One evaluation of a function.

    Attributes:
        number: the trial's number in its sweep, or None outside of one.
        overrides: what makes its configuration.
        directory: its folder, or None outside of a sweep.
        checkpoint: the file to list for the trial; set it where the function keeps one.
    """

    def __init__(
        self,
        number: int | None = None,
        overrides: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        self.number = number
        self.overrides = tuple(overrides)
        self.directory = directory
        self.checkpoint: Path | None = None

    @property
    def is_managed(self) -> bool:
        """Whether a sweep runs the trial, and so keeps its state."""
        return self.number is not None

    def report(self, value: float, step: int) -> None:  # nobody listens
        """Report an intermediate value of the objective.

        Args:
            value: finite, or it is passed over; compared with other trials' values of this step.
            step: 0 or more, such as the epoch; the first value of a step counts.

        Raises:
            Interrupted: the sweep is being stopped; let it pass.
        """

    def should_prune(self) -> bool:
        """Whether the sweep's pruner has given the trial up.

        Raises:
            Interrupted: the sweep is being stopped; let it pass.
        """
        return False


class ManagedTrial(Trial):
    """A trial of a sweep, which talks to the sweep's controller.

    Args:
        number: the trial's number.
        overrides: what makes its configuration.
        directory: its folder.
        tags: by which the tracker finds its run.
        connection: to the controller.
        on_report: told each reported value with its step.

    Attributes:
        stopped: why the sweep has stopped the trial, or None.
        listens: whether reports go to the pruner.
    """

    def __init__(
        self,
        number: int,
        overrides: Sequence[str],
        directory: Path,
        tags: Mapping[str, Any],
        connection: Connection,
        on_report: Callable[[float, int], None],
    ) -> None:
        super().__init__(number, overrides, directory)
        self.tags = tags
        self._connection = connection
        self._on_report = on_report
        self.stopped: str | None = None
        self.listens = True

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value of the objective; see :meth:`Trial.report`."""
        number = float(value)
        if step < 0:
            raise ValueError(f"step >= 0 must hold, but step is {step}")
        self._leave_if_stopped()
        if math.isfinite(number) and self.listens:
            self._on_report(number, int(step))
            with _ending_with_the_sweep():
                self._connection.send(Report(number, int(step)))

    def should_prune(self) -> bool:
        """Whether the sweep's pruner has given the trial up; see :meth:`Trial.should_prune`."""
        self._leave_if_stopped()
        if not self.listens:
            return False
        with _ending_with_the_sweep():
            self._connection.send(Question())
            answer = self._connection.recv()
        if isinstance(answer, Verdict):
            return answer.prune
        return self._stop(answer)

    def _leave_if_stopped(self) -> None:
        if self.stopped is not None:
            raise Interrupted(self.stopped)
        with _ending_with_the_sweep():
            message = self._connection.recv() if self._connection.poll() else None
        if message is not None:
            self._stop(message)

    def _stop(self, message: object) -> NoReturn:
        assert isinstance(message, Stop), "nothing else is sent to a worker that runs a trial"
        self.stopped = message.cause
        raise Interrupted(message.cause)


@contextmanager
def _ending_with_the_sweep() -> Iterator[None]:
    """End the process at once where the sweep's has died: that is no failure of the trial."""
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)


_DETACHED = Trial()
_current: Trial = _DETACHED


def current_trial() -> Trial:
    """Return the handle of the trial that this process is running."""
    return _current


def set_current(trial: Trial | None) -> None:
    """Make a trial the one that :func:`current_trial` returns; None for none."""
    global _current  # one worker process runs one trial
    _current = trial or _DETACHED
