"""From a sweep's folder to its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sinesweep.files import write_atomically
from sinesweep.report import comparisons, grids, page, parameters, progress
from sinesweep.report.files import REPORT_FILE
from sinesweep.report.subject import Subject, read
from sinesweep.sweep import archive


def build(
    folder: Path,
    *,
    state: str | None = None,
    tracker: str | None = None,
    storage: str | None = None,
) -> Subject:
    """Write ``report.html`` into a sweep's folder.

    Args:
        folder: the sweep's.
        state: how the sweep stands; None: as its folder has it.
        tracker: the tracker's address; None: as MLFLOW_TRACKING_URI has it.
        storage: the study's address with its password, which the folder does not have.

    Returns:
        What the report is about.

    Raises:
        InputError: the study's storage does not answer.
    """
    found = archive.read(folder)
    if storage is not None:
        found = replace(found, storage=storage)
    subject = read(found, state=state or found.state, question=found.question, tracker=tracker)
    write_atomically(folder / REPORT_FILE, page.render(subject, sections(subject)).encode())
    return subject


def sections(subject: Subject) -> list[page.Section]:
    """Return the pictures that there is something to show in, under their headings."""
    return [
        ("What it answers", [*comparisons.baselines(subject), *comparisons.depth(subject)]),
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
