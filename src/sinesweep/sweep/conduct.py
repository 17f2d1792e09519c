"""One conducted sweep: study, tracker, screen and tables around the control loop."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sinesweep import runs
from sinesweep.errors import EXIT_DONE, InputError, Interrupted, SweepFailed
from sinesweep.files import take_lock
from sinesweep.redaction import redact
from sinesweep.sweep import preflight
from sinesweep.sweep.archive import save_state
from sinesweep.sweep.command import typed_again
from sinesweep.sweep.controller import Controller
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, RUNNING
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.nursery import Nursery
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.plan import SWEEP_LOCK, Plan
from sinesweep.sweep.reporter import Reporter
from sinesweep.sweep.sampling import Place
from sinesweep.sweep.storage import open_storage
from sinesweep.sweep.study import SweepStudy, refuse_lost_study
from sinesweep.sweep.trial_record import root_tag
from sinesweep.sweep.wording import error_text
from sinesweep.tracking import provenance, record, spool
from sinesweep.tracking.location import Location, locate
from sinesweep.tracking.sweep_record import SweepTracker

_PATIENCE = 0.5  # seconds: whoever looks whether the sweep is running has its lock for a moment


def conduct(plan: Plan, nursery: Nursery, interrupts: Interrupts) -> int:
    """Run the trials that are still to be run; return the exit code.

    Raises:
        InputError: something that only opening could show is wrong.
        Interrupted: Ctrl-C or SIGTERM; everything is closed and can be continued.
    """
    sampler = preflight.build_sampler(plan)
    pruner = preflight.build_pruner(plan)
    terminator = preflight.build_terminator(plan)
    kept = plan.settings.storage
    storage = open_storage(kept, plan.folder) if kept else None
    refuse_lost_study(plan, storage)
    interrupts.leave_if_any()  # with nothing created
    with _alone(plan):
        plan.save_definition()
        place = Place(plan.folder, plan.sampler.values)
        storage = storage or open_storage(None, plan.folder)
        study = SweepStudy(plan, storage, sampler, pruner, place)
        with _tracked(plan) as tracker:
            interrupts.leave_if_any()
            occupancy = Occupancy(plan.places)
            reporter = Reporter(plan, study, tracker, occupancy)
            controller = Controller(
                plan, study, nursery, terminator, reporter, interrupts, occupancy
            )
            state = FAIL
            try:
                controller.run()
                state = COMPLETE
            except Interrupted:
                state = INTERRUPTED
                raise
            finally:
                reporter.close(state)
            reporter.show_end()
            if reporter.failing:
                raise SweepFailed(reporter.failing)
        return EXIT_DONE


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Hold the sweep's lock; two controllers would run the same trials twice."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    path = plan.folder / SWEEP_LOCK
    lock = take_lock(path, _PATIENCE)
    if lock is None:
        raise InputError(
            f"sweep {plan.name}: must be run by one process at a time, but is being run by "
            f"{path.read_text().strip() or 'another one'}: wait for it, or begin another sweep "
            "with hydra.sweeper.study_name=..."
        )
    with lock:
        lock.truncate(0)
        lock.write(
            f"process {os.getpid()} on {socket.gethostname()} since "
            f"{time.strftime('%Y-%m-%d %H:%M:%S')} ({typed_again()})\n"
        )
        lock.flush()
        yield


@contextmanager
def _tracked(plan: Plan) -> Iterator[SweepTracker]:
    """Open the parent run, and close it as what happened."""
    tracker = SweepTracker(plan.folder, _location(plan))
    if plan.settings.is_tracked and plan.settings.tracking:
        runs.note_sweep(Path(plan.settings.tracking.root), plan.folder)
    try:
        tracker.begin(
            name=plan.name,
            experiment=plan.settings.tracking.experiment if plan.settings.tracking else "sinesweep",
            params=_params(plan),
            tags={
                **provenance.tags(),
                "sinesweep.sweep": plan.name,
                record.DIRECTORY_TAG: str(plan.folder.absolute()),
                **root_tag(plan),
            },
        )
        save_state(plan.folder, RUNNING, plan.total)
        yield tracker
        _end(plan, tracker, COMPLETE, None)
    except Interrupted as interrupted:
        _end(plan, tracker, INTERRUPTED, str(interrupted))
        raise
    except SweepFailed as failure:
        _end(plan, tracker, FAIL, str(failure))
        raise
    except BaseException as error:
        _end(plan, tracker, FAIL, redact(error_text(error)))
        raise
    finally:
        _close(plan, tracker)


def _close(plan: Plan, tracker: SweepTracker) -> None:
    tracking = plan.settings.tracking
    if not tracker.close() and tracking is not None:
        print(spool.warning(plan.folder, tracking.root, tracking.uri), file=sys.stderr)  # noqa: T201


def _end(plan: Plan, tracker: SweepTracker, outcome: str, error: str | None) -> None:
    tracker.end(outcome, error)
    save_state(plan.folder, outcome, plan.total)


def _location(plan: Plan) -> Location | None:
    tracking = plan.settings.tracking
    if not plan.settings.is_tracked or tracking is None:
        return None
    return locate(tracking.uri, Path(tracking.root))


def _params(plan: Plan) -> Mapping[str, Any]:
    settings = plan.settings
    return {
        "sweep": plan.name,
        "overrides": " ".join(plan.space.fixed),
        **{f"space.{key}": text for key, text in plan.space.written.items()},
        "sampler": settings.sampler.target,
        "sampler.arguments": json.dumps(settings.sampler.values, default=str),
        "pruner": settings.pruner.target,
        "seed": settings.sampler.values.get("seed"),
        "directions": ",".join(settings.objectives),
        "n_trials": plan.total,
        "repeats": settings.repeats,
        "workers": settings.processes,
        "slots": plan.slots,
    }
