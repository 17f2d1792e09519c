"""A pruner that prunes nothing, whatever it is configured with."""

from __future__ import annotations

from typing import Any

from optuna.pruners import NopPruner as OptunasNopPruner


class NopPruner(OptunasNopPruner):
    """Optuna's, made in the place of another one whose arguments a sweep file still gives.

    Args:
        unused: those.
    """

    def __init__(self, **unused: Any) -> None:  # noqa: ARG002
        super().__init__()
