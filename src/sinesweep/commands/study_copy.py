"""A copy of an Optuna study in one file, wherever the study itself is kept."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial

from sinesweep.redaction import redact_tree
from sinesweep.sweep.archive import Archive
from sinesweep.sweep.journal import Lines, encoded


def copied_journal(archive: Archive, trials: Sequence[FrozenTrial]) -> bytes:
    """Return a journal file of a study, without credentials.

    Args:
        archive: the sweep.
        trials: all trials that its study had at one moment, by number.
    """
    lines = Lines()
    storage = JournalStorage(lines)
    original: optuna.Study = archive.study
    study = optuna.create_study(
        study_name=archive.name, storage=storage, directions=original.directions
    )
    for key, value in original.user_attrs.items():
        study.set_user_attr(key, redact_tree(value, key))
    for trial in trials:
        study.add_trial(_without_credentials(trial))
    return encoded(lines.logs)


def _without_credentials(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.user_attrs = redact_tree(trial.user_attrs)
    shown.system_attrs = redact_tree(trial.system_attrs)
    shown.params = redact_tree(trial.params)
    shown.distributions = {
        key: CategoricalDistribution([redact_tree({key: each})[key] for each in kept.choices])
        if isinstance(kept, CategoricalDistribution)
        else kept
        for key, kept in trial.distributions.items()
    }
    return shown
