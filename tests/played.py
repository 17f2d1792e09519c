"""A sweep's controller, played by a test."""

from __future__ import annotations

from sinesweep.sweep.messages import Question, Report, Stop, Verdict


class Controller:
    """The other end of a trial's connection.

    Args:
        answers: to the trial's questions, in their order; after them it may always go on.
    """

    def __init__(self, *answers: Verdict | Stop) -> None:
        self._answers = list(answers)
        self.reports: list[tuple[int, float]] = []

    def send(self, message: Report | Question) -> None:
        """Take a message of the trial."""
        if isinstance(message, Report):
            self.reports.append((message.step, message.value))

    def poll(self) -> bool:
        """Nothing is sent that was not asked for."""
        return False

    def recv(self) -> Verdict | Stop:
        """Answer."""
        return self._answers.pop(0) if self._answers else Verdict(prune=False)
