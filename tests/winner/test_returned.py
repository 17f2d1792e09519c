from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from sinesweep.winner import returned


@pytest.mark.parametrize(
    ("value", "values"),
    [
        (np.array([1.0, 2.0]), (1.0, 2.0)),
        (np.array([1.0]), (1.0,)),
        (np.array(1.0), (1.0,)),
        ([np.array(1.0), np.float32(2)], (1.0, 2.0)),
        (3, (3.0,)),
        (None, ()),
    ],
)
def test_arrays_are_told_as_their_numbers(tmp_path: Path, value: Any, values: Any) -> None:
    """A run tells what a trial would: NumPy's arrays and numbers among it."""
    path = tmp_path / "returned.json"
    config = OmegaConf.create({"hydra": {"mode": "RUN", "runtime": {"output_dir": "here"}}})
    job = JobReturn(status=JobStatus.COMPLETED, _return_value=value)
    returned.Teller(str(path)).on_job_end(config, job)
    found = returned.read(path)
    assert found is not None
    assert found.values == values
