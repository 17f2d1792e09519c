"""What a run tells about itself, and the writer process that passes it on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sinesweep.errors import InputError
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import FILE_NAME, Record
from sinesweep.tracking.writer import ARTIFACTS_VARIABLE, URI_VARIABLE

LOG_FILE = "tracking.log"


@dataclass(frozen=True)
class Dataset:
    """A set of series as MLflow lists it: name, hash of its arrays, use and size."""

    name: str
    digest: str
    context: str
    source: str
    profile: Mapping[str, Any]


class Tracker:
    """Writes the record of one run and, with a location, keeps a writer process at it.

    Args:
        directory: the run's folder.
        location: the tracker, or None to keep the record in the folder alone.
    """

    def __init__(self, directory: Path, location: Location | None) -> None:
        self.directory = directory
        self.location = location
        self.run_id: str | None = None
        self.is_open = False
        self._record: Record | None = None
        self._writer = None if location is None else _start_writer(directory, location)

    def begin(
        self,
        name: str,
        experiment: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        datasets: Sequence[Dataset],
    ) -> None:
        """Open the run; it exists in the tracker when this returns.

        Raises:
            InputError: the tracker refused it.
        """
        self.record.append(
            "begin",
            name=name,
            experiment=experiment,
            params=dict(params),
            tags=dict(tags),
            datasets=[vars(dataset) for dataset in datasets],
        )
        self.is_open = True
        self._wait_for_run()

    def resume(self, tags: Mapping[str, Any]) -> None:
        """Open the run again, under its old id."""
        self.record.append("resume", tags=dict(tags))
        self.is_open = True
        self._wait_for_run()

    @property
    def record(self) -> Record:
        """The run's record; the file appears with the first event."""
        if self._record is None:
            self._record = Record(self.directory)
        return self._record

    @property
    def has_begun(self) -> bool:
        """Whether the run was opened, now or before it was interrupted."""
        return (self.directory / FILE_NAME).exists()

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Tell metrics of one step; a name that was told for this step is left out."""
        self.record.append_metrics(values, step)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Have a file of the run's folder copied to the tracker."""
        relative = str(path.relative_to(self.directory))
        self.record.append("artifact", path=relative, folder=folder)

    def log_model(
        self,
        checkpoint: Path,
        example: Sequence[Sequence[float]],
        output_steps: int,
        requirements: Sequence[str],
        code: Sequence[str],
    ) -> None:
        """Have a checkpoint registered as a model that MLflow can load and serve."""
        self.record.append(
            "model",
            checkpoint=str(checkpoint.relative_to(self.directory)),
            example=[list(row) for row in example],
            input_steps=len(example[0]),
            output_steps=output_steps,
            requirements=list(requirements),
            code=list(code),
        )

    def end(self, status: str, tags: Mapping[str, str]) -> None:
        """Close the run as FINISHED, FAILED or KILLED, once, and only if this process opened it."""
        if self.is_open:
            self.record.append("end", status=status, tags=dict(tags))
            self.is_open = False

    def close(self) -> bool:
        """Let the writer finish.

        Returns:
            Whether the tracker has everything.
        """
        if self._writer is None:
            return True
        assert self._writer.stdin is not None
        assert self._writer.stdout is not None
        if self._writer.poll() is None or not self._writer.stdin.closed:
            self._writer.stdin.close()
        status = self._writer.wait()
        self._writer.stdout.close()
        return status == 0

    def _wait_for_run(self) -> None:
        if self._writer is None:
            return
        assert self._writer.stdout is not None
        line = self._writer.stdout.readline()
        message: dict[str, str] = json.loads(line) if line else {"error": "the writer process died"}
        if "error" in message:
            assert self.location is not None
            raise InputError(
                f"tracking.uri: the tracker must take the run, but {self.location.shown} did not "
                f"({message['error'].splitlines()[0]}): mend it, or run with tracking=none"
            )
        self.run_id = message["run_id"]


def _start_writer(directory: Path, location: Location) -> subprocess.Popen[str]:
    environment = {
        # The writer tries again by itself; MLflow's own retries would hide a dead server.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        **os.environ,
        URI_VARIABLE: location.uri,
        "OMP_NUM_THREADS": "1",
    }
    environment.pop("MLFLOW_RUN_ID", None)
    if location.artifacts is not None:
        environment[ARTIFACTS_VARIABLE] = str(location.artifacts)
    with (directory / LOG_FILE).open("a") as log:
        return _spawn(directory, environment, log)


def _spawn(directory: Path, environment: Mapping[str, str], log: IO[str]) -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C in the terminal must not stop it before the end is told.
    return subprocess.Popen(
        [sys.executable, "-m", "sinesweep.tracking.writer", str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
        start_new_session=True,
    )
