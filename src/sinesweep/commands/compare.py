"""``sinesweep compare``: sweeps beside one another, or runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sinesweep.commands import completion
from sinesweep.commands.arguments import add_root
from sinesweep.errors import EXIT_DONE, InputError

HELP = "compare sweeps with one another, or runs: what differs, and what each came to"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    action = parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        help="two or more sweeps, or runs: by name, id, or as SWEEP/NUMBER for a trial",
    )
    completion.offer(action, completion.sweeps_and_runs)
    parser.add_argument(
        "--all", action="store_true", help="show every metric, and every key that differs"
    )
    add_root(parser)


def run(options: argparse.Namespace) -> int:
    """Print the comparison.

    Raises:
        InputError: there is no such sweep or run, fewer than two are named, or both kinds.
    """
    from sinesweep.commands.compare_runs import compare_runs, read_run, read_trial
    from sinesweep.commands.compare_sweeps import compare_sweeps
    from sinesweep.commands.named import NamedSweep, NamedTrial, named
    from sinesweep.commands.standing import standing

    found = {each.name: each for each in (named(options.root, n) for n in options.names)}
    _refuse_one(list(found))
    sweeps = [each for each in found.values() if isinstance(each, NamedSweep)]
    others = [each for each in found.values() if not isinstance(each, NamedSweep)]
    if sweeps and others:
        raise InputError(
            "compare: must be given sweeps alone, or runs alone, but "
            f"{sweeps[0].name} is a sweep and {others[0].name} is a run: name a trial of the sweep "
            f"as {sweeps[0].name}/NUMBER, or another sweep"
        )
    if sweeps:
        compare_sweeps([standing(each.archive) for each in sweeps], every=options.all)
    else:
        read = [read_trial(e) if isinstance(e, NamedTrial) else read_run(e) for e in others]
        compare_runs(read, every=options.all)
    return EXIT_DONE


def _refuse_one(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise InputError(
            f"compare: must be given two or more sweeps, or runs, but is given {names[0]} alone: "
            "name another"
        )
