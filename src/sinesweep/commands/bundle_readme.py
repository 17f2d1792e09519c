"""What the file of an exported sweep says of itself."""

from __future__ import annotations

import textwrap
import time

from sinesweep.commands.standing import STATES, Standing
from sinesweep.redaction import redact
from sinesweep.sweep.wording import seconds_text

_FILES = """\
README.txt                  this text
sweep.yaml                  what makes the sweep what it is: space, configuration, command
state.json                  how its last command ended, and for how many trials it was
study.journal               the study, for Optuna (below)
trials.csv                  a row for each trial
best.yaml                   the overrides that make the best trial, or each of the Pareto set
optimization_results.yaml   the same as hydra-optuna-sweeper writes it
report.html, report/        the report, where one was written: open it in a browser
record.jsonl                what was told of the sweep while it ran, where it was tracked
environment.json            versions: the sweep's own, and those that were installed at export
trials/NUMBER/              a trial: its configuration, metrics and outcome
trials/NUMBER/checkpoints/  the weights; of the best trial, or of the Pareto set, alone
"""


def readme(found: Standing) -> str:
    """Return the text of README.txt."""
    archive = found.archive
    pairs = zip(archive.objectives, archive.directions, strict=True)
    space = "\n".join(f"  {key}={text}" for key, text in archive.definition["space"].items())
    best, what = found.best_words
    return redact(
        f"""\
The sweep {archive.name}, exported {time.strftime("%Y-%m-%d %H:%M:%S %z")}
It was {STATES[found.state]} then: {found.done_text} trials done ({found.counts_text}),
{seconds_text(found.seconds)} of compute.

It asks for: {", ".join(f"{direction} {name}" for name, direction in pairs)}
over
{space}
Best: {f"{best} ({what})" if best else "no trial was completed"}

Files (paths in trials.csv and best.yaml begin in this folder)
{textwrap.indent(_FILES, "  ")}
The study in Python
  import optuna
  from optuna.storages import JournalStorage
  from optuna.storages.journal import JournalFileBackend

  storage = JournalStorage(JournalFileBackend("study.journal"))
  study = optuna.load_study(study_name={archive.name!r}, storage=storage)

Not in here: the other trials' checkpoints, logs, and anything that looked like a password,
which was replaced by ***.
"""
    )
