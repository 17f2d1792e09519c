"""The values of a record as MLflow takes them: how named, and how long."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from sinesweep.tracking.record import Event

# MLflow's own limits.
_LONGEST_NAME = 250
_LONGEST_PARAM = 6000
_LONGEST_TAG = 5000
_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")


def name(text: str) -> str:
    """Replace what MLflow allows in no name, such as the @ of a configuration group's package."""
    return _NOT_IN_NAMES.sub("_", text)[:_LONGEST_NAME]


def params(values: Mapping[str, Any]) -> list[Param]:
    """Return parameters, each with its whole value or with what stands for it."""
    return [Param(name(key), _whole(_text(value))) for key, value in values.items()]


def metrics(events: Iterable[Event]) -> list[Metric]:
    """Return the metrics of events, each with the time it was told."""
    return [
        Metric(name(key), value, event["time"], event["step"])
        for event in events
        for key, value in event["values"].items()
    ]


def tag_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return tags as MLflow takes them when a run is created."""
    return {name(key): _text(value)[:_LONGEST_TAG] for key, value in values.items()}


def tags(values: Mapping[str, Any]) -> list[RunTag]:
    """Return tags of a run that there is."""
    return [RunTag(key, text) for key, text in tag_texts(values).items()]


def dataset_input(entry: Mapping[str, Any]) -> DatasetInput:
    """Return a data set with the use that is made of it."""
    dataset = Dataset(
        name=entry["name"],
        digest=entry["digest"],
        source_type="code",
        source=json.dumps({"made_by": entry["source"]}),
        profile=json.dumps(entry["profile"]),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])


def signature(event: Event) -> ModelSignature:
    """Return the shapes of what a model takes and gives."""
    inputs = TensorSpec(np.dtype(np.float32), (-1, event["input_steps"]))
    outputs = TensorSpec(np.dtype(np.float32), (-1, event["output_steps"]))
    return ModelSignature(Schema([inputs]), Schema([outputs]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _whole(text: str) -> str:
    """Return the text, or where MLflow would not take it what stands for it: never a part."""
    if len(text) <= _LONGEST_PARAM:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{len(text):,} characters, in config.yaml among the artifacts (sha256 {digest})"
