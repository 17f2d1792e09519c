"""``sinesweep rerun``: a trial once more, and whether its numbers are the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sinesweep.commands import completion
from sinesweep.commands.arguments import add_root, add_sweep
from sinesweep.commands.overrides import add_overrides
from sinesweep.errors import EXIT_DONE, EXIT_FAILED, EXIT_INPUT
from sinesweep.redaction import redact

if TYPE_CHECKING:
    from sinesweep.sweep.archive import Archive
    from sinesweep.winner.comparison import Difference
    from sinesweep.winner.rerunning import Rerun

HELP = "run a trial again, and compare its numbers bit for bit"
_SHOWN = 10  # differing numbers
_UNTRACED = "the code, versions and machine of the trial were not recorded, so are not compared"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_root(parser)
    add_sweep(parser)
    trial = parser.add_argument("trial", metavar="TRIAL", type=int, help="the trial's number")
    completion.offer(trial, completion.trials)
    add_overrides(parser)


def run(options: argparse.Namespace) -> int:
    """Run the trial; 0 where all numbers are the same, 1 where not."""
    from sinesweep.sweep import archive as archives
    from sinesweep.winner import rerunning, script

    archive = archives.find(options.root, options.sweep)
    entry = script.find_trial(archive, options.trial)
    words = [
        *entry.overrides,
        *archive.command.single,
        *script.root_override(archive, multirun=False),
    ]
    overrides = script.overrides_of(archive, words, options.overrides, options.typed)
    found = rerunning.rerun(archive, entry, overrides)
    if isinstance(found, int):
        print(f"sinesweep: trial {entry.number} failed again", file=sys.stderr)  # noqa: T201
        return EXIT_INPUT if found == EXIT_INPUT else EXIT_FAILED
    return _report(archive, found)


def _report(archive: Archive, found: Rerun) -> int:
    from sinesweep.winner.comparison import changes, differences

    whole = found.entry.state == "COMPLETE"
    differing = differences(found.then, found.now, whole=whole)
    changed = changes(found.then, found.now)
    print()  # noqa: T201
    for line in _lines(archive, found, differing, changed):
        print(redact(line))  # noqa: T201
    return EXIT_FAILED if differing or not found.then.numbers else EXIT_DONE


def _lines(
    archive: Archive, found: Rerun, differing: Sequence[Difference], changed: Sequence[str]
) -> Iterator[str]:
    from sinesweep.winner.comparison import is_traced

    entry, count, traced = found.entry, len(found.then.numbers), is_traced(found.then)
    yield f"trial {entry.number} of {archive.name}, again: {found.directories[0]}"
    if not count:
        yield f"the trial ended as {entry.outcome} and has no numbers to compare"
    elif not differing:
        yield f"equal bit for bit: {_what(found)}"
    else:
        yield f"{len(differing)} of {count} numbers differ"
        yield from (f"  {_shown(difference)}" for difference in differing[:_SHOWN])
        if len(differing) > _SHOWN:
            yield f"  and {len(differing) - _SHOWN} more"
    if entry.host and entry.directory and not entry.directory.exists():
        yield f"what it told step by step is on {entry.host}, in {entry.directory}: not compared"
    if changed:
        yield "not made alike:" if differing else "although these differ:"
        yield from (f"  {change}" for change in changed)
    elif differing and traced:
        yield "nothing that was recorded differs: what the function does is not determined by it"
    if not traced:
        yield _UNTRACED


def _what(found: Rerun) -> str:
    metrics = {name for name, step in found.then.numbers if step is not None}
    objectives = [
        f"{name} = {value!r}" for (name, step), value in found.then.numbers.items() if step is None
    ]
    told = [f"{len(metrics)} metrics at every step"] if metrics else []
    if found.entry.state != "COMPLETE":
        told.append(f"up to where the trial ended as {found.entry.outcome}")
    return ", ".join([*told, *objectives])


def _shown(difference: Difference) -> str:
    step = "" if difference.step is None else f" at step {difference.step}"
    then, now = difference.then, difference.now
    if then is None or now is None:
        return f"{difference.name}{step}: {_number(then)} -> {_number(now)}"
    share = f"  ({abs(now - then) / abs(then):.1e} of it)" if then else ""
    return f"{difference.name}{step}: {then!r} -> {now!r}{share}"


def _number(value: float | None) -> str:
    return "(none)" if value is None else repr(value)
