"""The top of the page: the question, how the sweep stands, the winner, and what to type."""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping

from sinesweep.report.replicas import of_trial
from sinesweep.report.subject import BASELINES, REPORTED, SKILL, Subject, Trial, baseline_name
from sinesweep.sweep.entry import COMPLETE, FAIL, INTERRUPTED, RUNNING
from sinesweep.sweep.ranking import values_of
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import brief, figure, one_line

_STATES = {
    RUNNING: "still running",
    COMPLETE: "finished",
    FAIL: "failed",
    INTERRUPTED: "interrupted",
}
_MOST_OPTIMAL = 30
_COMPARED = (REPORTED, "test/mae")


def heading(subject: Subject) -> str:
    """Return the question, how the sweep stands, and what it found."""
    question, mark, more = (subject.question or "").partition("?")
    title = question + mark or f"Sweep {subject.name}"
    name = f'<p class="name">sweep {_text(subject.name)}</p>' if subject.question else ""
    return f"""<header id="top">{name}
<h1>{_text(title)}</h1>
<p>{_text(more)}</p>
<p class="muted">{_text(_standing(subject))}</p></header>
{_found(subject)}"""


def _standing(subject: Subject) -> str:
    outcomes = Counter(trial.entry.outcome for trial in subject.trials)
    counts = [
        f"{outcomes[o]} {word}"
        for o, word in {**COUNTED, RUNNING: "running"}.items()
        if outcomes[o]
    ]
    of = "" if subject.total is None else f" of {subject.total}"
    done = sum(trial.entry.counts for trial in subject.trials)
    return (
        f"{_STATES[subject.state]}: {done}{of} trials done ({', '.join(counts) or 'none began'}); "
        f"{subject.points} different point{'s' * (subject.points != 1)} tried"
    )


def _found(subject: Subject) -> str:
    if not subject.best:
        return f'<div class="cards"><div class="card" id="winner">{_nothing(subject)}</div></div>'
    if subject.winner is None:
        return f'<div class="cards"><div class="card" id="winner">{_optimal(subject)}</div></div>'
    cards = [_winner(subject, subject.winner), _beside(subject, subject.winner)]
    return f'<div class="cards">{"".join(card for card in cards if card)}</div>'


def _nothing(subject: Subject) -> str:
    errors = [trial.entry for trial in subject.trials if trial.entry.error]
    last = f" The last error, of trial {errors[-1].number}: {errors[-1].error}" if errors else ""
    if subject.completed:
        return (
            f"<h3>No completed trial satisfies its constraints</h3><p>{_text(one_line(last))}</p>"
        )
    words = "is complete yet" if subject.state == RUNNING else "was completed"
    return f"<h3>No trial {words}</h3><p>{_text(one_line(last))}</p>"


def _winner(subject: Subject, winner: Trial) -> str:
    """Show a number that the winner was not chosen by, if there is one."""
    objective, value = subject.objectives[0], figure(winner.value)
    tried = f"{len(subject.completed)} completed trials"
    chosen = f"chosen by {objective} {value}, the best of {tried} and so optimistic"
    if REPORTED in winner.metrics and objective != REPORTED:
        big = _big(winner.metrics[REPORTED], REPORTED)
    else:
        big = _big(winner.value, objective)
        chosen = f"{chosen}: no other number of the trial is known that it was not chosen by"
    return f"""<div class="card" id="winner">
<h3>The winner: trial {winner.number}</h3>
{big}
<p class="muted">{_text(chosen)}; {subject.points} points were tried.</p>
<p>{_text(of_trial(subject, winner))}</p>
{_params(winner.params)}
</div>"""


def _big(value: float, name: str) -> str:
    return f'<p class="big">{figure(value)}</p><p>{_text(name)}</p>'


def _params(params: Mapping[str, object]) -> str:
    rows = "".join(
        f"<dt>{_text(key)}</dt><dd>{_text(brief(value))}</dd>" for key, value in params.items()
    )
    return f'<dl class="params">{rows}</dl>'


def _beside(subject: Subject, winner: Trial) -> str:
    """Show the winner's metrics above the baselines' own."""
    # The objective may be that of the best epoch, and the last logged value another one's.
    metrics = {
        **winner.metrics,
        **dict(zip(subject.objectives, values_of(winner.entry), strict=True)),
    }
    names = [name for name in dict.fromkeys((*_COMPARED, *subject.objectives)) if name in metrics]
    rows = [(f"trial {winner.number}", [figure(metrics[name]) for name in names])]
    for baseline, words in BASELINES.items():
        values = [metrics.get(baseline_name(baseline, name)) for name in names]
        if any(value is not None for value in values):
            rows.append((words, ["" if value is None else figure(value) for value in values]))
    if len(rows) == 1:
        return ""
    skill = ""
    if SKILL in metrics:
        skill = (
            f"<p>Skill {figure(metrics[SKILL])}: 1 would be perfect, 0 no better than repeating "
            "the last value.</p>"
        )
    return f"""<div class="card" id="against"><h3>Beside the baselines</h3>
{skill}<div class="scroll">{_table(["", *names], rows)}</div></div>"""


def _optimal(subject: Subject) -> str:
    names = [name for name in (REPORTED, SKILL) if any(name in t.metrics for t in subject.best)]
    rows = []
    for trial in subject.best[:_MOST_OPTIMAL]:
        known = [figure(trial.metrics[n]) if n in trial.metrics else "" for n in names]
        values = [figure(value) for value in values_of(trial.entry)]
        params = [brief(trial.params.get(key, "")) for key in subject.keys]
        rows.append((str(trial.number), [*known, *values, *params]))
    more = len(subject.best) - len(rows)
    header = ["trial", *names, *subject.objectives, *subject.keys]
    rest = f"<p>and {more} more</p>" if more > 0 else ""
    return (
        f"<h3>The Pareto set: {len(subject.best)} of {len(subject.completed)} completed trials"
        f'</h3><div class="scroll">{_table(header, rows)}</div>{rest}'
        f'<p class="muted">Trials were chosen by {_text(" and ".join(subject.objectives))}, so '
        f"these values are optimistic; {subject.points} points were tried.</p>"
    )


def _table(header: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(
        f'<tr><th class="text">{_text(first)}</th>'
        + "".join(f"<td>{_text(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def commands(subject: Subject) -> str:
    """Return what to type to run the best again, and to go on with the sweep."""
    shown = {}
    if subject.winner:
        shown[f"Run trial {subject.winner.number} by itself"] = subject.rerun(subject.winner)
    for trial in subject.best[:_MOST_OPTIMAL] if subject.winner is None else ():
        shown[f"Run trial {trial.number} by itself"] = subject.rerun(trial)
    shown["Continue the sweep"] = subject.continue_command
    place = f"cd {shlex.quote(str(subject.directory))}"
    blocks = "".join(
        f'<h3>{_text(title)}</h3><button class="copy" type="button">copy</button>'
        f"<pre>{_text(place)}\n{_text(command)}</pre>"
        for title, command in shown.items()
    )
    return f'<section id="commands"><h2>Again</h2><div class="card">{blocks}</div></section>'


def _text(text: str) -> str:
    return html.escape(text)
