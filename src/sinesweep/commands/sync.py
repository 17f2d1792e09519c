"""``sinesweep sync``: send what the tracker was not told, and judge nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.commands.arguments import add_place
from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import redact

if TYPE_CHECKING:
    from sinesweep.commands.finding import Finding

HELP = "send what the tracker is missing; unlike audit, close nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)


def run(options: argparse.Namespace) -> int:
    """Print what came of each record that was not sent; 1 where something is still to be sent."""
    found = []
    for each in _sync(options.root, options.uri):
        print(redact(each.text), flush=True)  # noqa: T201
        found.append(each)
    left = [each.unsent for each in found if each.remains]
    if left:
        from sinesweep.sweep.wording import counted

        print(  # noqa: T201
            f"sinesweep: still to be sent: {counted(sum(left), 'event')} of "
            f"{counted(len(left), 'record')}; sync again once the cause is mended",
            file=sys.stderr,
        )
    elif not found:
        print(f"the tracker has everything that was recorded in {options.root}")  # noqa: T201
    return EXIT_FAILED if left else EXIT_DONE


def _sync(root: Path, uri: str | None) -> Iterator[Finding]:
    from sinesweep import runs
    from sinesweep.commands.sending import Sender, shown, sweep_folders
    from sinesweep.tracking.location import OF_A_COMMAND, check_kind, locate

    location = locate(uri, root, OF_A_COMMAND)
    check_kind(location)
    sender = Sender(location)
    for folder in runs.folders(root):
        for found in sender.run(folder):
            yield replace(found, text=f"{folder.name}: {found.text}")
    for folder in sweep_folders(root):
        for found in sender.sweep(folder):
            yield replace(found, text=f"{shown(folder, root)}: {found.text}")
