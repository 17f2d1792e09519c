"""A sweep as its folder has it: read without continuing it, even while it is being run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sinesweep.command_line import DEFAULT_INTERPRETER
from sinesweep.errors import InputError
from sinesweep.files import read_json, take_lock, write_atomically
from sinesweep.redaction import HIDDEN, add_rules
from sinesweep.runs import ROOT_ID_FILE
from sinesweep.sweep import requirements, space
from sinesweep.sweep.entry import DROPPED, INTERRUPTED, RUNNING, Entry
from sinesweep.sweep.plan import DEFINITION_FILE, JOINED, SWEEP_LOCK, other_name, read_definition
from sinesweep.sweep.rerun import SweepCommand
from sinesweep.sweep.results import TRIALS_FILE

STATE_FILE = "state.json"
SWEEPS = "sweeps"  # in a root: the folder of its sweeps


@dataclass(frozen=True)
class Tracking:
    """Where a sweep is recorded.

    Attributes:
        root: the folder, when the sweep began.
        root_key: the key of the configuration that names it.
        uri: the tracker's address without credentials, or None for the database in the folder.
    """

    root: str
    root_key: str
    uri: str | None


@dataclass(frozen=True)
class Archive:
    """What is known of a sweep.

    Attributes:
        folder: the sweep's.
        name: the study's.
        definition: what makes it the same sweep: ``space``, ``config``, ``repeats`` and more.
        directions: ``minimize`` or ``maximize`` for each objective.
        objectives: what each value is called; a metric's name where it is one.
        command: the command that began it, without credentials.
        directory: where that was typed.
        fixed: the overrides that every trial got, without credentials.
        seed_key: the key that repeats change.
        storage: where the study is kept, or None for the journal in the folder.
        question: what the sweep's file says at its top that it asks, or None.
        tracking: where it is recorded, or None if it is not.
    """

    folder: Path
    name: str
    definition: Mapping[str, Any]
    directions: Sequence[str]
    objectives: Sequence[str]
    command: SweepCommand
    directory: Path
    fixed: Sequence[str]
    seed_key: str
    storage: str | None
    question: str | None
    tracking: Tracking | None = None

    @property
    def root(self) -> Path | None:
        """The folder that the sweep is recorded in now: it may have been moved with its sweeps."""
        around = self.folder.absolute().parent.parent
        if (around / ROOT_ID_FILE).exists() and self.folder.absolute().parent.name == SWEEPS:
            return around
        return Path(self.tracking.root) if self.tracking else None

    @cached_property
    def entries(self) -> list[Entry]:
        """Every trial that began, by number, as the study has it now.

        Raises:
            InputError: the study's storage does not answer.
        """
        return self.entries_of(self.study.get_trials(deepcopy=False))

    def entries_of(self, trials: Iterable[Any]) -> list[Entry]:
        """Return those of Optuna's trials that began, as the rest of the sweep reads them."""
        from sinesweep.sweep.marks import to_entry

        entries = [to_entry(trial, self.folder, self._space) for trial in trials]
        return [entry for entry in entries if entry.outcome != DROPPED]

    @cached_property
    def study(self) -> Any:
        """The :class:`optuna.Study`; nothing may be told to it.

        Raises:
            InputError: its storage does not answer, or has no such study.
        """
        requirements.check_optuna()
        import optuna

        from sinesweep.sweep.storage import JOURNAL_FILE, open_storage

        if HIDDEN in (self.storage or ""):
            raise InputError(
                f"sweep {self.name}: its study's address must be known, but {self.storage} holds a "
                f"password, which no file keeps: read {self.folder / TRIALS_FILE} instead"
            )
        try:
            if self.storage is None and not (self.folder / JOURNAL_FILE).exists():
                raise KeyError  # opening would create it
            storage = open_storage(self.storage, self.folder, read_only=True)
            return optuna.load_study(study_name=self.name, storage=storage)
        except KeyError:
            raise InputError(f"sweep {self.name}: must have a study, but {self._loss}") from None

    @property
    def _loss(self) -> str:
        """Describe the loss of a sweep without a study, and the remedy."""
        if not any(self.folder.glob("trials/*")):
            return f"has none yet: the command that began it begins it again: {self.command.text}"
        from sinesweep.sweep.storage import JOURNAL_FILE

        place = self.storage or self.folder / JOURNAL_FILE
        return (
            f"{place} has lost it: bring the study back, or begin another sweep with "
            f"{other_name(self.name)}; the results are in {self.folder / TRIALS_FILE}"
        )

    @property
    def state(self) -> str:
        """RUNNING, or how its last command ended: COMPLETE, FAIL or INTERRUPTED."""
        if self.held_lock is not None:
            return RUNNING
        state = _saved_state(self.folder).get("state", INTERRUPTED)
        return INTERRUPTED if state == RUNNING else state  # it was killed

    @property
    def held_lock(self) -> Path | None:
        """The lock of a process of this machine that runs the sweep, or None."""
        joined = sorted(self.folder.glob(f"{JOINED}/*/{SWEEP_LOCK}"))
        return next((each for each in [self.folder / SWEEP_LOCK, *joined] if _is_held(each)), None)

    @property
    def total(self) -> int | None:
        """How many trials its last command was for, or None where another budget ends it."""
        return _saved_state(self.folder).get("total")

    @property
    def dimensions(self) -> Mapping[str, space.Dimension]:
        """What is searched: override key to dimension, in order."""
        return self._space.dimensions

    @cached_property
    def _space(self) -> space.Space:
        return space.read(self.definition["space"], self.fixed)


