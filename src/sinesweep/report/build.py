"""From a sweep's folder to its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sinesweep.errors import InputError
from sinesweep.files import write_atomically
from sinesweep.report import comparisons, grids, page, parameters, progress
from sinesweep.report import subject as subjects
from sinesweep.report.files import REPORT_FILE
from sinesweep.report.relatives import relatives
from sinesweep.report.subject import Subject
from sinesweep.sweep import archive
from sinesweep.sweep.plan import DEFINITION_FILE


def read(
    folder: Path,
    *,
    state: str | None = None,
    tracker: str | None = None,
    storage: str | None = None,
) -> Subject:
    """Read a sweep for its report.

    Args:
        folder: the sweep's.
        state: how the sweep stands; None: as its folder has it.
        tracker: the tracker's address; None: as MLFLOW_TRACKING_URI has it.
        storage: the study's address with its password, which the folder does not have.

    Raises:
        InputError: the folder is no sweep's, or the study's storage does not answer.
    """
    if not (folder / DEFINITION_FILE).exists():
        raise InputError(f"{folder}: must be the folder of a sweep, but has no {DEFINITION_FILE}")
    found = archive.read(folder)
    if storage is not None:
        found = replace(found, storage=storage)
    return subjects.read(found, state=state or found.state, tracker=tracker)


def write(subject: Subject) -> Path:
    """Write ``report.html`` into the sweep's folder, and return its path."""
    path = subject.folder / REPORT_FILE
    write_atomically(path, page.render(subject, sections(subject)).encode())
    return path


def sections(subject: Subject) -> list[page.Section]:
    """Return the pictures that there is something to show in, under their headings."""
    return [
        (
            "What it answers",
            [
                *comparisons.baselines(subject, relatives(subject)),
                *comparisons.depth(subject),
            ],
        ),
        ("What accuracy costs", comparisons.pareto(subject)),
        ("Decay ranges", grids.decay_ranges(subject)),
        ("How it got there", progress.best_so_far(subject)),
        (
            "What matters",
            [
                *parameters.importances(subject),
                *grids.heat_map(subject),
                *parameters.parallel(subject),
                *parameters.slices(subject),
            ],
        ),
        ("While it ran", [*progress.curves(subject), *progress.timeline(subject)]),
    ]
