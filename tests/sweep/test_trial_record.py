from __future__ import annotations

from collections.abc import Callable

import pytest

from sinesweep.sweep.messages import Assignment
from sinesweep.sweep.plan import Plan
from sinesweep.sweep.trial_record import TrialRecord

MakePlan = Callable[..., Plan]


@pytest.mark.parametrize(
    ("repeats", "tags"),
    [(1, {}), (3, {"sinesweep.repeats": "3", "sinesweep.seeds": "7,8,9"})],
)
def test_tags_of_repeats(make_plan: MakePlan, repeats: int, tags: dict[str, str]) -> None:
    """A trial's tags say how many seeds its value is the mean of, and which."""
    plan = make_plan("a=1,2", "seed=7", f"hydra.sweeper.repeats={repeats}")
    found = TrialRecord(plan, Assignment(0, ("a=1", "seed=7"), plan.directory(0))).tags
    assert {k: v for k, v in found.items() if k in ("sinesweep.repeats", "sinesweep.seeds")} == tags
