"""Trials trained together in one worker: what a task has to offer for it.

``hydra.sweeper.slots=16`` lets each worker have sixteen trials at once, and
``hydra.sweeper.fused`` names the module, or any other object, that trains them: a
:class:`FusedForm`. sinesweep's own is :mod:`sinesweep.fused.reference`.

The worker calls it in rounds. A round is as much training as it takes until trials may be pruned,
finish, or be joined by others: an epoch of each, as a rule. In it each trial reports through its
own handle, as it would alone::

    def advance(self):
        ended = {}
        for run in self._train_an_epoch_of_all():
            try:
                run.trial.report(run.loss, step=run.epoch)
                if run.trial.should_prune():
                    raise sinesweep.TrialPruned
                if run.epoch == run.epochs:
                    ended[run.trial.number] = run.loss
            except BaseException as error:  # it costs this trial alone; a stop is no Exception
                ended[run.trial.number] = error
        return ended

A form that trains some of them one by one all the same, because that is faster, says so when it
admits them, with ``trial.alone("why")``: in their logs, and once to the user.

It is in the command's folder then, whatever ``hydra.job.chdir`` says, and ``current_trial()`` is
nobody's. What it prints is in ``together.log`` in the sweep's folder. What it raises costs every
trial that it had, and another training is made for those that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from hydra.utils import get_object
from omegaconf import DictConfig

from sinesweep.errors import InputError
from sinesweep.sweep.trial import ManagedTrial
from sinesweep.sweep.wording import one_line


class FusedTraining(Protocol):
    """Trains the trials that it has admitted, with the numbers that each would have alone."""

    def admit(self, config: DictConfig, trial: ManagedTrial, directory: Path) -> None:
        """Take a trial in; it takes part from the next round on.

        Args:
            config: what the function would be called with.
            trial: its handle.
            directory: for its files: the trial's folder, or one in it for a further seed.

        Raises:
            Exception: the trial fails with it, and the others go on.
        """

    def advance(self) -> Mapping[int, Any]:
        """Train a round.

        Returns:
            What became of the trials that have ended with it, by number: what the function would
            return, or the exception that it would raise.
        """
        ...


class FusedForm(Protocol):
    """What ``hydra.sweeper.fused`` names. It is imported before the sweep begins: keep it light.

    It may have two sequences of strings, too: ``preload``, the modules that ``make`` imports, so
    that workers share them; and ``overrides``, which every trial of a sweep with slots gets, so
    that a trial says how it was trained, and running it again can give the same numbers.
    """

    def refusal(self, config: DictConfig) -> str | None:
        """Return why a configuration cannot be trained together with others, or None.

        Such a trial is run alone between two rounds, in which the clocks of the others stand still,
        or, with ``hydra.sweeper.unfused=refuse``, the sweep is refused before trial 0. The ends of
        ranges and each choice are looked at then; a trial that turns out to be such a one fails.

        Raises:
            InputError: the configuration is wrong.
        """
        ...

    def make(self) -> FusedTraining:
        """Return a training, empty; called in each worker that has a trial for it."""
        ...


def overrides_of(name: str) -> Sequence[str]:
    """Return the overrides that a form gives to trials; see :class:`FusedForm`."""
    return getattr(find_form(name), "overrides", ())


def find_form(name: str) -> FusedForm:
    """Return the form that a dotted name stands for.

    Raises:
        InputError: there is none.
    """
    try:
        found = get_object(name)
    except Exception as error:  # importing a user's module may fail in any way
        raise InputError(
            "hydra.sweeper.fused: must name a module with refusal(config) and make(), but "
            f"{name} cannot be imported ({one_line(str(error.__cause__ or error))})"
        ) from error
    missing = [each for each in ("refusal", "make") if not callable(getattr(found, each, None))]
    if missing:
        raise InputError(
            "hydra.sweeper.fused: must name a module with refusal(config) and make(), but "
            f"{name} has no {missing[0]}"
        )
    return cast("FusedForm", found)
