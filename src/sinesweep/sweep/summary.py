"""What a sweep came to, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from sinesweep.redaction import redact
from sinesweep.report.files import REPORT_FILE
from sinesweep.sweep.entry import DROPPED, Entry
from sinesweep.sweep.ranking import chosen, infeasible_text
from sinesweep.sweep.screen import plain_console, say, short_path
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import seconds_text


def show_summary(
    entries: Sequence[Entry],
    directions: Sequence[str],
    *,
    seconds: float,
    folder: Path,
    slots: str | None = None,
    pruning: str | None = None,
    ui: str | None,
    command: Callable[[Entry], str],
    console: Console | None = None,
) -> None:
    """Print what the sweep came to, where it is, and how to see it and to run the best trial.

    Args:
        entries: every trial of the sweep.
        directions: ``minimize`` or ``maximize`` for each objective.
        seconds: the wall time of this command.
        folder: the sweep's.
        slots: how full they were, or None where there was one for each worker.
        pruning: which trials gave the pruner too little to decide on, or None.
        ui: the command that shows it in the tracker, or None where it is not tracked.
        command: the command line that runs a trial again, quoted for a shell.
        console: where to; stdout where it is left out.
    """
    found = chosen(entries, directions)
    rows = {"trials": _counts(entries), "time": seconds_text(seconds)}
    if text := infeasible_text(entries):
        rows["infeasible"] = text
    if pruning:
        rows["pruning"] = pruning
    if slots:
        rows["slots"] = slots
    rows["folder"] = short_path(folder)
    if (folder / REPORT_FILE).exists():
        rows["report"] = short_path(folder / REPORT_FILE)
    if ui:
        rows["compare"] = ui
    if len(found) == 1:
        rows["run the best"] = command(found[0])
    elif found:
        rows["run one"] = f"its command is in {short_path(folder / 'best.yaml')}"
    console = console or plain_console()
    width = max(map(len, rows))
    for label, value in rows.items():
        say(console, f"{label:<{width}}  {redact(value)}")


def _counts(entries: Sequence[Entry]) -> str:
    outcomes = Counter(entry.outcome for entry in entries if entry.outcome != DROPPED)
    return (
        ", ".join(f"{outcomes[o]} {word}" for o, word in COUNTED.items() if outcomes[o]) or "none"
    )
