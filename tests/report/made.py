"""Sweeps' folders made by hand, and pages read as a browser reads them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from sinesweep.sweep import archive
from sinesweep.sweep.plan import DEFINITION_FILE
from sinesweep.sweep.storage import open_storage
from sinesweep.tracking.record import Record

_BEGUN = datetime.datetime(2026, 1, 1, 12)


@dataclass(frozen=True)
class Made:
    """A trial to be made; ``values`` make it complete, where ``state`` does not say otherwise."""

    params: Mapping[str, Any]
    values: Sequence[float] | None = None
    state: TrialState = TrialState.COMPLETE
    curve: Mapping[int, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    begin: float = 0.0  # seconds
    seconds: float = 10.0


def make_sweep(
    folder: Path,
    trials: Sequence[Made],
    *,
    objectives: Sequence[str] = ("val/mae",),
    arguments: Sequence[str] = ("app.py", "-m", "x=0,1"),
    question: str | None = None,
    noise: float = 0.05,
) -> Path:
    """Write a finished sweep, as a command would have left it."""
    folder.mkdir(parents=True)
    directions = ["minimize"] * len(objectives)
    content = {
        "study": {"name": folder.name, "storage": None},
        "command": {"arguments": list(arguments), "directory": "/home/someone", "fixed": []},
        "values": list(objectives),
        "question": question,
        "definition": {"objectives": directions, "space": {}, "config": {"data": {"noise": noise}}},
    }
    (folder / DEFINITION_FILE).write_text(yaml.safe_dump(content))
    archive.save_state(folder, "COMPLETE", len(trials))
    study = optuna.create_study(
        study_name=folder.name, storage=open_storage(None, folder), directions=directions
    )
    for number, made in enumerate(trials):
        study.add_trial(_frozen(number, made))
        directory = folder / "trials" / str(number)
        directory.mkdir(parents=True)
        Record(directory).append_metrics(made.metrics, 0)
    return folder


def _frozen(number: int, made: Made) -> FrozenTrial:
    begin = _BEGUN + datetime.timedelta(seconds=made.begin)
    is_running = made.state == TrialState.RUNNING
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=made.state,
        value=None,
        values=made.values,
        datetime_start=begin,
        datetime_complete=None if is_running else begin + datetime.timedelta(seconds=made.seconds),
        params=dict(made.params),
        distributions={key: _distribution(value) for key, value in made.params.items()},
        user_attrs=dict(made.attributes),
        system_attrs={f"constraints:{name}": value for name, value in made.constraints.items()},
        intermediate_values=dict(made.curve),
    )


def _distribution(value: Any) -> BaseDistribution:
    if isinstance(value, str):
        return CategoricalDistribution([value, "another"])
    if isinstance(value, int):
        return IntDistribution(0, 1000)
    return FloatDistribution(1e-6, 1e3, log=True)


class Page(HTMLParser):
    """A page's texts by the ids that they are in, its rows, and what its elements refer to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._inside: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.references: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.figures = json.loads(self.texts["figures"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.references += [(tag, k, v or "") for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "link", "img", "br"):
            self._inside.append((tag, given.get("id")))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, name in self._inside:
            if name:
                self.texts[name] = self.texts.get(name, "") + data
        if self._inside and any(tag in ("td", "th") for tag, _ in self._inside):
            self.rows[-1][-1] += data

    def names(self, figure: str) -> list[str]:
        """Return what a figure's traces are called."""
        return [trace.get("name", "") for trace in self.figures[figure]["traces"]]
