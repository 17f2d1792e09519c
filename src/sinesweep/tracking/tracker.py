"""What a run tells about itself, and the writer process that passes it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinesweep.redaction import user_rules
from sinesweep.tracking.location import Location
from sinesweep.tracking.record import FILE_NAME, Record
from sinesweep.tracking.writer_process import WriterProcess


@dataclass(frozen=True)
class Dataset:
    """A set of series as MLflow lists it: name, hash of its arrays, use and size."""

    name: str
    digest: str
    context: str
    source: str
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class Membership:
    """What makes a run a trial of a sweep, which sends its record and says how it ended.

    Attributes:
        name: how the tracker calls the run.
        tags: by which it is found.
    """

    name: str
    tags: Mapping[str, Any]


class Tracker:
    """Writes the record of one run and, with a location, keeps a writer process at it.

    Args:
        directory: the run's folder.
        location: the tracker, or None to keep the record in the folder alone.
        membership: of a sweep whose own process sends the record and writes its end.
    """

    def __init__(
        self, directory: Path, location: Location | None, membership: Membership | None = None
    ) -> None:
        self.directory = directory
        self.location = location
        self._membership = membership
        self.run_id: str | None = None
        self.is_open = False
        self._record: Record | None = None
        self._writer = None if location is None else WriterProcess(directory, location)

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
        member = self._membership
        self.record.append(
            "begin",
            name=member.name if member else name,
            experiment=experiment,
            params=dict(params),
            tags={**tags, **(member.tags if member else {})},
            datasets=[vars(dataset) for dataset in datasets],
            redaction=user_rules(),
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

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Tell tags of a run that is open."""
        self.record.append("tags", tags=dict(tags))

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
        if self.is_open and self._membership is None:
            self.record.append("end", status=status, tags=dict(tags))
        self.is_open = False

    def close(self) -> bool:
        """Let the writer finish.

        Returns:
            Whether the tracker has everything.
        """
        return self._writer is None or self._writer.close()

    def _wait_for_run(self) -> None:
        if self._writer is not None:
            self.run_id = self._writer.wait_for_run()
