"""Has a Hydra application say what its function returned, and where, without touching it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode

from sinesweep.files import write_atomically
from sinesweep.redaction.hydra import hide_in_folder_names, prepare_redaction, redact_files
from sinesweep.sweep.outcome import listed
from sinesweep.sweep.space import value_text
from sinesweep.tracking import provenance


@dataclass(frozen=True)
class Returned:
    """What one run of a function came to.

    Attributes:
        values: the numbers that it returned; none where it returned anything else.
        directory: its folder.
        tags: what it was run with; see :func:`sinesweep.tracking.provenance.tags`.
    """

    values: tuple[float, ...]
    directory: Path
    tags: dict[str, str]


class Teller(Callback):
    """Writes what the function returned into a file, and keeps secrets out of Hydra's own files.

    Args:
        path: the file; it appears if the function returned in a single run.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Keep secrets out of the files and folder names that Hydra makes for the run."""
        prepare_redaction(config, sys.argv[1:])
        hide_in_folder_names(config)
        redact_files()

    def on_job_end(self, config: Any, job_return: Any, **_: Any) -> None:
        """Write the file."""
        if job_return.status != JobStatus.COMPLETED or config.hydra.mode == RunMode.MULTIRUN:
            return
        content = {
            "values": _numbers(job_return.return_value),
            "directory": config.hydra.runtime.output_dir,
            "tags": provenance.tags(),
        }
        write_atomically(self._path, json.dumps(content).encode())


def overrides(path: Path) -> list[str]:
    """Return the overrides that have an application tell into a file."""
    key = "hydra.callbacks.sinesweep_returned"
    target = f"{Teller.__module__}.{Teller.__qualname__}"
    return [f"+{key}._target_={target}", f"+{key}.path={value_text(str(path))}"]


def read(path: Path) -> Returned | None:
    """Return what was told, or None where nothing was."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return Returned(tuple(content["values"]), Path(content["directory"]), content["tags"])


def _numbers(value: Any) -> list[float]:
    try:
        return [float(each) for each in listed(value)]
    except (TypeError, ValueError):
        return []
