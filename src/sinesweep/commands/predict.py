"""``sinesweep predict``: series in, forecasts out."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sinesweep.commands.arguments import add_place, add_run
from sinesweep.commands.promote import CHAMPION
from sinesweep.errors import EXIT_DONE, InputError
from sinesweep.redaction import redact

if TYPE_CHECKING:
    from sinesweep.winner.forecasters import Forecaster

HELP = "forecast series of a CSV or Parquet file with the champion, or with any run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the command's arguments."""
    add_place(parser)
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        help="CSV or Parquet: a series a row, a step a column, oldest first; the last are read",
    )
    parser.add_argument("--output", type=Path, help="CSV or Parquet; default: CSV to the terminal")
    parser.add_argument("--id", metavar="COLUMN", help="names the series, and is kept; default: id")
    add_run(parser, "instead of the champion: a run's name, id, or SWEEP/NUMBER")
    parser.add_argument("--name", help="of the registered model; default: the only one")
    parser.add_argument("--alias", default=CHAMPION, help=f"default: {CHAMPION}")


def run(options: argparse.Namespace) -> int:
    """Forecast."""
    for package in ("pandas", "pyarrow"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{package} must be installed to read tables, but is not: "
                "pip install 'sinesweep[mlflow]'"
            )
    from sinesweep.winner import tables

    if options.output is not None:
        _check_output(options.output)
    table = tables.read(options.input, options.id)  # before a model is loaded, which takes seconds
    forecaster = _load(options)
    inputs = tables.last_steps(table, forecaster.input_steps, options.input)
    frame = tables.forecasts_of(table, forecaster.forecast(inputs))
    if options.output is None:
        frame.to_csv(sys.stdout, index=False)
    else:
        tables.write(frame, options.output)
    print(redact(_summary(inputs.shape, table.values.shape[1], forecaster)), file=sys.stderr)  # noqa: T201
    return EXIT_DONE


def _check_output(path: Path) -> None:
    from sinesweep.winner import tables

    tables.suffix_of(path, "--output")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--output: its folder must exist, but {path.parent} does not: make it")


def _load(options: argparse.Namespace) -> Forecaster:
    from sinesweep.winner import forecasters

    if options.run is not None:
        from sinesweep.winner.finding import find_run

        return forecasters.of_run(find_run(options.root, options.run))
    from sinesweep.tracking.location import OF_A_COMMAND, check, locate

    location = locate(options.uri, options.root, OF_A_COMMAND)
    check(location)
    return forecasters.champion(location, options.name, options.alias, options.root)


def _summary(shape: tuple[int, ...], columns: int, forecaster: Forecaster) -> str:
    count, steps = shape
    read = f"the last {steps} of {columns} steps" if columns > steps else f"{steps} steps"
    series = "1 series" if count == 1 else f"{count} series"
    return f"sinesweep: {series} forecast from {read} with {forecaster.words}"
