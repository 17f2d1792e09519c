"""A sweep from the command line to its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from sinesweep import command_line, refusal
from sinesweep.errors import (
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    EnvironmentFault,
    InputError,
    SweepFailed,
)
from sinesweep.files import unwritable
from sinesweep.interruption import interruptible
from sinesweep.redaction import learn_overrides, redact, redact_traceback, refuse_placeholders
from sinesweep.redaction.hydra import prepare_redaction
from sinesweep.sweep import inline, preflight, requirements, settings
from sinesweep.sweep import plan as plans
from sinesweep.sweep.cluster import RayNursery, shortage
from sinesweep.sweep.inline import InlineCommand
from sinesweep.sweep.interrupts import counted_interrupts
from sinesweep.sweep.nursery import Nursery, fork_workers, prepare_worker
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.ranks import run_rank, trial_of_rank
from sinesweep.sweep.together import find_form
from sinesweep.sweep.worker import Worker


def run(
    keys: Mapping[str, Any],
    arguments: Sequence[str],
    config: DictConfig,
    context: HydraContext,
    function: TaskFunction,
) -> int:
    """Run or continue a sweep; say what went wrong.

    Args:
        keys: ``hydra.sweeper``.
        arguments: the command line's overrides.
        config: what Hydra composed of them.
        context: Hydra's configuration loader and callbacks.
        function: the user's, of a configuration.

    Returns:
        The exit code.
    """
    command = os.getpid()
    code = _run_or_report(keys, arguments, config, context, function)
    if os.getpid() != command:  # the sweep's side of an inline sweep
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run_or_report(
    keys: Mapping[str, Any],
    arguments: Sequence[str],
    config: DictConfig,
    context: HydraContext,
    function: TaskFunction,
) -> int:
    plan: Plan | None = None
    words = [*arguments, *sys.argv[1:]]
    learn_overrides(words)
    try:
        with interruptible():
            requirements.check_optuna()
            prepare_redaction(config, words)
            refuse_placeholders(arguments)
            checked = settings.parse(keys)
            plan = plans.make(checked, arguments, config, context)
            if trial := trial_of_rank(os.environ):
                return run_rank(plan, function, trial)
            preflight.check(plan)
            return _run(plan, function)
    except (InputError, HydraException, OmegaConfBaseException) as error:
        _say(f"sinesweep: {refusal.message(error)}")
        return EXIT_INPUT
    except KeyboardInterrupt as interrupt:
        _say(f"sinesweep: interrupted{f' ({interrupt})' if interrupt.args else ''}")
        _say(f"continue with\n  {_again(plan)}")
        return EXIT_INTERRUPTED
    except SweepFailed as failure:
        _say(f"sinesweep: the sweep failed: {redact(str(failure))}")
        _say(f"continue with\n  {_again(plan)}")
        return EXIT_FAILED
    except Exception as error:  # noqa: BLE001 # ours, or a sampler's, or a storage's
        if fault := str(error) if isinstance(error, EnvironmentFault) else unwritable(error):
            _say(f"sinesweep: the sweep was interrupted: {redact(fault)}")
            _say(f"then continue with\n  {_again(plan)}")
            return EXIT_FAILED
        _say(redact_traceback(error))
        _say(f"sinesweep: the sweep failed; continue it with\n  {_again(plan)}")
        return EXIT_FAILED


def _again(plan: Plan | None) -> str:
    """Return the command that continues a sweep, without credentials."""
    return (plan.command if plan is not None else command_line.typed()).text


def _run(plan: Plan, function: TaskFunction) -> int:
    # Before anything is imported that starts threads or opens connections.
    nursery = inline.split() if plan.settings.backend == "inline" else _nursery(plan, function)
    if isinstance(nursery, InlineCommand):
        prepare_worker(_preload(plan), _threads(plan))
        return nursery.run(Worker(plan, function, nursery))
    try:
        from sinesweep.sweep.conduct import conduct

        if isinstance(nursery, RayNursery):
            plan = _opened(plan, nursery)
        with counted_interrupts() as interrupts:
            return conduct(plan, nursery, interrupts)
    finally:
        nursery.close()


def _nursery(plan: Plan, function: TaskFunction) -> Nursery:
    if plan.settings.backend == "ray":
        return RayNursery(plan, function, _preload(plan))
    serve = Worker(plan, function).serve
    return Nursery(partial(fork_workers, serve, _preload(plan), _threads(plan)))


def _opened(plan: Plan, nursery: RayNursery) -> Plan:
    """Wait for the cluster; return the plan with as many workers as it has room for.

    Raises:
        InputError: the cluster is not to be had, or is too small for any.
    """
    room = nursery.open()
    plan = plan.with_workers(plan.settings.asked or max(1, room))
    if notice := shortage(plan.settings.ray, room, plan.settings.processes):
        _say(f"sinesweep: {notice}")
    return plan


def _preload(plan: Plan) -> Sequence[str]:
    modules = plan.settings.preload
    if plan.slots == 1 or plan.settings.fused is None:
        return modules
    return [*modules, *getattr(find_form(plan.settings.fused), "preload", ())]


def _threads(plan: Plan) -> int:
    return max(1, (os.cpu_count() or 1) // plan.settings.processes)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 # the user reads it
