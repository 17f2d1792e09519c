"""What a study does not keep: the sampler's place, who takes part in the sweep, whose turn it is.

A sweep that one process runs at a time has a ledger in its folder, where nobody else takes part.
A study in PostgreSQL may be run by several: see :mod:`sinesweep.sweep.joint_ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sinesweep.files import write_atomically

_T = TypeVar("_T")

PLACE_FILE = "sampler.pickle"


class TurnLost(Exception):  # noqa: N818 # an event, not a fault
    """Another participant may have had the turn meanwhile: what was done in it is to be redone."""


class Ledger:
    """The ledger of a sweep that one process runs at a time.

    Args:
        folder: the sweep's.

    Attributes:
        participant: who takes part here, as trials name it, or None where nobody else can.
        token: by which the sweep's runs are found in the tracker, or None where its record knows.
        place: the file of the sampler's state.
        is_stale: whether another participant has saved the sampler's place since it was read here.
    """

    participant: str | None = None
    token: str | None = None
    is_stale: bool = False
    place: Path = Path("the sampler's state in the study's database")

    def __init__(self, folder: Path) -> None:
        self.place = folder / PLACE_FILE

    @property
    def is_shared(self) -> bool:
        """Whether others may take part."""
        return self.participant is not None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let nobody else propose, close what others left, or open the sweep, meanwhile.

        Raises:
            TurnLost: it was not ours to the end.
            Interrupted: the process was asked to stop while it waited.
        """
        yield

    def hold(self) -> None:
        """See that the turn is still ours.

        Raises:
            TurnLost: it is not.
        """

    def load_place(self) -> bytes | None:
        """Return what was last saved as the sampler's place."""
        return self.place.read_bytes() if self.place.exists() else None

    def save_place(self, content: bytes) -> None:
        """Keep the sampler's place, whole or not at all.

        Raises:
            TurnLost: the turn is not ours any more, and nothing was saved.
        """
        write_atomically(self.place, content)

    def gone(self, participants: Collection[str]) -> set[str]:  # noqa: ARG002 # there are none
        """Return those that take part no more, so that their trials are nobody's."""
        return set()

    def stay(self) -> None:
        """See that others can tell that this one takes part, whatever became of a connection.

        Raises:
            Interrupted: the process was asked to stop while it waited.
        """

    def withdraw(self) -> None:
        """Take part no more where nothing was begun that is to be closed; nobody is waited for."""

    def depart(self, close: Callable[[bool], object]) -> None:
        """Take part no more.

        Args:
            close: closes what the participants have in common, or only what is this one's; told,
                in a turn, whether nobody else takes part.
        """
        close(True)

    def close(self) -> None:
        """Let go of what the ledger is kept in."""

    def in_turn(self, call: Callable[[], _T]) -> _T:
        """Return what a call returns that was made in one turn; it is made again until it was."""
        while True:
            with suppress(TurnLost), self.turn():
                return call()
