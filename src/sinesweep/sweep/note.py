"""What the tracker's page says of a sweep: its question, its answer, and where everything is.

Trials may be many hundreds, which no page shows well: this must do alone.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sinesweep.redaction import redact, without_notice
from sinesweep.report.files import written
from sinesweep.sweep.entry import DROPPED, FAIL, RETRIED, Entry
from sinesweep.sweep.ranking import chosen, infeasible, values_of, why_none
from sinesweep.sweep.results import BEST_FILE, TRIALS_FILE
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import figure, one_line, params_text
from sinesweep.tracking import pages, record

REPORTED = "reference/test_mae"

_BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}
_MOST_ROWS = 8
_LONGEST_QUESTION = 600  # letters
_LINE = 100  # letters
_LONGEST_COMMAND = 900  # letters; the whole note must fit a tag of MLflow's

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Subject:
    """The sweep that a note is about.

    Attributes:
        question: what it is to find out, or None where nobody said.
        objectives: what each value is called.
        directions: ``minimize`` or ``maximize`` for each objective.
        total: how many trials it is for, or None.
        folder: where it is.
        again: the command line that continues it.
        rerun: returns the command line that runs a trial by itself.
    """

    question: str | None
    objectives: Sequence[str]
    directions: Sequence[str]
    total: int | None
    folder: Path
    again: str
    rerun: Callable[[Entry], str]


def metrics_of(entry: Entry) -> Metrics:
    """Return the last value of each metric that a trial has told."""
    if entry.directory is None:
        return {}
    history = record.metric_history(entry.directory)
    return {name: pairs[-1][1] for name, pairs in history.items()}


def text(subject: Subject, entries: Sequence[Entry]) -> str:
    """Return the note, in markdown and without credentials.

    Args:
        subject: the sweep.
        entries: every trial of it.
    """
    best = chosen(entries, subject.directions)
    head = []
    if subject.question:
        head.append(f"**Question:** {_plain(subject.question, _LONGEST_QUESTION)}")
    head.append(f"**Answer:** {_answer(subject, best) if best else _no_answer(entries)}")
    head.append(f"**Tried:** {_counts(subject, entries)}")
    parts = ["\n".join(head)]  # the page shows no more than a few lines before one asks for more
    parts += _detail(subject, best[0]) if len(best) == 1 else _front(subject, best)
    parts += _failure(entries)
    parts += _places(subject, best)
    return redact("\n\n".join(parts))


def _counts(subject: Subject, entries: Sequence[Entry]) -> str:
    outcomes = Counter(entry.outcome for entry in entries if entry.outcome != DROPPED)
    counts = [f"{outcomes[o]} {word}" for o, word in COUNTED.items() if outcomes[o]]
    ended = sum(entry.counts for entry in entries)
    of = f" of {subject.total}" if subject.total else ""
    return f"{ended}{of} trials ({', '.join(counts) or 'none has begun'})"


def _no_answer(entries: Sequence[Entry]) -> str:
    return why_none(entries) if infeasible(entries) else "no trial has completed yet"


def _answer(subject: Subject, best: Sequence[Entry]) -> str:
    if len(subject.directions) > 1:
        return f"a Pareto set of {len(best)}"
    (entry,), (objective,) = best, subject.objectives
    found = f"{_link(entry)} with {_params(entry)}"
    metrics = metrics_of(entry)
    if REPORTED in metrics:
        bars = [f"{words} {figure(metrics[key])}" for key, words in _bars(metrics)]
        beside = f" ({', '.join(bars)})" if bars else ""
        return f"{found}: {REPORTED} **{figure(metrics[REPORTED])}**{beside}"
    return f"{found}: {objective} {figure(values_of(entry)[0])}"


def _detail(subject: Subject, entry: Entry) -> list[str]:
    """How the answer of a sweep with one objective is to be read."""
    (objective,) = subject.objectives
    chose = f"Trials were chosen by {objective}"
    if REPORTED in metrics_of(entry):
        return [f"{chose}, and none by {REPORTED}: this is what to report."]
    return [f"{chose}, so its value is optimistic."]


def _bars(metrics: Metrics) -> Iterator[tuple[str, str]]:
    for name, words in _BASELINES.items():
        key = f"baseline/{name}/{REPORTED.replace('/', '_')}"
        if key in metrics:
            yield key, words


def _front(subject: Subject, best: Sequence[Entry]) -> list[str]:
    """The answer of a sweep with several objectives."""
    if not best:
        return []
    shown = {entry.number: metrics_of(entry) for entry in best[:_MOST_ROWS]}
    also = [REPORTED] if all(REPORTED in metrics for metrics in shown.values()) else []
    also = [name for name in also if name not in subject.objectives]
    rows = [
        (
            _link(entry),
            *(figure(value) for value in values_of(entry)),
            *(figure(shown[entry.number][name]) for name in also),
            _params(entry),
        )
        for entry in best[:_MOST_ROWS]
    ]
    parts = [_table(("trial", *subject.objectives, *also, "params"), rows)]
    if len(best) > len(rows):
        parts.append(f"and {len(best) - len(rows)} more in {BEST_FILE}")
    return parts


def _failure(entries: Sequence[Entry]) -> list[str]:
    failed = [entry for entry in entries if entry.error and entry.outcome in (FAIL, RETRIED)]
    if not failed:
        return []
    last = max(failed, key=lambda entry: entry.number)
    return [f"**Last error,** of trial {last.number}: {_code(one_line(last.error or ''))}"]


def _places(subject: Subject, best: Sequence[Entry]) -> Iterator[str]:
    if page := pages.trials_page(subject.folder, charts=True):
        table = pages.trials_page(subject.folder)
        yield f"**Compare:** [charts of all trials]({page}), or [their table]({table}), best first"
    files = [TRIALS_FILE, BEST_FILE, *(path.name for path in written(subject.folder))]
    yield f"**Artifacts:** {', '.join(files)}"
    yield f"**Folder:** {_code(str(subject.folder.absolute()))}"
    yield f"**Continue:**\n\n{_block(subject.again, 'the command is in sweep.yaml')}"
    if len(best) == 1:
        rerun = subject.rerun(best[0])
        yield f"**Run the best again:**\n\n{_block(rerun, f'the command is in {BEST_FILE}')}"


def _link(entry: Entry) -> str:
    page = entry.directory and pages.run_page(entry.directory)
    return f"[{entry.name}]({page})" if page else entry.name


def _params(entry: Entry) -> str:
    return _code(params_text(entry.params))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(words: str, longest: int) -> str:
    lines = "\n".join(one_line(line) for line in words.splitlines())
    return lines if len(lines) <= longest else f"{lines[:longest]}..."


def _code(words: str) -> str:
    return f"`{words.replace('`', chr(39))}`"


def _block(command: str, otherwise: str) -> str:
    if len(command) > _LONGEST_COMMAND:
        return otherwise
    return f"```\n{_broken(command).replace('```', '')}\n```"


def _broken(command: str) -> str:
    """Break a command line as a shell takes it, for a page does not."""
    bare, notice = without_notice(command)
    words = [shlex.quote(word) for word in shlex.split(bare)]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > _LINE:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines) + notice
