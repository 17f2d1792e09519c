"""Which trials are to blame where a worker has ended, and what that makes of each of its trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sinesweep.sweep.nursery import Exit
from sinesweep.sweep.outcome import Outcome

_WITH_THE_SWEEPS = "its worker died with the sweep's"


@dataclass(frozen=True)
class Verdict:
    """What a worker's end means for the trials that it had.

    Attributes:
        outcomes: what has become of each, by number, where it has not said so itself.
        suspects: those that may have done it: if they are run again, then one at a time.
    """

    outcomes: Mapping[int, Outcome]
    suspects: Collection[int]


def judge(exit_: Exit | None, trials: Collection[int], holder: int | None) -> Verdict:
    """Find out who is to blame for the end of a worker.

    Where its machine is gone, nobody: its trials fail, each as if it had been there for itself,
    and are run again as ``retries`` says, lest one that takes machines with it runs for ever. A
    trial that was being trained for itself has done it, and the others only waited for it. Of
    several that were trained together nobody knows: all are run again, one at a time, so that
    whichever did it fails, and the others do not.

    Args:
        exit_: how it ended; None: with the process that had started it, which is no trial's doing.
        trials: those that it had, by number.
        holder: the one that the others waited for, if there was one.
    """
    if exit_ is None:
        return Verdict(dict.fromkeys(trials, Outcome.interrupted(_WITH_THE_SWEEPS)), ())
    failed = Outcome.failed(exit_.cause)
    if exit_.is_innocent:
        return Verdict(dict.fromkeys(trials, failed), ())
    if holder is not None and holder in trials:
        waited = Outcome.interrupted(f"it waited for trial {holder} when {exit_.cause}")
        return Verdict({**dict.fromkeys(trials, waited), holder: failed}, (holder,))
    if len(trials) == 1:
        return Verdict(dict.fromkeys(trials, failed), trials)
    return Verdict(dict.fromkeys(trials, Outcome.interrupted(exit_.cause)), trials)
