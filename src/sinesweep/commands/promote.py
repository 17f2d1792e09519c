"""``sinesweep promote``: the winner of a sweep becomes the champion, once it has been proven."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from sinesweep.commands import completion
from sinesweep.commands.arguments import add_place, add_run
from sinesweep.errors import EXIT_DONE, EXIT_FAILED, InputError
from sinesweep.redaction import redact

if TYPE_CHECKING:
    from sinesweep.tracking.registry import Registry
    from sinesweep.winner.finding import Found
    from sinesweep.winner.promoting import Proof

HELP = "register the winner's model as champion, after reloading and testing it"
CHAMPION = "champion"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)
    sweep = parser.add_argument(
        "sweep", metavar="SWEEP", nargs="?", help="whose best trial is promoted"
    )
    completion.offer(sweep, completion.sweeps)
    trial = parser.add_argument("--trial", type=int, help="another trial of the sweep")
    completion.offer(trial, completion.trials)
    add_run(parser, "any run instead: its name, id, or SWEEP/NUMBER")
    parser.add_argument("--name", help="of the registered model; default: the experiment's")
    parser.add_argument("--alias", default=CHAMPION, help=f"default: {CHAMPION}")


def run(options: argparse.Namespace) -> int:
    """Promote; 1 where the reloaded model is not what was recorded."""
    if (options.sweep is None) == (options.run is None):
        raise InputError("promote: takes a SWEEP or --run RUN: give one of them")
    from sinesweep.tracking.location import OF_A_COMMAND, check, locate

    found = _find(options)
    location = locate(options.uri, options.root, OF_A_COMMAND)
    check(location)
    from sinesweep.tracking.registry import Registry
    from sinesweep.winner.promoting import prove, recorded_mae, tracked_id

    recorded_mae(found)  # either refuses before the tracker is opened
    tracked_id(found)
    registry = Registry(location)
    proof = prove(found, registry, location)
    if not proof.holds:
        print(  # noqa: T201
            f"sinesweep: {found.words} is not promoted: its reloaded model must have the "
            f"reference/test_mae that was recorded, {proof.recorded!r}, but has "
            f"{proof.recomputed!r}, which differs by {proof.difference:.1e} of it",
            file=sys.stderr,
        )
        return EXIT_FAILED
    for line in _promote(found, proof, registry, options):
        print(redact(line))  # noqa: T201
    return EXIT_DONE


def _find(options: argparse.Namespace) -> Found:
    from sinesweep.sweep import archive as archives
    from sinesweep.winner import finding

    if options.run is not None:
        return finding.find_run(options.root, options.run)
    return finding.winner(archives.find(options.root, options.sweep), options.trial)


def _promote(
    found: Found, proof: Proof, registry: Registry, options: argparse.Namespace
) -> list[str]:
    from sinesweep.tracking.registry import allowed_name
    from sinesweep.winner.promoting import tracked_id

    name = options.name or allowed_name(registry.experiment_of(tracked_id(found)))
    before = registry.with_alias(name, options.alias)
    tags = {"sinesweep.reference_test_mae": proof.recorded}
    if found.sweep is not None:
        tags |= {"sinesweep.sweep": found.sweep.name, "sinesweep.trial": found.trial}
    registered = registry.register(proof.model_id, name, tags)
    told = (
        f"reloaded, reference/test_mae = {proof.recomputed!r}, as recorded "
        f"(relative difference {proof.difference:.1e})"
    )
    if before == registered:
        return [told, f"{found.words} is the {options.alias} already: {registered}"]
    registry.set_alias(registered, options.alias)
    instead = f", instead of version {before.version}" if before else ""
    return [told, f"{found.words} is the {options.alias} now: {registered}{instead}"]
