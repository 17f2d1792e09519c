"""A sweep on one screen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from sinesweep.commands.arguments import root_flag
from sinesweep.commands.standing import STATES, Standing
from sinesweep.commands.tables import count
from sinesweep.redaction import HIDDEN, redact
from sinesweep.sweep.entry import COMPLETE, FAIL, RETRIED, RUNNING, Entry
from sinesweep.sweep.leaderboard import show_leaderboard
from sinesweep.sweep.ranking import infeasible_text
from sinesweep.sweep.rerun import rerun_command
from sinesweep.sweep.results import BEST_FILE
from sinesweep.sweep.screen import plain_console, say, short_path
from sinesweep.sweep.wording import one_line, seconds_text
from sinesweep.tracking import record

_CAUSES = 5
_NUMBERS = 6


def show_overview(found: Standing, report: Path | None, console: Console | None = None) -> None:
    """Print what a sweep asks, where it stands, its best trials, its failures, and how to go on.

    Args:
        found: the sweep.
        report: the file of its report, if there is one.
        console: where to; stdout where it is left out.
    """
    console = console or plain_console()
    archive = found.archive
    say(console, f"sweep {archive.name}: {STATES[found.state]}, {found.done_text} trials done")
    _show_rows(list(_question(found)), console)
    if found.entries:
        show_leaderboard(found.entries, archive.objectives, archive.directions, console)
        _show_failures(found.entries, console)
    console.print()
    _show_rows(list(_what_next(found, report)), console)


def _question(found: Standing) -> Iterator[tuple[str, str]]:
    archive, definition = found.archive, found.archive.definition
    pairs = zip(archive.objectives, archive.directions, strict=True)
    yield "asks for", ", ".join(f"{direction} {name}" for name, direction in pairs)
    for key, written in definition["space"].items():
        yield "over", f"{key}={written}"
    if definition["custom_search_space"]:
        yield "over", f"what {definition['custom_search_space']} adds"
    if archive.fixed:
        yield "fixed", " ".join(archive.fixed)
    if definition["repeats"] > 1:
        yield "repeats", f"each point under {definition['repeats']} seeds"


def _show_failures(entries: Sequence[Entry], console: Console) -> None:
    failed: dict[str, list[int]] = {}
    for entry in entries:
        if entry.outcome in (FAIL, RETRIED):
            failed.setdefault(one_line(entry.error or "no cause was told"), []).append(entry.number)
    if not failed:
        return
    console.print()
    say(console, f"{count(sum(map(len, failed.values())), 'failure')}, the most frequent first")
    causes = sorted(failed.items(), key=lambda pair: -len(pair[1]))
    for cause, numbers in causes[:_CAUSES]:
        say(console, f"  {len(numbers)} x {cause}  ({_trials(numbers)})")
    if len(causes) > _CAUSES:
        say(console, f"  and {count(len(causes) - _CAUSES, 'cause')} more: trials.csv has all")


def _trials(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_NUMBERS]))
    return f"trial{'s' * (len(numbers) > 1)} {shown}{', ...' * (len(numbers) > _NUMBERS)}"


def _what_next(found: Standing, report: Path | None) -> Iterator[tuple[str, str]]:
    archive, folder = found.archive, found.archive.folder
    yield "trials", found.counts_text
    if text := infeasible_text(found.entries):
        yield "infeasible", text
    yield "compute", f"{seconds_text(found.seconds)} of all trials together"
    yield "folder", short_path(folder)
    if report is not None:
        yield "report", short_path(report)
    if (folder / record.FILE_NAME).exists():
        yield "in MLflow", "sinesweep ui" + root_flag(folder.parent.parent)
    if len(archive.directions) == 1 and found.best:
        yield "run the best", rerun_command(found.best[0], archive.command)
    elif found.best:
        yield "run one", f"its command is in {short_path(folder / BEST_FILE)}"
    yield _command(found)


def _command(found: Standing) -> tuple[str, str]:
    archive = found.archive
    if found.state == RUNNING:
        lock = archive.held_lock  # it may have ended just now
        who = lock.read_text(encoding="utf-8").partition(" (")[0].strip() if lock else ""
        return "run by", who or "a process that is about to begin"
    typed = archive.command.text
    if Path.cwd() != archive.directory:
        typed = f"cd {shlex.quote(str(archive.directory))} && {typed}"
    if HIDDEN in typed:
        typed += f"   (with what stands for {HIDDEN})"
    return "its command" if found.state == COMPLETE else "continue", typed


def _show_rows(rows: Sequence[tuple[str, str]], console: Console) -> None:
    width = max(len(label) for label, _ in rows)
    before = ""
    for label, text in rows:
        say(console, f"{'' if label == before else label:<{width}}  {redact(text)}")
        before = label
