"""What the tracker's page says of a sweep: its question, its answer, and where everything is.

Trials may be many hundreds, which no page shows well: this must do alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sinesweep.redaction import redact
from sinesweep.sweep.command import typed_again
from sinesweep.sweep.entry import DROPPED, FAIL, RETRIED, RUNNING, Entry
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.ranking import chosen, values_of
from sinesweep.sweep.rerun import rerun_command
from sinesweep.sweep.results import BEST_FILE, TRIALS_FILE
from sinesweep.sweep.tally import COUNTED
from sinesweep.sweep.wording import figure, one_line, params_text
from sinesweep.tracking import pages, record
from sinesweep.tracking.sweep_record import SweepTracker

REPORTED = "reference/test_mae"
REPORT_FILE = "report.html"

_BASELINES = {"linear": "linear map", "constant": "constant", "last_value": "last value"}
_MOST_ROWS = 8
_LONGEST_QUESTION = 600  # letters
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


class Pages:
    """Keeps the tracker's pages of a running sweep up to date: its note, columns and charts.

    Args:
        plan: the sweep.
        tracker: takes them; nothing is made where the sweep is not tracked.
        arguments: the command's: the script, then its arguments.
    """

    def __init__(self, plan: Plan, tracker: SweepTracker, arguments: Sequence[str]) -> None:
        self._plan = plan
        self._tracker = tracker
        self._arguments = arguments
        self._subject: Subject | None = None
        self._told: dict[str, Any] = {}

    def refresh(self, entries: Sequence[Entry]) -> None:
        """Tell what has changed."""
        if not self._plan.settings.is_tracked:
            return
        if self._subject is None:
            self._subject = self._make_subject()
        best = chosen(entries, self._subject.directions)
        if len(best) == 1 and (found := reported_metrics(best[0])):
            self._tracker.log(found, step=sum(entry.state != RUNNING for entry in entries))
        tags = {pages.NOTE_TAG: text(self._subject, entries)}
        if self._is_new("note", tags):
            self._tracker.tag(tags)
        if best and self._is_new("view", found := view(self._plan.name, best[0], self._subject)):
            self._tracker.save_view(found)

    def _is_new(self, what: str, content: Mapping[str, Any]) -> bool:
        is_new = self._told.get(what) != content
        self._told[what] = content
        return is_new

    def _make_subject(self) -> Subject:
        plan = self._plan
        return Subject(
            question=question(plan),
            objectives=plan.objective_names,
            directions=plan.settings.objectives,
            total=plan.total,
            folder=plan.folder,
            again=typed_again(),
            rerun=partial(rerun_command, arguments=self._arguments),
        )


def question(plan: Plan) -> str | None:
    """Return the comment at the top of the sweep's file, or None where there is none."""
    name = plan.config.hydra.runtime.choices.get("sweeps")
    if not name:
        return None
    for source in plan.context.config_loader.get_search_path().get_path():
        path = Path(source.path.removeprefix("file://")) / "sweeps" / f"{name}.yaml"
        if path.exists():
            return " ".join(_comment(path.read_text(encoding="utf-8"))) or None
    return None


def _comment(content: str) -> Iterator[str]:
    for line in content.splitlines():
        if not line.startswith("#"):
            return
        words = line.lstrip("# ")
        if not words.startswith("@package"):
            yield words


def reported_metrics(entry: Entry) -> dict[str, float]:
    """Return what a trial is reported by, under the names that its sweep's run has it."""
    metrics = _last_values(entry)
    return {f"best/{name}": metrics[name] for name in (REPORTED,) if name in metrics}


def view(name: str, entry: Entry, subject: Subject) -> dict[str, Any]:
    """Return the params and metrics that a sweep's trials are compared by.

    Args:
        name: the sweep's.
        entry: a completed trial of it.
        subject: the sweep.
    """
    metrics = [REPORTED] if REPORTED in _last_values(entry) else []
    several = len(subject.directions) > 1
    values = [f"value_{i}" for i in range(len(subject.directions))] if several else ["value"]
    best = [f"best_{value}" for value in values] if several else ["best_value"]
    return {
        "name": name,
        "params": list(_logged_keys(entry)),
        "metrics": [*values, *metrics],
        "of_sweep": [*best, *(f"best/{metric}" for metric in metrics if not several)],
        "maximize": subject.directions[0] == "maximize",
    }


