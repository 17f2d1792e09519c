"""The writer process: sends one run's record to MLflow while the run goes on.

It is started by :mod:`sinesweep.tracking.writer_process` with the run's folder as its argument and
the tracker's address in the environment. Its standard input is a pipe from the run: when that
closes and the record has no end, the run's process has died, and the writer says so to the tracker.
A line in the pipe asks it to send at once and to answer when it has.

With a sweep's folder it sends the records of all the sweep's trials, too. What becomes of trials
when the sweep's process has died is for the study to say, once the sweep is continued or audited;
the writer sends what there is, and ends.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.files import take_lock
from sinesweep.redaction import redact
from sinesweep.tracking import record
from sinesweep.tracking.location import Location, silence

if TYPE_CHECKING:
    from sinesweep.tracking.delivery import Delivery
    from sinesweep.tracking.sweep_delivery import SweepDelivery

URI_VARIABLE = "SINESWEEP_TRACKING_URI"
ARTIFACTS_VARIABLE = "SINESWEEP_TRACKING_ARTIFACTS"

OF_A_SWEEP = "--of-a-sweep"
FLUSH = "\n"

DELIVERED = 0
NOT_DELIVERED = 3

_TO_THE_RUN = 1  # file descriptor of the standard output that the process was started with

_POLL = 1.0  # seconds between looks at the record: each costs the training's neighbour core
_SHARE = 0.05  # of a core, for sending the records of many trials at once
_LONGEST_POLL = 10.0  # seconds: what a sweep has done is seen so late at most
_START_POLL = 0.02  # while the run waits for its id
_LONGEST_PAUSE = 5.0  # seconds between tries while the tracker does not answer
# Seconds of trying after the run has ended; a call that hangs can make it a minute. A tracker that
# takes what it is sent gets all of it, however long that takes.
_PATIENCE = 15.0
_FLUSH_PATIENCE = 5.0  # seconds of trying while the run waits for it
_PATIENCE_WITH_ANOTHER = 60.0  # seconds: a killed sweep's writer may have much to send


def main() -> int:
    """Deliver until the run has ended and everything is sent, or patience has."""
    sys.stdout = sys.stderr  # the run listens to standard output, and understands _say alone
    directory = Path(sys.argv[1])
    artifacts = os.environ.get(ARTIFACTS_VARIABLE)
    location = Location(os.environ[URI_VARIABLE], Path(artifacts) if artifacts else None)
    from sinesweep.tracking.delivery import LOCK_FILE, Delivery
    from sinesweep.tracking.sweep_delivery import SweepDelivery

    of_a_sweep = OF_A_SWEEP in sys.argv
    lock = take_lock(directory / LOCK_FILE, patience=_PATIENCE_WITH_ANOTHER)
    if lock is None:
        return _refuse("another process is sending this run's record")
    # An existing tracker is opened while the run imports torch; a new database is not made before
    # the run has begun.
    while not (location.exists or (directory / record.FILE_NAME).exists()):
        if _run_is_gone(_START_POLL):
            return DELIVERED
    try:
        delivery = (SweepDelivery if of_a_sweep else Delivery)(directory, location)
        delivery.check_run()
        while not delivery.run_id and not _run_is_gone(_START_POLL):
            delivery.pump()
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        return _refuse(str(error))
    if not delivery.run_id:
        return DELIVERED
    _say(run_id=delivery.run_id)
    return _follow(directory, delivery, location, of_a_sweep=of_a_sweep)


def _follow(
    directory: Path, delivery: Delivery | SweepDelivery, location: Location, *, of_a_sweep: bool
) -> int:
    pause = _POLL
    failure: str | None = None  # what it failed with the last time
    gone_since: float | None = None
    asked: float | None = None  # since when the run waits for its record to be sent
    while True:
        heard = None
        if gone_since is not None:
            time.sleep(pause)
        elif (heard := _hear(pause)) == "":
            gone_since = time.monotonic()
            if not of_a_sweep:  # how a sweep's trials ended its study will say
                close_if_open(directory, "the process died")
        elif heard == FLUSH:
            asked = time.monotonic()
        late = gone_since is not None and time.monotonic() - gone_since > _PATIENCE
        busy = time.process_time()
        try:
            # A tracker that failed is asked first: MLflow's calls hang longer where nobody answers.
            if failure and (cause := silence(location)):
                raise ConnectionError(cause)
            delivery.pump(skip_files=late)
        except Exception as error:  # noqa: BLE001 # whatever the tracker failed with, try again
            failure = _log(redact(f"{type(error).__name__}: {error}"), unless=failure)
            if late:
                return NOT_DELIVERED
            if asked is not None and time.monotonic() - asked > _FLUSH_PATIENCE:
                _say(sent=False)
                asked = None
            # A database that others hold, too, is locked for a moment.
            pause = min(2 * pause, _LONGEST_PAUSE) if asked is None else _POLL
            continue
        failure = None
        if asked is not None:
            _say(sent=not delivery.skipped)
            asked = None
        pause = min(max(_POLL, (time.process_time() - busy) / _SHARE), _LONGEST_POLL)
        # The end alone would not do: it may be an earlier one, of a run that is being continued.
        if gone_since is not None:
            return NOT_DELIVERED if delivery.skipped else DELIVERED


def _log(text: str, unless: str | None) -> str:
    """Write to the log, but not every few seconds the same."""
    if text != unless:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    return text


def close_if_open(directory: Path, cause: str) -> bool:
    """Write the end of a run whose process is gone; tell whether one was missing."""
    if record.last_end(directory):
        return False
    tags = {"sinesweep.state": record.INTERRUPTED, "sinesweep.error": cause}
    record.Record(directory).append("end", status=record.KILLED, tags=tags)
    return True


def _run_is_gone(within: float) -> bool:
    return _hear(within) == ""


def _hear(within: float) -> str | None:
    """Return what the run has said: FLUSH, or "" where it is gone; None where it said nothing."""
    readable, _, _ = select.select([sys.stdin], [], [], within)
    return os.read(sys.stdin.fileno(), 1).decode() if readable else None


def _say(**message: str | bool) -> None:
    # A run that has died in the meantime does not listen; its end is still to be told.
    with suppress(BrokenPipeError):
        os.write(_TO_THE_RUN, json.dumps(message).encode() + b"\n")


def _refuse(cause: str) -> int:
    _say(error=redact(cause))
    return NOT_DELIVERED


if __name__ == "__main__":
    sys.exit(main())
