"""What a run says at its end where the tracker was not told everything."""

from __future__ import annotations

import shlex
from pathlib import Path

from sinesweep.redaction import redact


def warning(directory: Path, root: str, uri: str | None) -> str:
    """Return where the rest of a record is kept, and the command that sends it.

    Args:
        directory: the run's folder, or the sweep's.
        root: the folder that runs are recorded in.
        uri: the tracker's address, where it was given.
    """
    return (
        "sinesweep: the tracker did not take everything; what is missing is kept in "
        f"{directory}: once the tracker answers, send it with\n  sinesweep sync{place(root, uri)}"
    )


def place(root: str, uri: str | None) -> str:
    """Return what to type after a command for it to look there, without credentials."""
    flags = "" if Path(root) == Path("mlruns") else f" --root {shlex.quote(root)}"
    return flags + (f" --uri {shlex.quote(redact(uri))}" if uri else "")
