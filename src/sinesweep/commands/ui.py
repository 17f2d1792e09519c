"""``sinesweep ui``: MLflow's pages, for this machine alone."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from sinesweep.commands.arguments import add_place
from sinesweep.errors import InputError
from sinesweep.tracking.location import OF_A_COMMAND, check, locate
from sinesweep.tracking.record import STATE_FILE

HELP = "open MLflow's pages on this machine"
HOST = "127.0.0.1"

# For one reader of runs: no processes that judge the answers of language models.
_LIGHT = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
_MOST_SWEEPS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)
    parser.add_argument("--port", type=int, default=5000, help="default: 5000")


def run(options: argparse.Namespace) -> int:
    """Serve the pages until Ctrl-C."""
    return serve(options.root, options.uri, options.port)


def serve(root: Path, uri: str | None, port: int) -> int:
    """Become an MLflow server on 127.0.0.1.

    Raises:
        InputError: nothing was recorded there, or the port is taken.
    """
    location = locate(uri, root, OF_A_COMMAND)
    check(location)
    if location.uri.startswith("http"):
        raise InputError(f"the tracker is a server already: open {location.shown}")
    if not location.exists:
        raise InputError(
            f"--root: there must be runs to show, but {root} has no mlflow.db: run a training "
            "first, or name its folder with --root"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise InputError(
                f"--port: must be free, but {port} is not ({error.strerror}): try --port {port + 1}"
            ) from None
    for line in _addresses(root, f"http://{HOST}:{port}"):
        print(line, flush=True)  # noqa: T201
    # The address goes by the environment: it can hold a password, and arguments are public.
    environment = {**_LIGHT, **os.environ, "MLFLOW_BACKEND_STORE_URI": location.uri}
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    arguments = [*command, "--host", HOST, "--port", str(port)]
    os.execve(sys.executable, arguments, environment)  # our own arguments


def _addresses(root: Path, server: str) -> Iterator[str]:
    """Yield lines that say where the pages are, and where the newest sweeps are on them."""
    from sinesweep.sweep.archive import folders
    from sinesweep.tracking.pages import experiment_page, run_page

    sent = [folder for folder in folders(root) if run_page(folder)]
    newest = sorted(sent, key=lambda folder: (folder / STATE_FILE).stat().st_mtime, reverse=True)
    first = f"/{experiment_page(newest[0])}" if newest else ""
    yield f"{server}{first}  (Ctrl-C ends it)"
    width = max((len(folder.name) for folder in newest[:_MOST_SWEEPS]), default=0)
    for folder in newest[:_MOST_SWEEPS]:
        yield f"  {folder.name:<{width}}  {server}/{run_page(folder)}"
