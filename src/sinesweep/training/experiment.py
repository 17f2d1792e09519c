"""Object that a module gets as ``self.logger.experiment``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from sinesweep.tracking.tracker import Tracker

_FILES = "files"  # the folder of the run that the module's own files are in


class _Metrics(Protocol):
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...


class RunExperiment:
    """Logs numbers, figures and files of a module to its run.

    The methods are named as in TensorBoard's writer and MLflow's client. Anything else is refused
    by name, since the tracker is told by another process.

    Args:
        metrics: takes numbers.
        tracker: takes files and tags.
    """

    def __init__(self, metrics: _Metrics, tracker: Tracker) -> None:
        self._metrics = metrics
        self._tracker = tracker

    def add_scalar(self, tag: str, scalar_value: float, global_step: int | None = None) -> None:
        """Log a number."""
        self.log_metrics({tag: scalar_value}, global_step)

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        """Log a number."""
        self.log_metrics({key: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers of one step; without one, of this batch, or of this epoch between batches."""
        self._metrics.log_metrics(dict(metrics), step)

    def add_figure(self, tag: str, figure: Any, global_step: int | None = None) -> None:
        """Save a Matplotlib figure as a PNG file, and log that."""
        name = tag if global_step is None else f"{tag}-{global_step}"
        self._log_file(f"{name}.png", lambda path: figure.savefig(path))

    def log_figure(self, figure: Any, artifact_file: str) -> None:
        """Save a Matplotlib figure under a name, and log that file."""
        self._log_file(artifact_file, lambda path: figure.savefig(path))

    def log_text(self, text: str, artifact_file: str) -> None:
        """Save a text under a name, and log that file."""
        self._log_file(artifact_file, lambda path: path.write_text(text, encoding="utf-8"))

    def log_artifact(self, local_path: str | Path) -> None:
        """Copy a file into the run's folder, and log it."""
        content = Path(local_path).read_bytes()
        self._log_file(Path(local_path).name, lambda path: path.write_bytes(content))

    def set_tag(self, key: str, value: Any) -> None:
        """Set a tag of the run."""
        self._tracker.log_tags({key: str(value)})

    def _log_file(self, name: str, write: Any) -> None:
        folder = self._tracker.directory / _FILES
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise ValueError(f"the name of a file must stay within the run, but is {name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        self._tracker.log_artifact(folder / path.relative_to(folder.resolve()))

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(each for each in vars(RunExperiment) if not each.startswith("_"))
        raise AttributeError(
            f"self.logger.experiment has no {name}; it has {known}. For anything else take "
            "mlflow.MlflowClient() with the run id self.logger.version"
        )
