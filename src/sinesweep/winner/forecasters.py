"""Models that are ready to forecast: the champion of a registry, or any run's."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinesweep import runs
from sinesweep.errors import InputError
from sinesweep.tracking.location import Location
from sinesweep.winner.finding import Found

_ROWS = 4096  # series that are forecast at once

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Forecaster:
    """A loaded model.

    Attributes:
        words: what a reader calls it.
        input_steps: how many steps of a series it reads; None where it does not say.
        predict: maps (N, input_steps) to (N, output_steps).
    """

    words: str
    input_steps: int | None
    predict: Predict

    def forecast(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Forecast any number of series: (N, input_steps) to (N, output_steps)."""
        parts = [
            np.asarray(self.predict(inputs[start : start + _ROWS]), dtype=np.float32)
            for start in range(0, len(inputs), _ROWS)
        ]
        return np.concatenate(parts)


def of_run(found: Found) -> Forecaster:
    """Load a run's best checkpoint; no tracker is asked.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from sinesweep.training.checkpoint import BEST, load_module
    from sinesweep.training.forecasting import forecast

    best = found.directory / runs.CHECKPOINTS / BEST
    if not best.exists():
        raise InputError(
            f"{found.words}: must have a checkpoint to forecast with, but {best} does not exist: "
            "choose a run that has trained an epoch, or the champion by leaving --run out"
        )
    module = load_module(best)
    steps = found.config.get("data", {}).get("input_steps")
    return Forecaster(found.words, steps, lambda inputs: forecast(module, inputs))


def champion(location: Location, name: str | None, alias: str, root: Path) -> Forecaster:
    """Load the version of a registered model that has an alias.

    Args:
        location: the tracker, which was checked.
        name: the registered model's; None where only one has the alias.
        alias: such as ``champion``.
        root: where the runs are, for the message.

    Raises:
        InputError: there is none, or more than one.
    """
    from sinesweep.tracking.registry import Registry

    registry = Registry(location)
    found = [registry.with_alias(name, alias)] if name else registry.all_with_alias(alias)
    if len(found) > 1:
        listed = ", ".join(str(each) for each in found)
        raise InputError(f"--name: must name one of the {alias}s, {listed}: add --name")
    if not found or found[0] is None:
        whose = f" of {name}" if name else ""
        fix = _instead(alias, registry.aliases(name), root)
        raise InputError(f"{alias}: there must be one{whose}, but there is none: {fix}")
    model = registry.load_registered(found[0])
    return Forecaster(f"{found[0]} ({alias})", _input_steps(model), model.predict)


def _instead(alias: str, known: Sequence[str], root: Path) -> str:
    close = difflib.get_close_matches(alias, known, n=1)
    if close:
        return f"did you mean --alias {shlex.quote(close[0])}?"
    place = "" if root == Path("mlruns") else f" --root {shlex.quote(str(root))}"
    return f"make one with sinesweep promote SWEEP{place}, or forecast with --run SWEEP/NUMBER"


def _input_steps(model: Any) -> int | None:
    signature = model.metadata.signature
    shape = signature.inputs.inputs[0].shape if signature else ()
    return shape[-1] if len(shape) == 2 and shape[-1] > 0 else None
