"""What ``audit`` and ``sync`` send: whatever of a record the tracker was not told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sinesweep import runs
from sinesweep.commands.finding import Finding
from sinesweep.files import take_lock, warn_of_damage
from sinesweep.sweep.plan import DEFINITION_FILE, JOINED, SWEEP_LOCK
from sinesweep.tracking import record
from sinesweep.tracking.location import Location, limit_waiting, silence, sqlite_uri

if TYPE_CHECKING:
    from sinesweep.tracking.connection import Connection
    from sinesweep.tracking.delivery import Delivery
    from sinesweep.tracking.sweep_delivery import SweepDelivery

    Open = Callable[[Path, Location], Delivery | SweepDelivery]


def sweep_folders(root: Path) -> list[Path]:
    """Return the folders of all sweeps recorded with a root, each participant's own among them."""
    inside = [path for each in ("*", f"*/{JOINED}/*") for path in (root / "sweeps").glob(each)]
    folders = [*sorted(inside), *runs.sweeps_elsewhere(root)]
    files = (SWEEP_LOCK, record.FILE_NAME)
    return [folder for folder in folders if any((folder / name).exists() for name in files)]


def shown(folder: Path, root: Path) -> str:
    """Return what a sweep's folder is called: its name, with the sweep's where it joined that."""
    sweeps = root / "sweeps"
    return str(folder.relative_to(sweeps)) if folder.is_relative_to(sweeps) else folder.name


class Sender:
    """Sends records to a tracker, each from where the last delivery of it stopped.

    Args:
        location: the tracker; once it does not answer any more, nothing else is tried.
    """

    def __init__(self, location: Location) -> None:
        limit_waiting()
        self._location = location
        self._silence = silence(location)
        self._connection: Connection | None = None

    def run(self, folder: Path) -> Iterator[Finding]:
        """Send a run's record, unless another process is about it; yield what came of it."""
        from sinesweep.tracking.delivery import Delivery

        if _is_tracked(folder):
            yield from self._send(folder, Delivery)

    def sweep(self, folder: Path) -> Iterator[Finding]:
        """Send a sweep's record and its trials', as :meth:`run` does."""
        from sinesweep.tracking.sweep_delivery import SweepDelivery

        if (folder / record.FILE_NAME).exists():
            yield from self._send(folder, SweepDelivery)

    def _send(self, folder: Path, delivery: Open) -> Iterator[Finding]:
        from sinesweep.sweep.wording import counted
        from sinesweep.tracking.delivery import LOCK_FILE, unsent

        to_go = unsent(folder)
        if not to_go and not self._is_lost(folder):
            return
        lock = take_lock(folder / LOCK_FILE)
        if lock is None:
            yield Finding("its writer is still sending")
            return
        with lock:
            try:
                run_id = self._pump(folder, delivery)
                if _refresh_tables(folder):
                    self._pump(folder, delivery)
            except Exception as error:  # noqa: BLE001 # what comes after it may still be sent
                self._silence = silence(self._location)
                left = unsent(folder)
                text = f"not all could be sent to the tracker, {left} to go ({error})"
                yield Finding(text, remains=True, unsent=left)
            else:
                what = counted(to_go, "event") if to_go else "all, since its run was lost"
                yield Finding(f"sent to the tracker as run {run_id}: {what}")

    def _is_lost(self, folder: Path) -> bool:
        """Whether the tracker that a record was sent to does not have the run any more."""
        state = record.delivery_state(folder)
        if self._silence or not state.get("run_id"):
            return False
        is_ours = state.get("tracker") in (None, self._location.digest)
        if not is_ours and not _was_moved(folder, state, self._location):
            return False  # it was sent to another tracker
        if not self._location.exists:
            return True
        from sinesweep.tracking.connection import Connection

        self._connection = self._connection or Connection(self._location)
        return self._connection.stage(state["run_id"]) is None

    def _pump(self, folder: Path, delivery: Open) -> str | None:
        if self._silence:
            raise ConnectionError(f"the tracker does not answer: {self._silence}")
        opened = delivery(folder, self._location)
        try:
            opened.pump()
        except Exception:
            if silence(self._location) is None:
                opened.pump(skip_files=True)  # a lost file must not keep an end from being told
            raise
        return opened.run_id


def _was_moved(folder: Path, state: Mapping[str, Any], location: Location) -> bool:
    """Whether a record was sent to this database at the path that its folder had before.

    A database in the root moves with the records in the root. Only the digest of the old path is
    kept. The root is one of the folders around the run's artifacts.

    Args:
        folder: the record's.
        state: how far it was sent.
        location: the tracker.
    """
    database = location.database
    if database is None or not folder.absolute().is_relative_to(database.absolute().parent):
        return False
    artifacts = Path(unquote(urlsplit(state.get("artifacts") or "").path))
    places = (parent / database.name for parent in artifacts.parents)
    return any(Location(sqlite_uri(path), None).digest == state["tracker"] for path in places)


def _refresh_tables(folder: Path) -> bool:
    """Write new run ids into a sweep's tables; tell whether that is to be sent, too."""
    if not (folder / DEFINITION_FILE).exists():
        return False
    from sinesweep.sweep.results import update_run_ids
    from sinesweep.tracking.sweep_record import SweepRecord

    changed = update_run_ids(folder)
    for path in changed:
        SweepRecord(folder).log_artifact(path)
    return bool(changed)


def _is_tracked(folder: Path) -> bool:
    import yaml
    from omegaconf import OmegaConf

    try:
        config = OmegaConf.load(folder / runs.CONFIG_FILE)
    except (OSError, ValueError, yaml.YAMLError) as error:
        consequence = "the run counts as tracked if something of it was sent"
        warn_of_damage(folder / runs.CONFIG_FILE, str(error), consequence)
        return (folder / record.STATE_FILE).exists()
    return OmegaConf.select(config, "tracking.backend") == "mlflow"
