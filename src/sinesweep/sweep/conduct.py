"""One conducted sweep: study, tracker, screen and tables around the control loop."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.terminator import BaseTerminator

from sinesweep import runs
from sinesweep.errors import EXIT_DONE, EnvironmentFault, Interrupted, SweepFailed
from sinesweep.files import environment_faults
from sinesweep.redaction import redact, redact_error, redact_overrides, redact_tree
from sinesweep.sweep import preflight
from sinesweep.sweep.archive import save_state
from sinesweep.sweep.controller import Controller
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, RUNNING
from sinesweep.sweep.interrupts import Interrupts
from sinesweep.sweep.ledger import Ledger
from sinesweep.sweep.nursery import Nursery
from sinesweep.sweep.occupancy import Occupancy
from sinesweep.sweep.orphans import refuse_lost_study
from sinesweep.sweep.patience import Patience
from sinesweep.sweep.pins import changing_place
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.reporter import Reporter
from sinesweep.sweep.storage import close_storage, open_storage, refuse_memory
from sinesweep.sweep.study import SweepStudy
from sinesweep.sweep.taking_part import refuse_trackers_database, taking_part
from sinesweep.sweep.trial_record import root_tag
from sinesweep.sweep.wording import error_text
from sinesweep.tracking import provenance, record, spool
from sinesweep.tracking.sweep_record import SweepTracker


def conduct(plan: Plan, nursery: Nursery, interrupts: Interrupts) -> int:
    """Run the trials that are still to be run; return the exit code.

    Raises:
        InputError: something that only opening could show is wrong.
        Interrupted: Ctrl-C or SIGTERM; everything is closed and can be continued.
    """
    built = (
        preflight.build_sampler(plan),
        preflight.build_pruner(plan),
        preflight.build_terminator(plan),
    )
    refuse_trackers_database(plan, plan.location)
    kept = plan.settings.storage
    refuse_memory(kept)
    patience = Patience(redact(kept) if isinstance(kept, str) else "", interrupts)
    storage = open_storage(kept, plan.folder, patience=patience) if kept else None
    try:
        refuse_lost_study(plan, storage)
        interrupts.leave_if_any()  # with nothing created
        _say_notices(plan)
        return _conduct(plan, built, storage, patience, nursery, interrupts)
    finally:
        if storage is not None:
            close_storage(storage)


def _say_notices(plan: Plan) -> None:
    """Say what the user may not expect of a sweep that is about to begin."""
    for notice in (*preflight.notices(plan), changing_place(plan.pins)):
        if notice:
            print(f"sinesweep: {notice}", file=sys.stderr)  # noqa: T201


def _conduct(
    plan: Plan,
    built: tuple[BaseSampler, BasePruner, BaseTerminator | None],
    storage: BaseStorage | None,
    patience: Patience,
    nursery: Nursery,
    interrupts: Interrupts,
) -> int:
    sampler, pruner, terminator = built
    with taking_part(plan, patience) as (plan, ledger):
        storage = storage or open_storage(None, plan.folder)
        try:
            study = SweepStudy(plan, storage, sampler, pruner, ledger)
        except BaseException:
            ledger.withdraw()  # nobody is to wait for one that has begun nothing
            raise
        with _tracked(plan, ledger) as tracker:
            interrupts.leave_if_any()
            occupancy = Occupancy(plan.places)
            reporter = Reporter(plan, study, tracker, occupancy)
            controller = Controller(
                plan, study, nursery, terminator, reporter, interrupts, occupancy
            )
            try:
                with environment_faults():
                    controller.run()
            except EnvironmentFault:
                reporter.abandon()
                raise
            except BaseException as error:
                reporter.close(INTERRUPTED if isinstance(error, Interrupted) else FAIL)
                raise
            reporter.close(COMPLETE)
            reporter.show_end()
            if reporter.failing:
                raise SweepFailed(reporter.failing)
        return EXIT_DONE


@contextmanager
def _tracked(plan: Plan, ledger: Ledger) -> Iterator[SweepTracker]:
    """Open the parent run, and close it as what happened, unless others go on with the sweep."""
    tracker = SweepTracker(plan.folder, plan.location)
    if plan.settings.is_tracked and plan.settings.tracking:
        runs.note_sweep(Path(plan.settings.tracking.root), plan.folder)

    def end(outcome: str, error: str | None) -> None:
        ledger.depart(lambda is_last: tracker.end(outcome, error) if is_last else tracker.leave())
        save_state(plan.folder, outcome, plan.total)

    is_explained = False
    try:
        with environment_faults():
            ledger.in_turn(lambda: _begin(plan, tracker, ledger.token))
            save_state(plan.folder, RUNNING, plan.total)
            yield tracker
        end(COMPLETE, None)
    except EnvironmentFault as fault:
        with suppress(OSError):  # the next command or an audit says it
            end(INTERRUPTED, str(fault))
        is_explained = True  # the next command sends what is missing
        raise
    except Interrupted as interrupted:
        end(INTERRUPTED, str(interrupted))
        raise
    except SweepFailed as failure:
        end(FAIL, str(failure))
        raise
    except BaseException as error:
        end(FAIL, redact_error(error_text(error)))
        raise
    finally:
        if not tracker.close() and not is_explained:
            _say_what_is_missing(plan)


def _say_what_is_missing(plan: Plan) -> None:
    tracking = plan.settings.tracking
    if tracking is not None:
        print(spool.warning(plan.folder, tracking.root, tracking.uri), file=sys.stderr)  # noqa: T201


def _begin(plan: Plan, tracker: SweepTracker, token: str | None) -> None:
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
        token=token,
    )


def _params(plan: Plan) -> Mapping[str, Any]:
    settings = plan.settings
    return {
        "sweep": plan.name,
        "overrides": " ".join(redact_overrides(plan.space.fixed)),
        **{f"space.{key}": text for key, text in plan.space.written.items()},
        "sampler": settings.sampler.target,
        "sampler.arguments": json.dumps(redact_tree(settings.sampler.values), default=str),
        "pruner": settings.pruner.target,
        "seed": settings.sampler.values.get("seed"),
        "directions": ",".join(settings.objectives),
        "n_trials": plan.total,
        "repeats": settings.repeats,
        "workers": settings.processes,
        "slots": plan.slots,
    }
