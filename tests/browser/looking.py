"""What tests look at: a tracked sweep, the pages of it, the tables on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.sweep.archive import Archive
from sinesweep.tracking.location import Location

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 1400, 900  # of a page, in pixels


@dataclass(frozen=True)
class Tracked:
    """A finished sweep of the reference task.

    Attributes:
        root: the mlruns folder.
        archive: the sweep, as its folder has it.
        location: its tracker.
    """

    root: Path
    archive: Archive
    location: Location


@dataclass(frozen=True)
class Server:
    """``sinesweep ui``.

    Attributes:
        url: where it answers.
        said: what it printed before that.
    """

    url: str
    said: list[str]

    def address(self, page: str | None) -> str:
        """Return the whole address of a page."""
        assert page is not None
        return f"{self.url}/{page}"


def run_names(page: Page) -> list[str]:
    """Return the names in a table of runs, from top to bottom."""
    rows = page.locator(".ag-pinned-left-cols-container .ag-row:has(a)").all()
    placed = [(int(row.get_attribute("row-index") or 0), row) for row in rows]
    return [row.get_by_role("link").first.inner_text() for _, row in sorted(placed, key=_first)]


def _first(pair: tuple[int, object]) -> int:
    return pair[0]


def titles(page: Page) -> list[str]:
    """Return the titles of a table's columns, from left to right."""
    cells = page.locator(".ag-header-cell").all()
    placed = [(cell.bounding_box() or {"x": 0})["x"] for cell in cells]
    texts = [re.sub(r"\s+", " ", cell.inner_text()).strip() for cell in cells]
    return [text for _, text in sorted(zip(placed, texts, strict=True)) if text]
