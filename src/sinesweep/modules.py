"""The folders that classes of the user's own are imported from.

Python looks into the folder of the script alone. A configuration also names classes of modules in
the working directory, and beside the folder of ``--config-dir``. These folders come last, so that
they hide neither installed packages nor the standard library.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from sinesweep.sweep.rerun import config_flags
from sinesweep.tracking import record

TAG = "sinesweep.modules"  # of a run: the folders that were added for it


def add_folders(arguments: Sequence[str]) -> None:
    """Import from the working directory, and from beside the folder that a command names.

    Args:
        arguments: the command's.
    """
    flags = config_flags(arguments)
    named = [value for flag, value in zip(flags[::2], flags[1::2], strict=True) if flag == _FLAG]
    _add([Path.cwd(), *(Path(value).absolute().parent for value in named)])


def add_folders_of_run(directory: Path) -> None:
    """Import from where a run did, as far as the folders are still there."""
    event = next((event for event, _ in record.read(directory)), None) if _has(directory) else None
    found = (event or {}).get("tags", {}).get(TAG, "")
    _add(path for path in map(Path, filter(None, found.split(os.pathsep))) if path.is_dir())


def added() -> list[str]:
    """Return the folders that were added."""
    return list(_added)


def tags() -> dict[str, str]:
    """Return the tag that names the folders, if any were added."""
    return {TAG: os.pathsep.join(_added)} if _added else {}


_FLAG = "--config-dir"
_added: list[str] = []


def _add(folders: Iterable[Path]) -> None:
    for folder in map(str, folders):
        if folder not in sys.path:
            sys.path.append(folder)
        if folder not in _added:
            _added.append(folder)


def _has(directory: Path) -> bool:
    return (directory / record.FILE_NAME).exists()
