"""Further processes of a trial that is trained in several, as Lightning's ``strategy="ddp"`` does.

Lightning starts the command of the process again for each further rank. In a worker that is the
command of the sweep. Such a process runs the trial's function instead, under the trial's
configuration. Only the first process of the trial, which is the worker, talks to the sweep.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import run_job
from hydra.types import TaskFunction

from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import redact_traceback
from sinesweep.sweep.random_state import seed_generators
from sinesweep.sweep.trial import TrialPruned

if TYPE_CHECKING:
    from sinesweep.sweep.plan import Plan

VARIABLE = "SINESWEEP_TRIAL"
_RANK = "LOCAL_RANK"  # a launcher sets it for the processes that it starts
_GRACE = 10.0  # seconds that a rank may take to end after the trial


@dataclass(frozen=True)
class RankedTrial:
    """The trial that a further process belongs to.

    Attributes:
        number: the trial's.
        overrides: what makes its configuration.
        directory: its folder.
        folder: the sweep's.
        seed: of its global random generators.
    """

    number: int
    overrides: Sequence[str]
    directory: str
    folder: str
    seed: int


@contextmanager
def known_to_further_ranks(trial: RankedTrial) -> Iterator[None]:
    """Have processes that a trial starts know the trial; afterwards end them."""
    os.environ[VARIABLE] = json.dumps(vars(trial))
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        _leave_process_group()
        _end_further_ranks()


def trial_of_rank(environment: Mapping[str, str]) -> RankedTrial | None:
    """Return the trial that this process is a further rank of, or None."""
    if VARIABLE not in environment or environment.get(_RANK, "0") == "0":
        return None
    return RankedTrial(**json.loads(environment[VARIABLE]))


def run_rank(plan: Plan, function: TaskFunction, trial: RankedTrial) -> int:
    """Run a trial's function as a further rank; return the exit code."""
    plan = replace(plan, folder=Path(trial.folder))  # its name may hold the time
    config = plan.job(plan.compose(trial.overrides), trial.number, Path(trial.directory))
    config.hydra.output_subdir = None  # the first rank has written it
    seed_generators(trial.seed)  # as in the first rank
    try:
        # Its failure is raised when it is asked for what was returned.
        _ = run_job(
            task_function=function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=plan.context,
        ).return_value
    except TrialPruned:
        return EXIT_DONE
    except Exception as error:  # noqa: BLE001 # the user's own
        print(redact_traceback(error), file=sys.stderr)  # noqa: T201 # the trial's log
        return EXIT_FAILED
    finally:
        _leave_process_group()
    return EXIT_DONE


def _leave_process_group() -> None:
    """Close the group of a trial's processes, so that the next trial does not wait for them."""
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        with suppress(RuntimeError):  # the others are gone
            distributed.destroy_process_group()


def _end_further_ranks() -> None:
    """Wait for the ranks that Lightning has started, and kill those that do not end.

    Lightning's thread that observes ranks kills its own process when one of them has failed. This
    process runs further trials, so the thread must not find a rank of a trial that has ended.
    """
    for thread in threading.enumerate():
        observed = getattr(thread, "_child_processes", None)
        if not isinstance(observed, list):
            continue
        processes: list[subprocess.Popen[Any]] = observed[:]
        observed.clear()
        for process in processes:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
