"""Tables of series, one a row, as CSV or Parquet: read and checked, and forecasts written."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sinesweep.errors import InputError
from sinesweep.files import write_atomically

if TYPE_CHECKING:
    from pandas import DataFrame, Series

CSV, PARQUET = ".csv", ".parquet"
ID = "id"  # the column that names series, if there is one


@dataclass(frozen=True)
class SeriesTable:
    """Series to be forecast.

    Attributes:
        values: (N, columns), float32: a series a row, its steps in the order of the columns.
        ids: (N,), what the series are called, or None.
    """

    values: NDArray[np.float32]
    ids: Series | None


def suffix_of(path: Path, key: str) -> str:
    """Return which kind of table a file is.

    Raises:
        InputError: its name does not say.
    """
    if path.suffix.lower() not in (CSV, PARQUET):
        raise InputError(f"{key}: must end with {CSV} or {PARQUET}, but is {path}: rename it")
    return path.suffix.lower()


def read(path: Path, id_column: str | None) -> SeriesTable:
    """Read series.

    Args:
        path: the table.
        id_column: the column that names the series; None for ``id``, if there is such a column.

    Raises:
        InputError: it is no table, has no rows, or holds anything but finite numbers.
    """
    frame = _read(path)
    if id_column is not None and id_column not in frame:
        listed = ", ".join(map(str, frame.columns[:5]))
        raise InputError(
            f"--id: must be a column of {path}, but {id_column!r} is none; its first are {listed}"
        )
    name = id_column or (ID if ID in frame else None)
    ids = None if name is None else frame.pop(name)
    _refuse_numbers_for_names(path, list(frame.columns))
    if frame.empty:
        raise InputError(f"{path}: must have a row for each series, but has none")
    for column in frame:
        _refuse_others(path, frame, column)
    return SeriesTable(frame.to_numpy(dtype=np.float32), ids)


def last_steps(table: SeriesTable, steps: int | None, path: Path) -> NDArray[np.float32]:
    """Return the steps that a model reads, the last ones: (N, steps).

    Args:
        table: the series.
        steps: how many it reads; None for all.
        path: of the table, for the message.

    Raises:
        InputError: there are fewer.
    """
    columns = table.values.shape[1]
    steps = columns if steps is None else steps
    if columns < steps:
        raise InputError(
            f"{path}: must have the {steps} steps of each series that the model reads, but has "
            f"{columns} columns of numbers: give longer series, one a row, a step a column"
        )
    return np.array(table.values[:, columns - steps :])  # torch warns of what it cannot write to


def forecasts_of(table: SeriesTable, forecasts: NDArray[np.float32]) -> DataFrame:
    """Return forecasts, (N, steps), as columns ``step_1``, ``step_2`` and so on, beside the ids."""
    names = [f"step_{index + 1}" for index in range(forecasts.shape[1])]
    frame = pd.DataFrame(forecasts, columns=names)
    if table.ids is not None:
        frame.insert(0, table.ids.name, table.ids.to_numpy())
    return frame


def write(frame: DataFrame, path: Path) -> None:
    """Write a table as its name says, whole or not at all."""
    buffer = io.BytesIO()
    if suffix_of(path, "--output") == CSV:
        frame.to_csv(buffer, index=False)
    else:
        frame.to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())


def _read(path: Path) -> DataFrame:
    reader: Callable[[Path], DataFrame] = {CSV: pd.read_csv, PARQUET: pd.read_parquet}[
        suffix_of(path, "INPUT")
    ]
    if not path.is_file():
        raise InputError(f"INPUT: must be a file, but there is none at {path}")
    try:
        return reader(path)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own are among them
        cause = str(error).partition("\n")[0]
        raise InputError(f"{path}: must be a table, but cannot be read ({cause})") from None


def _refuse_numbers_for_names(path: Path, names: Sequence[Any]) -> None:
    """Refuse a table without a line of names: its first series would be taken for that line."""
    # Whole numbers are common names, and pandas adds to a number that is there twice.
    if 2 * sum(map(_is_fraction, names)) > len(names):
        raise InputError(
            f"{path}: the first line must name the columns, but holds numbers: put a line of "
            "names above it, such as t0,t1,t2"
        )


def _is_fraction(name: Any) -> bool:
    try:
        return not float(name).is_integer()
    except ValueError:
        return False


def _refuse_others(path: Path, frame: DataFrame, column: Any) -> None:
    values = frame[column]
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise InputError(_no_numbers(path, list(values), column))
    finite = np.isfinite(values.to_numpy(dtype=np.float64, na_value=np.nan))
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(
            f"{path}: every value must be a finite number, but row {row + 1} has "
            f"{values.iloc[row]} in {column}: fill it in, or leave the series out"
        )


def _no_numbers(path: Path, values: Sequence[Any], column: Any) -> str:
    wrong = [row for row, value in enumerate(values) if not _is_number(value)]
    if not wrong:
        fix = "store the column as numbers, and not as text"
    elif len(wrong) == len(values):
        fix = f"name the column that names the series with --id {column}, or leave it out"
    else:
        fix = "mend it, or leave the series out"
    row = wrong[0] if wrong else 0
    return (
        f"{path}: every column must hold numbers, but row {row + 1} has {values[row]!r} in "
        f"{column}: {fix}"
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)