def read(folder: Path) -> Archive:
    """Read a sweep from its folder, which has a ``sweep.yaml``.

    Raises:
        InputError: the file is not as this version writes it.
    """
    try:
        return _read(folder)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder / DEFINITION_FILE}: must be what this version writes of a sweep, but is not "
            f"({error!r}): no trial is lost; delete the file and repeat the command that began the "
            "sweep, which writes it again"
        ) from error


def _read(folder: Path) -> Archive:
    content = read_definition(folder / DEFINITION_FILE)
    definition, command = content["definition"], content["command"]
    add_rules(**content.get("redaction", {}))
    return Archive(
        folder=folder,
        name=content["study"]["name"],
        definition=definition,
        directions=definition["objectives"],
        objectives=content["values"],
        command=SweepCommand(
            command["arguments"],
            command.get("interpreter", DEFAULT_INTERPRETER),
            command.get("single", ()),
        ),
        directory=Path(command["directory"]),
        fixed=command["fixed"],
        seed_key=command.get("seed_key", "seed"),
        storage=content["study"]["storage"],
        question=content.get("question"),
        tracking=Tracking(**content["tracking"]) if content.get("tracking") else None,
    )


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders of all sweeps of a root, by name.

    They are in its ``sweeps``, beside its ``runs``; or in itself, where it is what an application
    of the user's own calls ``hydra.sweeper.root``.
    """
    found = (path.parent for each in (SWEEPS, "") for path in _definitions(root / each))
    yield from sorted(found, key=lambda folder: folder.name)


def _definitions(folder: Path) -> Iterator[Path]:
    return folder.glob(f"*/{DEFINITION_FILE}")


def find(root: Path, name: str) -> Archive:
    """Find a sweep by its name, the unique beginning of one, or its folder's path.

    Raises:
        InputError: there is none, or more than one.
    """
    if (Path(name) / DEFINITION_FILE).exists():
        return read(Path(name))
    known = {folder.name: folder for folder in folders(root)}
    found = [name] if name in known else [each for each in known if each.startswith(name)]
    if len(found) == 1:
        return read(known[found[0]])
    if found:
        raise InputError(f"sweep {name!r}: must name one sweep, but begins {', '.join(found)}")
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"sweep {name!r}: there is no such sweep under {root}{hint}")


def save_state(folder: Path, state: str, total: int | None) -> None:
    """Write how the sweep's command goes, for whoever asks later.

    Args:
        folder: the sweep's, whose lock the caller has.
        state: RUNNING, COMPLETE, FAIL or INTERRUPTED.
        total: how many trials it is for, or None.
    """
    content = json.dumps({"state": state, "total": total})
    write_atomically(folder / STATE_FILE, content.encode())


def _saved_state(folder: Path) -> dict[str, Any]:
    loss = "how its last command ended is not known; the next command writes it again"
    return read_json(folder / STATE_FILE, loss) or {}


def _is_held(path: Path) -> bool:
    lock = take_lock(path)
    if lock is None:
        return True
    lock.close()
    return False
