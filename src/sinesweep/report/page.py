"""Puts pictures, tables and commands together into one page that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import html
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from plotly.offline import get_plotlyjs

import sinesweep
from sinesweep.report.heading import commands, heading
from sinesweep.report.picture import Picture
from sinesweep.report.subject import Subject
from sinesweep.report.table import trials_table

_HERE = Path(__file__).parent

Section = tuple[str, Sequence[Picture]]


def render(subject: Subject, sections: Iterable[Section]) -> str:
    """Return the page.

    Args:
        subject: the sweep.
        sections: a heading, and the pictures below it; those without pictures are left out.
    """
    shown = [(title, pictures) for title, pictures in sections if pictures]
    pictures = [picture for _, section in shown for picture in section]
    body = "\n".join(
        [
            heading(subject),
            *(_section(title, pictures) for title, pictures in shown),
            commands(subject),
            trials_table(subject),
            _footer(),
        ]
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(subject.name)}: a sweep</title>
<style id="style">{(_HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main id="main">
{body}
</main>
<script type="application/json" id="figures">{_figures(pictures)}</script>
<script type="text/plain" id="plotly">{_packed_plotly() if pictures else ""}</script>
<script>{(_HERE / "page.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _section(title: str, pictures: Sequence[Picture]) -> str:
    shown = "\n".join(_figure(picture) for picture in pictures)
    return f'<section><h2>{html.escape(title)}</h2><div class="pictures">{shown}</div></section>'


def _figure(picture: Picture) -> str:
    title, sentence = html.escape(picture.title), html.escape(picture.sentence)
    size = f"height:{picture.height}px;min-width:{picture.least_width}px"
    return f"""<figure class="card picture{" wide" if picture.is_wide else ""}">
<h3>{title}</h3>
<div class="scroll"><div class="plot" id="{picture.name}" role="img"
aria-label="{title}: {sentence}" style="{size}">
<noscript>The figure needs JavaScript.</noscript></div></div>
<figcaption>{sentence}</figcaption>
</figure>"""


def _figures(pictures: Sequence[Picture]) -> str:
    content = {p.name: {"traces": p.traces, "layout": p.layout} for p in pictures}
    # No text in it can end the element that it is in.
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _packed_plotly() -> str:
    """Return plotly.js in 2 MB instead of 5; the browser unpacks it."""
    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=6, mtime=0)
    return base64.b64encode(packed).decode()


def _footer() -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"<footer>Written {now} by sinesweep {sinesweep.__version__}.</footer>"
