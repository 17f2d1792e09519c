"""The task's data for Lightning: damped sines, and the source recipe's five patterns.

Shapes: B batch, I input steps, O output steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from sinesweep import seeds
from sinesweep.task import baselines
from sinesweep.task.reference import ReferenceSets, reference_sets
from sinesweep.task.series import QUANTITIES, Patterns, Windows, cut, draw


@dataclass(frozen=True)
class Splits:
    """The three sets of a task; no pattern is in two of them."""

    train: Windows
    val: Windows
    test: Windows

    def __iter__(self) -> Iterator[tuple[str, Windows]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


class WindowTensors(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Windows as tensors, fetched a whole batch at a time.

    An index is a tensor of B row numbers; an item is inputs (B, I) and targets (B, O), float32.
    """

    def __init__(self, windows: Windows) -> None:
        self._inputs = torch.from_numpy(windows.inputs)
        self._targets = torch.from_numpy(windows.targets)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._inputs[rows], self._targets[rows]


class Batches(DistributedSampler[torch.Tensor]):
    """Row numbers of each batch, shuffled anew each epoch or in order.

    The order of an epoch depends on seed and epoch alone. Several processes share each epoch:
    shuffled, all get the same number of rows (a few rows twice, so that they stay in step); in
    order, every row goes to exactly one process.
    """

    def __init__(
        self,
        dataset: WindowTensors,
        *,
        batch_size: int,
        shuffle_seed: int | None,
        world_size: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank)
        self._rows = len(dataset)
        self._batch_size = batch_size
        self._shuffle_seed = shuffle_seed

    def __len__(self) -> int:
        return -(-len(range(*self._share(self._rows))) // self._batch_size)

    def __iter__(self) -> Iterator[torch.Tensor]:
        if self._shuffle_seed is None:
            order = np.arange(self._rows)
        else:
            order = epoch_order(self._shuffle_seed, self.epoch, self._rows)
            order = np.resize(order, self._share(self._rows)[1])
        mine = order[self.rank :: self.num_replicas]
        if len(mine):
            yield from torch.from_numpy(np.ascontiguousarray(mine)).split(self._batch_size)

    def _share(self, rows: int) -> tuple[int, int, int]:
        if self._shuffle_seed is not None:
            rows = -(-rows // self.num_replicas) * self.num_replicas
        return self.rank, rows, self.num_replicas


def epoch_order(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """Return the order, (rows,), in which an epoch goes through the training rows."""
    return seeds.generator(seed, "order", epoch).permutation(rows)


class WindowLoader(DataLoader[Any]):
    """Batches straight from tensors in memory, without what worker processes and files need."""

    def __init__(self, dataset: WindowTensors, batches: Batches) -> None:
        super().__init__(dataset, sampler=batches, batch_size=None)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:  # pyright: ignore[reportIncompatibleMethodOverride] # theirs has its own iterator class
        return (self.dataset[rows] for rows in self.sampler)


class SeriesDataModule(pl.LightningDataModule, ABC):
    """Windows of series as a LightningDataModule: batches of inputs (B, I) and targets (B, O).

    Args:
        batch_size: rows of a batch, in each process.
        input_steps: I.
        output_steps: O.

    Attributes:
        order_seed: of the order of the training batches; set by whoever trains.
    """

    def __init__(self, *, batch_size: int, input_steps: int, output_steps: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.input_steps = input_steps
        self.output_steps = output_steps
        self.order_seed = 0

    @cached_property
    def splits(self) -> Splits:
        """Training, validation and test windows."""
        splits = self._make_splits()
        _refuse_leaks(splits)
        return splits

    @cached_property
    def reference(self) -> ReferenceSets:
        """The fixed sets that models are compared on."""
        return reference_sets(self.input_steps, self.output_steps)

    @cached_property
    def baselines(self) -> dict[str, dict[str, float]]:
        """``{baseline: {val_mae, test_mae, reference_val_mae, reference_test_mae}}``."""
        sets = {
            "val_mae": self.splits.val,
            "test_mae": self.splits.test,
            "reference_val_mae": self.reference.val,
            "reference_test_mae": self.reference.test,
        }
        return baselines.evaluate(self.splits.train, sets)

    @abstractmethod
    def _make_splits(self) -> Splits:
        """Make the three sets."""

    @property
    @abstractmethod
    def training_range(self) -> Mapping[str, tuple[float, float]]:
        """Low and high of period (steps) and decay (per step) in the training set."""

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of the training windows."""
        return self._loader(self.splits.train, self.batch_size, self.order_seed)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation windows, in order."""
        return self._loader(self.splits.val, _EVALUATION_BATCH)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test windows, in order."""
        return self._loader(self.splits.test, _EVALUATION_BATCH)

    def _loader(
        self, windows: Windows, batch_size: int, shuffle_seed: int | None = None
    ) -> DataLoader[Any]:
        dataset = WindowTensors(windows)
        trainer = self.trainer
        batches = Batches(
            dataset,
            batch_size=batch_size,
            shuffle_seed=shuffle_seed,
            world_size=trainer.world_size if trainer else 1,
            rank=trainer.global_rank if trainer else 0,
        )
        return WindowLoader(dataset, batches)


class DampedSinesDataModule(SeriesDataModule):
    """``data=damped_sines``: every series a pattern of its own; see conf/data/damped_sines.yaml.

    Args:
        num_series: training series.
        val_series: validation series.
        test_series: test series.
        period: ``{low, high}`` in steps.
        decay: ``{low, high}`` per step.
        amplitude: ``{low, high}``.
        phase: ``{low, high}`` in radians.
        offset: ``{low, high}``.
        noise: sigma of the Gaussian observation noise on the inputs, 0 or more.
        noisy_targets: put noise of the same sigma on the targets.
        length: steps in a series, at least ``input_steps + output_steps``.
        input_steps: steps read.
        output_steps: steps forecast.
        batch_size: rows of a batch.
        seed: of the series; every quantity of every split has a stream of its own.
    """

    def __init__(
        self,
        *,
        num_series: int,
        val_series: int,
        test_series: int,
        period: Mapping[str, float],
        decay: Mapping[str, float],
        amplitude: Mapping[str, float],
        phase: Mapping[str, float],
        offset: Mapping[str, float],
        noise: float,
        noisy_targets: bool,
        length: int,
        input_steps: int,
        output_steps: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size=batch_size, input_steps=input_steps, output_steps=output_steps)
        self._counts = {"train": num_series, "val": val_series, "test": test_series}
        ranges = (period, decay, amplitude, phase, offset)
        self._ranges = {
            name: (bounds["low"], bounds["high"])
            for name, bounds in zip(QUANTITIES, ranges, strict=True)
        }
        self._noise = noise
        self._noisy_targets = noisy_targets
        self._length = length
        self._seed = seed

    @property
    def training_range(self) -> Mapping[str, tuple[float, float]]:
        """Low and high of period (steps) and decay (per step)."""
        return {name: self._ranges[name] for name in ("period", "decay")}

    def _make_splits(self) -> Splits:
        return Splits(**{split: self._make(split) for split in self._counts})

    def _make(self, split: str) -> Windows:
        return cut(
            draw(self._counts[split], self._ranges, self._seed, split),
            self._length,
            self.input_steps,
            self.output_steps,
            input_noise=self._draw_noise(split, "input noise"),
            target_noise=self._draw_noise(split, "target noise") if self._noisy_targets else None,
        )

    def _draw_noise(self, split: str, purpose: str) -> np.ndarray | None:
        if self._noise == 0:
            return None
        shape = (self._counts[split], self._length)
        return seeds.generator(self._seed, split, purpose).normal(0, self._noise, shape)


class PostDataModule(SeriesDataModule):
    """``data=post``: the source recipe's rows, exactly.

    Five patterns from NumPy's legacy stream seeded 1234, each repeated, in pattern order. The last
    fifth of the rows, which is the whole fifth pattern, validates. The recipe has no test set:
    here it is made of new patterns from the same ranges.

    Args:
        repeats: rows of each pattern (200 in the recipe).
        test_series: test patterns.
        input_steps: 50.
        output_steps: 5.
        batch_size: rows of a batch.
        seed: of the test patterns.
    """

    _PATTERNS = 5
    _LEGACY_SEED = 1234
    _PERIODS = (10, 20)  # integers, the upper end excluded
    _DECAYS = (0.01, 0.1)

    def __init__(
        self,
        *,
        repeats: int,
        test_series: int,
        input_steps: int,
        output_steps: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__(batch_size=batch_size, input_steps=input_steps, output_steps=output_steps)
        self._repeats = repeats
        self._test_series = test_series
        self._seed = seed

    @property
    def training_range(self) -> Mapping[str, tuple[float, float]]:
        """Low and high of period (steps) and decay (per step) among the training patterns."""
        patterns = self.splits.train.patterns
        return {
            name: (float(getattr(patterns, name).min()), float(getattr(patterns, name).max()))
            for name in ("period", "decay")
        }

    def _make_splits(self) -> Splits:
        legacy = np.random.RandomState(self._LEGACY_SEED)  # the recipe's own stream
        period = legacy.randint(*self._PERIODS, self._PATTERNS).astype(np.float64)
        decay = legacy.uniform(*self._DECAYS, self._PATTERNS)
        last = self._PATTERNS - 1
        return Splits(
            train=self._cut(period[:last], decay[:last], self._repeats),
            val=self._cut(period[last:], decay[last:], self._repeats),
            test=self._cut(
                seeds.generator(self._seed, "test", "period")
                .integers(*self._PERIODS, self._test_series)
                .astype(np.float64),
                seeds.generator(self._seed, "test", "decay").uniform(
                    *self._DECAYS, self._test_series
                ),
                1,
            ),
        )

    def _cut(self, period: np.ndarray, decay: np.ndarray, repeats: int) -> Windows:
        period, decay = np.repeat(period, repeats), np.repeat(decay, repeats)
        half = np.full(len(period), 0.5)
        patterns = Patterns(period, decay, amplitude=half, phase=0 * half, offset=half)
        return cut(
            patterns, self.input_steps + self.output_steps, self.input_steps, self.output_steps
        )


# Sets are judged in batches of this many rows, whatever the training batch: it changes no number
# that counts and saves most of the calls.
_EVALUATION_BATCH = 1024


def _refuse_leaks(splits: Splits) -> None:
    seen: dict[bytes, str] = {}
    for name, windows in splits:
        for row in {row.tobytes() for row in windows.patterns.table()}:
            first = seen.setdefault(row, name)
            assert first == name, f"a pattern of the {first} set is in the {name} set, too"
