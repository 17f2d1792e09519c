"""What a report's files are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

REPORT_FILE = "report.html"
WORKERS_FILE = "workers.jsonl"  # which worker was given which trial
PICTURES = "report"  # the folder of the PNGs, beside it


def written(folder: Path) -> Iterator[Path]:
    """Yield the files of a sweep's report that there are."""
    if (folder / REPORT_FILE).exists():
        yield folder / REPORT_FILE
    yield from sorted((folder / PICTURES).glob("*.png"))


def replication_files(folder: Path) -> list[Path]:
    """Return what replications left in a sweep's folder."""
    return sorted(folder.glob("replication*.json"))


def replication_file(key: str | None) -> str:
    """Return the name of what a replication leaves: of the best points, or of each value's best."""
    return "replication.json" if key is None else f"replication-{key}.json"
