"""Every trial as a row that the page can sort."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from sinesweep.report.subject import REPORTED, SKILL, Subject, Trial
from sinesweep.sweep.tally import WORDS
from sinesweep.sweep.wording import brief, figure, one_line, short_names

_LONGEST_ERROR = 160
_TEXTS = ("state", "run", "error")

Cell = Callable[[Trial], str]


def trials_table(subject: Subject) -> str:
    """Return the section with the table."""
    columns = _columns(subject)
    head = "".join(_header(title) for title, _ in columns)
    best = {trial.number for trial in subject.best}
    rows = "\n".join(
        f"<tr{' class=best' if trial.number in best else ''}>"
        + "".join(cell(trial) for _, cell in columns)
        + "</tr>"
        for trial in subject.trials
    )
    return f"""<section id="trials"><h2>Every trial</h2>
<div class="card scroll"><table class="trials"><thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody></table></div></section>"""


def _header(title: str) -> str:
    kind = "text" if title in _TEXTS else "number"
    button = f'<button type="button">{html.escape(title)}</button>'
    return f'<th scope="col" class="{kind}">{button}</th>'


def _columns(subject: Subject) -> list[tuple[str, Cell]]:
    columns: list[tuple[str, Cell]] = [
        ("trial", lambda trial: _number(trial.number)),
        ("state", _state),
    ]
    if subject.ranks:
        columns.append(("rank", lambda trial: _number(subject.ranks.get(trial.number))))
    columns += [(name, partial(_value, index)) for index, name in enumerate(subject.objectives)]
    for name in (REPORTED, SKILL):
        if any(name in trial.metrics for trial in subject.trials):
            columns.append((name, partial(_metric, name)))
    names = short_names(subject.keys)
    columns += [(names[key], partial(_param, key)) for key in subject.keys]
    columns += [("seconds", lambda trial: _number(trial.entry.seconds, "{:.1f}"))]
    return [*columns, ("run", partial(_run, subject)), *_error_column(subject)]


def _error_column(subject: Subject) -> list[tuple[str, Cell]]:
    return [("error", _error)] if any(trial.entry.error for trial in subject.trials) else []


def _state(trial: Trial) -> str:
    words = WORDS.get(trial.entry.outcome, trial.entry.outcome.lower())
    return f'<td class="text">{html.escape(words)}</td>'


def _value(index: int, trial: Trial) -> str:
    return _number(trial.entry.values[index] if trial.entry.values else None)


def _metric(name: str, trial: Trial) -> str:
    return _number(trial.metrics.get(name))


def _param(key: str, trial: Trial) -> str:
    if key not in trial.params:
        return "<td></td>"
    value = trial.params[key]
    if isinstance(value, float):
        return _number(value)
    return f"<td>{html.escape(one_line(brief(value)))}</td>"


def _number(value: float | None, shape: str | None = None) -> str:
    """Return a cell that shows few digits and is sorted by more."""
    if value is None:
        return "<td></td>"
    text = shape.format(value) if shape else figure(value)
    return f'<td data-value="{value:.7g}">{text}</td>'


def _run(subject: Subject, trial: Trial) -> str:
    """Link to the tracker's page of the run, or else to its folder beside the page."""
    address, directory = subject.link(trial), trial.entry.directory
    if address is None and directory is not None and directory.exists():
        address = quote(f"{os.path.relpath(directory, subject.folder)}/")
    if address is None:
        host = f"on {trial.entry.host}" if trial.entry.host and directory else ""
        return f'<td class="text">{html.escape(host)}</td>'
    words = trial.run_id[:8] if trial.run_id else f"trials/{trial.number}"
    return f'<td class="text"><a href="{html.escape(address)}">{html.escape(words)}</a></td>'


def _error(trial: Trial) -> str:
    text = one_line(trial.entry.error or "")
    shown = text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 3]}..."
    return f'<td class="text error">{html.escape(shown)}</td>'
