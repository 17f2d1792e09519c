"""The series that trials are trained on, made once for all that have the same."""

from __future__ import annotations

import json
from collections import OrderedDict

from sinesweep.config import Config
from sinesweep.task.datamodule import SeriesDataModule
from sinesweep.training.building import build_data


class KeptData:
    """Keeps data modules by their section of the configuration.

    Those in training stay as long as they are; of all that were made, the last used are kept.

    Args:
        limit: bytes that their series may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, SeriesDataModule] = OrderedDict()

    def find(self, config: Config) -> SeriesDataModule:
        """Return the data of a checked configuration."""
        key = json.dumps(config.values["data"], sort_keys=True)
        data = self._kept.get(key)
        if data is None:
            made = build_data(config)
            assert isinstance(made, SeriesDataModule)
            data = self._kept[key] = made
        self._kept.move_to_end(key)
        while self.size > self._limit:
            self._kept.popitem(last=False)
        return data

    @property
    def size(self) -> int:
        """Bytes of the series that are kept."""
        return sum(size_of(data) for data in self._kept.values())


def size_of(data: SeriesDataModule) -> int:
    """Return the bytes of a data module's own series; all share the reference sets."""
    return sum(w.inputs.nbytes + w.targets.nbytes for _, w in data.splits)
