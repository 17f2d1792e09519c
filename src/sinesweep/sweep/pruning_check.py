"""Check that the trials of a sweep report values that its pruner can use."""

from __future__ import annotations

from dataclasses import dataclass, field

from sinesweep.sweep.entry import COMPLETE
from sinesweep.sweep.wording import counted

_FIX = (
    "report one value for each step with sinesweep.current_trial().report(value, step=...) and ask "
    "should_prune() after it, or choose an objective that is logged each epoch, or say "
    "hydra/sweeper/pruner=none"
)


@dataclass
class _Reports:
    """What a running trial has told.

    Attributes:
        steps: the steps that it has reported a value for.
        repeated: how many values it has reported for a step that had one.
        has_asked: whether it has asked if it is to be pruned.
    """

    steps: set[int] = field(default_factory=set)
    repeated: int = 0
    has_asked: bool = False

    @property
    def problem(self) -> str | None:
        """Say why the pruner could not decide, or only on one value, or None if it could."""
        if not self.steps:
            return "without reporting a finite value"
        if not self.has_asked:
            return "without asking should_prune()"
        if self.repeated and len(self.steps) == 1:
            (step,) = self.steps
            told = counted(self.repeated + 1, "value")
            return f"with {told} for step {step} alone, of which the first counts"
        return None


class PruningCheck:
    """Finds trials that complete and gave the pruner too little to decide on.

    Args:
        pruner: the class of the sweep's pruner, as it is configured.
    """

    def __init__(self, pruner: str) -> None:
        self._name = pruner.rpartition(".")[2]
        self._is_needed = self._name != "NopPruner"
        self._running: dict[int, _Reports] = {}
        self._completed = 0
        self._first: str | None = None  # what is said of the first trial that gave it too little
        self._count = 0  # how many there are
        self._is_told = False

    def begin(self, number: int) -> None:
        """Take the beginning of a trial that is run here."""
        self._running[number] = _Reports()

    def report(self, number: int, step: int) -> bool:
        """Take a report; return whether it is the first one of its step."""
        reports = self._running[number]
        if step in reports.steps:
            reports.repeated += 1
            return False
        reports.steps.add(step)
        return True

    def ask(self, number: int) -> None:
        """Take a trial's question."""
        self._running[number].has_asked = True

    def end(self, number: int, outcome: str) -> None:
        """Take the end of a trial."""
        reports = self._running.pop(number, None)
        if reports is None or outcome != COMPLETE or not self._is_needed:
            return
        self._completed += 1
        if problem := reports.problem:
            self._count += 1
            self._first = self._first or f"trial {number} completed {problem}"

    def new_notice(self) -> str | None:
        """Return what the user should know, once."""
        if self._first is None or self._is_told:
            return None
        self._is_told = True
        return f"{self._name} has too little to decide on: {self._first}: {_FIX}"

    @property
    def summary(self) -> str | None:
        """What to say at the end of the trials that gave it too little, or None if none did."""
        if self._first is None:
            return None
        trials = counted(self._completed, "completed trial")
        return f"{self._count} of {trials} gave the pruner too little to decide on: {self._first}"
