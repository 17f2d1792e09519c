"""What a run came to, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sinesweep.config import Config
from sinesweep.errors import InputError
from sinesweep.fairness import PARAMETERS

_ROWS = {
    "val": "val/mae",
    "test": "test/mae",
    "reference_val": "reference/val_mae",
    "reference_test": "reference/test_mae",
}
_SKILLS = {"test": "test/skill", "reference_test": "reference/skill"}


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        objective: the objective's value, of the best epoch where it is reported each epoch.
        metrics: every metric's value: of the best epoch, or the one reported at the end.
        best_epoch: whose weights were kept; counted from 0.
        seconds: from start to end.
        run_id: MLflow's, or None without tracking.
        directory: the run's folder.
        parameters: trainable parameters.
        tracked: whether the tracker has everything.
    """

    objective: float
    metrics: Mapping[str, float]
    best_epoch: int | None
    seconds: float
    run_id: str | None
    directory: Path
    parameters: int
    tracked: bool


def returned(config: Config, result: Result) -> float | tuple[float, ...]:
    """Return what a run tells a sweep.

    Raises:
        InputError: it is not among what the run logs.
    """
    values = values_told(config, result.metrics, result.parameters)
    return tuple(values) if len(values) > 1 else values[0]


def values_told(config: Config, metrics: Mapping[str, float], parameters: int) -> list[float]:
    """Return what a run tells a sweep, always as a list.

    Args:
        config: the checked configuration.
        metrics: what the run told of each, as in :class:`Result`.
        parameters: trainable ones.

    Raises:
        InputError: it is not among what the run logs.
    """
    known = {**metrics, PARAMETERS: float(parameters)}
    missing = [name for name in config.settings.returned if name not in known]
    if missing:
        raise InputError(
            f"returns: must be metrics that the run logs, but {missing[0]!r} is none of "
            f"{', '.join(sorted(known))}"
        )
    return [known[name] for name in config.settings.returned]


def show(result: Result, objective: str, ui: str | None) -> None:
    """Print the table of MAEs beside the baselines, and where to find the run."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    if any(name.startswith("baseline/") for name in result.metrics):
        console.print(_table(result.metrics))
    rows = {
        "objective": f"{objective} = {result.objective:.6f}"
        + (f" (epoch {result.best_epoch})" if result.best_epoch is not None else ""),
        "parameters": f"{result.parameters:,}",
        "time": f"{result.seconds:.1f} s",
        "run": result.run_id or result.directory.name.rpartition("-")[2],
        "folder": str(result.directory),
    }
    if ui:
        rows["compare"] = ui
    for label, value in rows.items():
        console.print(f"{label:<11} {value}", markup=False)


def _table(metrics: Mapping[str, float]) -> Table:
    table = Table(title="mean absolute error", title_justify="left")
    table.add_column("on")
    for column in ("this run", "linear map", "constant", "last value", "skill"):
        table.add_column(column, justify="right")
    for label, name in _ROWS.items():
        cells = [_number(metrics.get(name))]
        cells += [
            _number(metrics.get(f"baseline/{baseline}/{label}_mae"))
            for baseline in ("linear", "constant", "last_value")
        ]
        skill = metrics.get(_SKILLS.get(label, ""))
        cells.append("" if skill is None else f"{skill:+.3f}")
        table.add_row(label.replace("_", " "), *cells)
    table.caption = "skill = 1 - mae / mae of repeating the last value"
    table.caption_justify = "left"
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.5f}"