def text(subject: Subject, entries: Sequence[Entry]) -> str:
    """Return the note, in markdown and without credentials.

    Args:
        subject: the sweep.
        entries: every trial of it.
    """
    best = chosen(entries, subject.directions)
    parts = [f"**Question:** {_plain(subject.question, _LONGEST_QUESTION)}"] * bool(
        subject.question
    )
    parts.append(f"**Tried:** {_counts(subject, entries)}")
    parts += _one(subject, best[0]) if len(best) == 1 else _several(subject, best)
    parts += _failure(entries)
    parts += _places(subject, best)
    return redact("\n\n".join(parts))


def _counts(subject: Subject, entries: Sequence[Entry]) -> str:
    outcomes = Counter(entry.outcome for entry in entries if entry.outcome != DROPPED)
    counts = [f"{outcomes[o]} {word}" for o, word in COUNTED.items() if outcomes[o]]
    ended = sum(entry.counts for entry in entries)
    of = f" of {subject.total}" if subject.total else ""
    return f"{ended}{of} trials ({', '.join(counts) or 'none has begun'})"


def _one(subject: Subject, entry: Entry) -> list[str]:
    """The answer of a sweep with one objective."""
    (objective,), metrics = subject.objectives, _last_values(entry)
    head = f"**Best:** {_link(entry)} with {_params(entry)}"
    value = figure(values_of(entry)[0])
    if REPORTED not in metrics:
        return [head, f"Its {objective} is {value}: what trials were chosen by, so optimistic."]
    rows = [(f"**trial {entry.number}**", f"**{figure(metrics[REPORTED])}**")]
    for name, words in _BASELINES.items():
        key = f"baseline/{name}/{REPORTED.replace('/', '_')}"
        if key in metrics:
            rows.append((words, figure(metrics[key])))
    chose = f"Trials were chosen by {objective}, and none by {REPORTED}: this is what to report."
    return [head, _table(("", REPORTED), rows), chose]


def _several(subject: Subject, best: Sequence[Entry]) -> list[str]:
    """The answer of a sweep with several objectives, or without a completed trial."""
    if not best:
        return ["**Best:** no trial has completed yet"]
    has_reported = any(REPORTED in _last_values(entry) for entry in best[:_MOST_ROWS])
    also = [REPORTED] if has_reported and REPORTED not in subject.objectives else []
    rows = [
        (
            _link(entry),
            *(figure(value) for value in values_of(entry)),
            *(figure(_last_values(entry)[name]) for name in also if name in _last_values(entry)),
            _params(entry),
        )
        for entry in best[:_MOST_ROWS]
    ]
    parts = [f"**Best:** a Pareto set of {len(best)}"]
    parts.append(_table(("trial", *subject.objectives, *also, "params"), rows))
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
    files = [TRIALS_FILE, BEST_FILE, *([REPORT_FILE] if _has_report(subject) else [])]
    yield f"**Artifacts:** {', '.join(files)}"
    yield f"**Folder:** {_code(str(subject.folder.absolute()))}"
    yield f"**Continue:**\n\n{_block(subject.again, 'the command is in sweep.yaml')}"
    if len(best) == 1:
        rerun = subject.rerun(best[0])
        yield f"**Run the best again:**\n\n{_block(rerun, f'the command is in {BEST_FILE}')}"


def _has_report(subject: Subject) -> bool:
    return (subject.folder / REPORT_FILE).exists()


def _link(entry: Entry) -> str:
    page = entry.directory and pages.run_page(entry.directory)
    return f"[{entry.name}]({page})" if page else entry.name


def _params(entry: Entry) -> str:
    return _code(params_text(entry.params))


def _logged_keys(entry: Entry) -> Iterator[str]:
    """The params that a trial's run has; of a configuration group it has the class."""
    logged = _begin(entry).get("params", {})
    for key in entry.params:
        name = key.lstrip("+").replace("@", "_")
        yield next((each for each in (name, f"{name}._target_") if each in logged), name)


def _begin(entry: Entry) -> Mapping[str, Any]:
    if entry.directory is None:
        return {}
    return next((event for event, _ in record.read(entry.directory)), {})


def _last_values(entry: Entry) -> Metrics:
    if entry.directory is None:
        return {}
    history = record.metric_history(entry.directory)
    return {name: pairs[-1][1] for name, pairs in history.items()}


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _plain(words: str | None, longest: int) -> str:
    line = one_line(words or "")
    return line if len(line) <= longest else f"{line[:longest]}..."


def _code(words: str) -> str:
    return f"`{words.replace('`', chr(39))}`"


def _block(command: str, otherwise: str) -> str:
    if len(command) > _LONGEST_COMMAND:
        return otherwise
    return f"```\n{command.replace('```', '')}\n```"
