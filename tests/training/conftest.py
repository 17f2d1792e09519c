"""Fixtures of tests that train in the tests' own process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

from sinesweep.sweep.trial import set_current


@pytest.fixture
def restored_process() -> Iterator[None]:
    """Restore threads, the current trial and the garbage collector after a training."""
    threads = torch.get_num_threads()
    yield
    set_current(None)
    torch.set_num_threads(threads)
    gc.unfreeze()
