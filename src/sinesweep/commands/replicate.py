"""``sinesweep replicate``: is the winner better, or was it lucky?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sinesweep.commands import completion
from sinesweep.commands.arguments import add_place, add_sweep
from sinesweep.commands.overrides import add_overrides
from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sinesweep.sweep.archive import Archive
    from sinesweep.tracking.location import Location
    from sinesweep.winner.replication import Replica
    from sinesweep.winner.verdict import Verdict

HELP = "train the best points again under fresh seeds, and say whether the first is the best"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)
    add_sweep(parser)
    parser.add_argument("--top", type=int, default=5, help="points; default: 5")
    each = parser.add_argument(
        "--each",
        metavar="KEY",
        help="not the best points, but the best one with each value of KEY",
    )
    completion.offer(each, completion.swept_keys)
    parser.add_argument("--seeds", type=int, default=10, help="of each point; default: 10")
    parser.add_argument(
        "--metric", help="default: reference/test_mae, or where there is none the objective"
    )
    parser.add_argument("--json", action="store_true", help="print what replication.json holds")
    add_overrides(parser)


def run(options: argparse.Namespace) -> int:
    """Replicate, compare, and leave the result in the sweep's folder."""
    from sinesweep.sweep import archive as archives
    from sinesweep.winner import replication
    from sinesweep.winner.verdict import judge

    archive = archives.find(options.root, options.sweep)
    replicas = replication.plan(
        archive, options.top, options.seeds, options.overrides, options.each, typed=options.typed
    )
    metric = options.metric or replication.default_metric(archive, replicas)
    for replica in replicas:
        replication.value_of(archive, replica.entry, metric)  # refused before anything is trained
    code = _train(archive, replicas, options)
    if code:
        return code
    verdict = judge(archive, replicas, metric, options.seeds)
    _keep(archive, verdict, options)
    if options.json:
        print(json.dumps(verdict.content, indent=2))  # noqa: T201
    else:
        show(verdict.content)
    return EXIT_DONE


def _train(archive: Archive, replicas: Sequence[Replica], options: argparse.Namespace) -> int:
    from sinesweep.winner import replication

    for number, replica in enumerate(replicas, start=1):
        print(  # noqa: T201
            f"sinesweep: {replica.label} of {archive.name}, number {number} of {len(replicas)}, "
            f"under {options.seeds} seeds",
            file=sys.stderr,
            flush=True,
        )
        try:
            code = replication.run(archive, replica, options.seeds, aside=options.json)
        except KeyboardInterrupt:
            print("sinesweep: the same command goes on from here", file=sys.stderr)  # noqa: T201
            raise
        if code:
            print(  # noqa: T201
                f"sinesweep: the sweep {replica.folder.name} must end well, but ended with "
                f"{code}: mend its cause, and give the same command again",
                file=sys.stderr,
            )
            return code if code > 0 else EXIT_FAILED
    return EXIT_DONE


def _keep(archive: Archive, verdict: Verdict, options: argparse.Namespace) -> None:
    """Write the result into the sweep's folder, and have it sent where the sweep is tracked."""
    from sinesweep.files import write_atomically
    from sinesweep.report.files import REPORT_FILE, replication_file
    from sinesweep.tracking import record

    path = archive.folder / replication_file(options.each)
    write_atomically(path, json.dumps(verdict.content, indent=2).encode())
    paths = [path]
    if (archive.folder / REPORT_FILE).exists():
        from sinesweep.report import build

        paths.append(build.write(build.read(archive.folder)))
    if not (archive.folder / record.FILE_NAME).exists():
        return
    from sinesweep.tracking.addition import add_artifact

    try:
        for each in paths:
            add_artifact(archive.folder, each, _tracker(archive, options))
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        print(  # noqa: T201
            redact(
                f"sinesweep: the tracker did not take {path} ({error}): sinesweep sync sends it"
            ),
            file=sys.stderr,
        )


def _tracker(archive: Archive, options: argparse.Namespace) -> Location | None:
    """Return the tracker that has the sweep, or None if none is known to have it."""
    from sinesweep.tracking.location import OF_A_COMMAND, locate

    uri = options.uri or (archive.tracking.uri if archive.tracking else None)
    if uri and HIDDEN in uri:
        return None
    location = locate(uri, archive.root or options.root, OF_A_COMMAND)
    return location if location.exists else None  # to send would make a database


def show(content: Mapping[str, Any]) -> None:
    """Print what ``replication.json`` holds, as a table and a sentence."""
    from sinesweep.sweep.screen import plain_console, say

    console = plain_console()
    console.print()
    _show_points(content, console)
    say(console, content["conclusion"])


def _show_points(content: Mapping[str, Any], console: Console) -> None:
    """Print the points, their parameters below the table where they would be broken in it."""
    from sinesweep.commands.tables import fits, show_table
    from sinesweep.sweep.screen import say
    from sinesweep.sweep.wording import params_text

    texts = [params_text(point["params"], short=True) for point in content["points"]]
    table = _table(content, texts)
    if fits(table, console):
        show_table(table, console)
        return
    show_table(_table(content, None), console)
    width = max(len(point["label"]) for point in content["points"])
    for point, text in zip(content["points"], texts, strict=True):
        say(console, f" {point['label']:<{width}}  {text}")
    say(console, "")


def _table(content: Mapping[str, Any], texts: Sequence[str] | None) -> Table:
    """Return the points as a table, with or without a column of their parameters."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{content['metric']} over fresh seeds", title_justify="left")
    for title in ("rank", "point", "mean", "95 % interval", "seeds", "in the sweep"):
        table.add_column(title, justify="right", no_wrap=True)
    if texts is not None:
        table.add_column("parameters", no_wrap=True)
    for index, point in enumerate(content["points"]):
        table.add_row(*_cells(point), *([] if texts is None else [Text(texts[index])]))
    return table


def _cells(point: Mapping[str, Any]) -> Iterator[str]:
    from sinesweep.sweep.wording import figure

    low, high = point["interval"] or (None, None)
    yield str(point["rank"])
    yield point["label"]
    yield "" if point["mean"] is None else figure(point["mean"])
    yield "" if low is None or high is None else f"{figure(low)} .. {figure(high)}"
    yield str(len(point["values"]))
    yield "" if point["sweep_value"] is None else figure(point["sweep_value"])
