"""A sweep's controller, played by a test."""

from __future__ import annotations

from sinesweep.sweep.messages import Alone, Answer, IsAmongBest, MayBePruned, Report, Stop


class Controller:
    """The other end of a trial's connection.

    Args:
        answers: to the trial's questions of pruning, in their order, a Stop before the answer no;
            after them it may always go on.
        best: the answer to whether it is among the best.
    """

    def __init__(self, *answers: bool | Stop, best: bool = True) -> None:
        self._answers = list(answers)
        self._best = best
        self._sent: list[Answer | Stop] = []
        self.reports: list[tuple[int, float]] = []
        self.alone: list[str] = []

    def send(self, message: object) -> None:
        """Take a message of the trial, and answer it."""
        match message:
            case Report(_, value, step):
                self.reports.append((step, value))
            case Alone(_, reason):
                self.alone.append(reason)
            case IsAmongBest(trial):
                self._sent.append(Answer(trial, self._best))
            case MayBePruned(trial):
                answer = self._answers.pop(0) if self._answers else False
                if isinstance(answer, Stop):
                    self._sent.append(answer)
                self._sent.append(Answer(trial, answer is True))
            case _:
                raise TypeError(message)

    def say(self, message: Stop) -> None:
        """Say something unasked."""
        self._sent.append(message)

    def poll(self) -> bool:
        """Whether there is an answer that was not heard yet."""
        return bool(self._sent)

    def recv(self) -> Answer | Stop:
        """Say the next one."""
        return self._sent.pop(0)
