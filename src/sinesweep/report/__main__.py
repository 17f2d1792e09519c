"""``python -m sinesweep.report FOLDER``: write a sweep's report."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from sinesweep.errors import EXIT_DONE, EXIT_INPUT, InputError
from sinesweep.redaction import redact
from sinesweep.report.process import STORAGE_VARIABLE, TRACKER_VARIABLE
from sinesweep.sweep.entry import RUNNING


def main() -> int:
    """Write the report, and the pictures if asked."""
    options = _parser().parse_args()
    if options.watched:
        threading.Thread(target=_die_with_parent, daemon=True).start()
        if options.state == RUNNING:
            os.nice(10)  # the trials come first
    try:
        _make(options)
    except InputError as error:
        print(redact(f"sinesweep: {error}"), file=sys.stderr)  # noqa: T201
        return EXIT_INPUT
    return EXIT_DONE


def _make(options: argparse.Namespace) -> None:
    from sinesweep.report import build

    subject = build.read(
        options.folder,
        state=options.state,
        tracker=os.environ.get(TRACKER_VARIABLE),
        storage=os.environ.get(STORAGE_VARIABLE),
    )
    if options.pictures:  # first: the tracker gives the last trials their ids in the meantime
        from sinesweep.report.static import draw

        draw(subject)
    build.write(subject)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sinesweep.report", description=__doc__)
    parser.add_argument("folder", type=Path, help="the sweep's")
    parser.add_argument("--pictures", action="store_true", help="draw the PNGs, too")
    parser.add_argument("--state", help="how the sweep stands; default: as its folder has it")
    parser.add_argument("--watched", action="store_true", help="end when standard input does")
    return parser


def _die_with_parent() -> None:
    # Not by sys.stdin: its lock, held here, would stop the interpreter from ending.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
