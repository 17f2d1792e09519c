"""The model that MLflow loads and serves: a checkpoint behind one predict method.

MLflow runs this file as a script, with sinesweep's code beside it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedForecaster(PythonModel):
    """Forecasts of a checkpoint's network."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the checkpoint when the model is loaded."""
        from sinesweep.training.checkpoint import load_module

        secrets = (context.model_config or {}).get("model", {})
        self._module = load_module(context.artifacts["checkpoint"], **secrets)

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride] # theirs returns nothing
        self,
        context: PythonModelContext,  # noqa: ARG002 # MLflow's interface
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Forecast each row.

        Args:
            context: unused.
            model_input: (N, input_steps), float32: what each series was.
            params: unused.

        Returns:
            (N, output_steps), float32: what each series will be.
        """
        from sinesweep.training.forecasting import forecast

        return forecast(self._module, np.asarray(model_input, dtype=np.float32))


set_model(ServedForecaster())
