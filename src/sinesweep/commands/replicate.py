"""``sinesweep replicate``: is the winner better, or was it lucky?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sinesweep.commands import completion
from sinesweep.commands.arguments import add_place, add_sweep
from sinesweep.commands.overrides import add_overrides
from sinesweep.errors import EXIT_DONE, EXIT_FAILED
from sinesweep.redaction import redact

if TYPE_CHECKING:
    from sinesweep.sweep.archive import Archive
    from sinesweep.winner.replication import Replica
    from sinesweep.winner.verdict import Verdict

HELP = "train the best points again under fresh seeds, and say whether the first is the best"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)
    add_sweep(parser)
    parser.add_argument("--top", type=int, default=5, help="points; default: 5")
    each = parser.add_argument(
        "--each", metavar="KEY", help="instead of the best of all, the best of each value of a key"
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
    from sinesweep.sweep.entry import COMPLETE
    from sinesweep.winner import replication
    from sinesweep.winner.verdict import judge

    archive = archives.find(options.root, options.sweep)
    replicas = replication.plan(
        archive, options.top, options.seeds, options.overrides, options.each, typed=options.typed
    )
    metric = options.metric or replication.default_metric(archive, replicas)
    for replica in replicas:
        if replica.entry.outcome != COMPLETE:
            continue
        replication.value_of(archive, replica.entry, metric)  # refused before anything is trained
    code = _train(archive, replicas, options)
    if code:
        return code
    verdict = judge(archive, replicas, metric, options.seeds)
    _keep(archive, verdict, options)
    if options.json:
        print(json.dumps(verdict.content, indent=2))  # noqa: T201
    else:
        _show(verdict.content)
    return EXIT_DONE


def _train(archive: Archive, replicas: Sequence[Replica], options: argparse.Namespace) -> int:
    from sinesweep.winner import replication

    for replica in replicas:
        print(  # noqa: T201
            f"sinesweep: trial {replica.entry.number} of {archive.name}, number {replica.rank} of "
            f"{len(replicas)}, under {options.seeds} seeds",
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
    from sinesweep.tracking.location import locate

    try:
        for each in paths:
            add_artifact(archive.folder, each, locate(options.uri, options.root))
    except Exception as error:  # noqa: BLE001 # MLflow's stores raise their own libraries' errors
        print(  # noqa: T201
            redact(
                f"sinesweep: the tracker did not take {path} ({error}): sinesweep audit sends it"
            ),
            file=sys.stderr,
        )


def _show(content: Mapping[str, Any]) -> None:
    from rich.table import Table

    from sinesweep.sweep.screen import plain_console, say
    from sinesweep.sweep.wording import figure, params_text

    console = plain_console()
    table = Table(title=f"{content['metric']} over fresh seeds", title_justify="left")
    for title in ("rank", "trial", "mean", "95 % interval", "seeds", "in the sweep"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for point in content["points"]:
        low, high = point["interval"] or (None, None)
        table.add_row(
            str(point["rank"]),
            str(point["trial"]),
            "" if point["mean"] is None else figure(point["mean"]),
            "" if low is None or high is None else f"{figure(low)} .. {figure(high)}",
            str(len(point["values"])),
            "pruned" if point["sweep_value"] is None else figure(point["sweep_value"]),
            params_text(point["params"], short=True),
        )
    console.print()
    console.print(table, markup=False)
    say(console, content["conclusion"])
