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
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sinesweep.errors import Interrupted
from sinesweep.sweep.channel import Channel
from sinesweep.sweep.messages import Alone, Held, IsAmongBest, MayBePruned, Report


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

        A trial that was answered yes is PRUNED, whatever its function returns afterwards.

        Raises:
            Interrupted: the sweep is being stopped; let it pass.
        """
        return False

    def set_constraint(self, key: str, value: float) -> None:
        """Set the value of a constraint, as :meth:`optuna.trial.Trial.set_constraint` does.

        A trial is feasible if all of its constraints are 0 or less. The best trial of a sweep is
        the best feasible one, and Optuna's samplers learn from the values. With ``repeats`` a
        constraint's value is the mean over the seeds that set it.

        Args:
            key: the constraint's name.
            value: finite; the first value that is set counts.

        Raises:
            TypeError: the key is no text, or the value is no number.
            ValueError: the key is empty, or the value is not finite.
        """
        _constraint(key, value)

    def leave_if_stopped(self) -> None:
        """End the trial if the sweep is being stopped, where there is nothing to be reported.

        Raises:
            Interrupted: it is; let it pass.
        """

    def report_and_ask(self, value: float | None, step: int) -> bool:
        """Report an intermediate value; return whether the sweep's pruner gives the trial up.

        Args:
            value: as :meth:`report` takes it, or None where there is none before the trial's end.
            step: as :meth:`report` takes it.

        Raises:
            Interrupted: the sweep is being stopped; let it pass.
        """
        if value is None:
            self.leave_if_stopped()
            return False
        self.report(value, step)
        return self.should_prune()

    def is_among_best(self, value: float, count: int) -> bool:  # noqa: ARG002 # alone, it is
        """Whether a value would be among the best that the sweep's trials have come to so far.

        What takes longer to make than it is worth for most trials, such as figures, can be made
        for those alone. The best in the end were among the best when they ended.

        Args:
            value: what the trial comes to; of several objectives, the first.
            count: how many are the best.
        """
        return True


class ManagedTrial(Trial):
    """A trial of a sweep, which talks to the sweep's controller.

    Args:
        number: the trial's number.
        overrides: what makes its configuration.
        directory: its folder.
        tags: by which the tracker finds its run.
        channel: to the controller.
        on_report: told each reported value with its step.

    Attributes:
        stopped: why the sweep has stopped the trial, or None.
        listens: whether reports go to the pruner.
        is_pruned: whether the pruner has answered that the trial is to be pruned.
        constraints: name to value of what was set under the present seed.
    """

    def __init__(
        self,
        number: int,
        overrides: Sequence[str],
        directory: Path,
        tags: Mapping[str, Any],
        channel: Channel,
        on_report: Callable[[float, int], None],
    ) -> None:
        super().__init__(number, overrides, directory)
        self.tags = tags
        self.number: int = number
        self._channel = channel
        self._on_report = on_report
        self.stopped: str | None = None
        self.listens = True
        self.is_pruned = False
        self.constraints: dict[str, float] = {}

    def report(self, value: float, step: int) -> None:
        """Report an intermediate value of the objective; see :meth:`Trial.report`."""
        number = float(value)
        if step < 0:
            raise ValueError(f"step >= 0 must hold, but step is {step}")
        self.leave_if_stopped()
        if math.isfinite(number) and self.listens:
            self._on_report(number, int(step))
            self._channel.send(Report(self.number, number, int(step)))

    def should_prune(self) -> bool:
        """Whether the sweep's pruner has given the trial up; see :meth:`Trial.should_prune`."""
        self.leave_if_stopped()
        if not self.listens:
            return False
        # The answer is final: a pruner asked again at a later step may decide otherwise.
        self.is_pruned = self.is_pruned or self._channel.ask(MayBePruned(self.number))
        self.leave_if_stopped()
        return self.is_pruned

    def set_constraint(self, key: str, value: float) -> None:
        """Set the value of a constraint; see :meth:`Trial.set_constraint`."""
        number = _constraint(key, value)
        if key in self.constraints:
            text = f"constraint {key!r} is {self.constraints[key]} already: {number} is ignored"
            warnings.warn(text, stacklevel=2)
        self.constraints.setdefault(key, number)

    def is_among_best(self, value: float, count: int) -> bool:
        """Ask the sweep; see :meth:`Trial.is_among_best`."""
        return self._channel.ask(IsAmongBest(self.number, float(value), count))

    def alone(self, reason: str) -> None:
        """Say that it is not trained together with those that share its worker, and why."""
        print(f"trained alone: {reason}")  # noqa: T201 # its log
        self._channel.send(Alone(self.number, reason))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Have the clocks of those that share its worker stand still: they wait for it."""
        self._channel.send(Held(self.number, True))
        try:
            yield
        finally:
            self._channel.send(Held(self.number, False))

    def leave_if_stopped(self) -> None:
        """End the trial if the sweep is being stopped; see :meth:`Trial.leave_if_stopped`."""
        self.stopped = self.stopped or self._channel.stopped(self.number)
        if self.stopped is not None:
            raise Interrupted(self.stopped)


def _constraint(key: str, value: float) -> float:
    """Return the value of a constraint as a number."""
    if not isinstance(key, str):
        raise TypeError(f"constraint: its name must be a text, but is {key!r}")
    if not key:
        raise ValueError("constraint: its name must not be empty")
    try:
        number = None if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"constraint {key!r}: must be a number, but is {value!r}")
    if not math.isfinite(number):
        raise ValueError(f"constraint {key!r}: must be finite, but is {number}")
    return number


_DETACHED = Trial()
_current: Trial = _DETACHED


def current_trial() -> Trial:
    """Return the handle of the trial that this process is running."""
    return _current


def set_current(trial: Trial | None) -> None:
    """Make a trial the one that :func:`current_trial` returns; None for none."""
    global _current  # one worker process runs one trial
    _current = trial or _DETACHED
