"""What to say of a parameter of which one value alone was completed: nothing can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sinesweep.report.subject import Subject, Trial
from sinesweep.sweep.entry import RUNNING
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import brief, counted

_MOST_NAMED = 8  # values that are named one by one
_WORDS = {**COUNTED, RUNNING: "running"}


def only_completed(subject: Subject, key: str) -> str | None:
    """Say that one value alone of a parameter was completed, and what became of the others.

    Args:
        subject: the sweep.
        key: of a parameter that had more than one value.

    Returns:
        A sentence, or None where several values were completed, or none was.
    """
    done = [trial for trial in subject.completed if key in trial.params]
    values = {repr(trial.params[key]) for trial in done}
    if len(values) != 1:
        return None
    sentence = (
        f"Only {key}={brief(done[0].params[key])} was completed ({counted(len(done), 'trial')})"
    )
    others: dict[str, list[Trial]] = {}
    for value in subject.values_of(key):
        if repr(value) not in values:
            with_key = (trial for trial in subject.trials if key in trial.params)
            same = [trial for trial in with_key if repr(trial.params[key]) == repr(value)]
            others.setdefault(f"{key}={brief(value)}", []).extend(same)
    if not others:
        return f"{sentence}."
    if len(others) > _MOST_NAMED:
        rest = [trial for trials in others.values() for trial in trials]
        return f"{sentence}; {len(others)} other values were tried in {_became(rest)}."
    told = [f"{words} was tried in {_became(trials)}" for words, trials in others.items()]
    return f"{sentence}; {', '.join(told)}."


def _became(trials: Sequence[Trial]) -> str:
    """Return ``7 trials (6 pruned, 1 failed)``."""
    outcomes = Counter(trial.entry.outcome for trial in trials)
    parts = [f"{outcomes[o]} {_WORDS[o]}" for o in _WORDS if outcomes[o]]
    return f"{counted(len(trials), 'trial')} ({', '.join(parts)})"
