from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, GridSampler, QMCSampler, RandomSampler
from sweep.process import Worker, open_study

from sinesweep.sweep import space
from sinesweep.sweep.ledger import PLACE_FILE, Ledger
from sinesweep.sweep.sampling import Grid, Place, Sequencer, asks

_RANDOM = {"_target_": "optuna.samplers.RandomSampler", "seed": 1}
_SPACE: dict[str, BaseDistribution] = {"a": IntDistribution(0, 10**9)}


def proposals(sampler: BaseSampler, count: int) -> list[int]:
    study = optuna.create_study(sampler=sampler)
    return [study.ask(_SPACE).params["a"] for _ in range(count)]


def saved(folder: Path, after: int) -> list[int]:
    """Save a sampler's place after some proposals; return those that it would make then."""
    sampler = Sequencer(RandomSampler(seed=1))
    proposals(sampler, after)
    sampler.asks = after
    Place(Ledger(folder), _RANDOM).save(sampler)
    return proposals(sampler, 3)


def test_place_is_found_again(tmp_path: Path) -> None:
    """A sampler goes on where it was saved."""
    next_ones = saved(tmp_path, after=4)
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), begun=4)
    assert found.asks == asks(Ledger(tmp_path), 0) == 4
    assert proposals(found, 3) == next_ones


def test_no_place(tmp_path: Path) -> None:
    """A new sweep begins with the sampler as it is configured."""
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), begun=0)
    assert found.asks == asks(Ledger(tmp_path), 0) == 0
    assert proposals(found, 3) == proposals(RandomSampler(seed=1), 3)


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}\n", b'{"asks": 4}\n\x80garbage'])
def test_damaged_place(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file costs the sampler's state and nothing else; a warning names it."""
    (tmp_path / PLACE_FILE).write_bytes(content)
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), begun=4)
    assert found.asks == 4
    assert asks(Ledger(tmp_path), 4) == 4
    assert proposals(found, 3) != proposals(RandomSampler(seed=1), 3)
    assert f"{tmp_path / PLACE_FILE}: damaged" in caplog.text


def test_place_of_another_sampler(tmp_path: Path) -> None:
    """Another sampler does not go on from this one's place, nor begins with known numbers."""
    saved(tmp_path, after=4)
    place = Place(Ledger(tmp_path), {**_RANDOM, "seed": 2})
    found = place.find(RandomSampler(seed=2), begun=4)
    assert found.asks == 4
    assert proposals(found, 3) != proposals(RandomSampler(seed=2), 3)


def test_lost_place(tmp_path: Path) -> None:
    """A sweep whose place was deleted does not begin its proposals anew."""
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), begun=4)
    assert found.asks == 4
    assert proposals(found, 3) != proposals(RandomSampler(seed=1), 3)


def test_place_behind_the_study(tmp_path: Path) -> None:
    """A place that is older than the study, as from a backup, is not gone on from."""
    next_ones = saved(tmp_path, after=2)
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), begun=9)
    assert found.asks == 9
    assert proposals(found, 3) != next_ones


def test_place_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed while it writes its place leaves the one before."""
    next_ones = saved(tmp_path, after=4)

    def killed(self: Path, target: Path) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(OSError, match="killed"):
            Place(Ledger(tmp_path), _RANDOM).save(Sequencer(RandomSampler(seed=5), 5))
    found = Place(Ledger(tmp_path), _RANDOM).find(RandomSampler(seed=1), 4)
    assert proposals(found, 3) == next_ones


def test_place_has_nothing_to_hide_in_its_header(tmp_path: Path) -> None:
    """Only the sampler's own arguments are in the header."""
    saved(tmp_path, after=1)
    header = (tmp_path / PLACE_FILE).read_bytes().splitlines()[0]
    assert b"RandomSampler" in header


class Unpicklable(RandomSampler):
    """A user's own sampler that holds what cannot be pickled."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.handle = lambda: None


@pytest.mark.parametrize("after", [1, 3])
def test_sampler_that_cannot_be_pickled(
    make_plan: Callable[..., Any], caplog: pytest.LogCaptureFixture, after: int
) -> None:
    """It is said once that a continued sweep will differ; it repeats no point all the same."""
    plan = make_plan(
        f"hydra.sweeper.sampler={{_target_:{__name__}.Unpicklable}}",
        "hydra.sweeper.n_trials=6",
        "x=interval(0,1)",
    )
    worker = Worker()
    with caplog.at_level(logging.WARNING, "sinesweep.sweep.sampling"):
        study = open_study(plan)
        for _ in range(after):
            worker.run(study)
    warning = "the sampler cannot be pickled (.+): a continued sweep will not propose exactly"
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(warning.split("(")[0])
    worker.finish(plan)
    assert len({point["x"] for point in worker.evaluated}) == 6


class Counting(BaseSampler):
    """A user's own sampler that learns in every step."""

    def __init__(self, seed: int) -> None:
        self.count = seed - 1

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Any, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        self.count += 1
        return self.count * 100 + len(study.trials)


def test_users_own_sampler(make_plan: Callable[..., Any]) -> None:
    """A user's own class keeps its place, too, and sees the study's trials."""
    plan = make_plan(
        f"hydra.sweeper.sampler={{_target_:{__name__}.Counting}}",
        "hydra.sweeper.n_trials=4",
        "a=int(interval(0,1000))",
    )
    worker = Worker()
    for _ in range(4):
        worker.run(open_study(plan))
    assert [point["a"] for point in worker.evaluated] == [101, 202, 303, 404]


def test_grid_is_in_order() -> None:
    """The grid proposes its points in the space's order."""
    found = space.read({}, ["a=2,1", "b=range(0,2)"])
    study = optuna.create_study(sampler=Grid(found))
    asked = [study.ask(found.distributions()).params for _ in range(4)]
    assert [tuple(point.values()) for point in asked] == [(2, 0), (2, 1), (1, 0), (1, 1)]


def test_grid_of_every_type() -> None:
    """Choices of every type and steps of decimals come out of a study as they went in."""
    found = space.read({}, ["a=1,1.5,true,null,word", "x=range(0.1,0.4,0.1)"])
    study = optuna.create_study(sampler=Grid(found))
    asked = [study.ask(found.distributions()).params for _ in range(15)]
    assert [found.overrides(found.decoded(point)) for point in asked] == [
        found.overrides(found.point(index)) for index in range(15)
    ]


def test_grid_refuses_other_parameters() -> None:
    """A grid has no value for a parameter that is not its own."""
    study = optuna.create_study(sampler=Grid(space.read({}, ["a=1,2"])))
    trial = study.ask()
    with pytest.raises(ValueError, match="x must be one of the grid's, but the grid does not have"):
        trial.suggest_float("x", 0, 1)


def test_stop_is_noted() -> None:
    """A sampler's study.stop is noted outside of Optuna's own loop."""
    sampler = Sequencer(GridSampler({"a": [1]}, seed=1))
    study = optuna.create_study(sampler=sampler)
    trial = study.ask({"a": IntDistribution(0, 9)})
    assert not sampler.wants_to_stop
    study.tell(trial, 1.0)
    assert sampler.wants_to_stop


def test_notes_wait_for_the_place() -> None:
    """What a sampler notes of the study is written when its proposal is saved, and seen before."""
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        sampler = Sequencer(QMCSampler(seed=1))
    study = optuna.create_study(sampler=sampler)
    study.tell(study.ask(_SPACE), 1.0)
    study.ask(_SPACE)
    assert sampler.notes
    assert study._storage.get_study_system_attrs(study._study_id) == {}
    sampler.settle(study)
    assert study._storage.get_study_system_attrs(study._study_id) != {}
    assert sampler.notes == {}


def test_reseeding() -> None:
    """A sampler can be reseeded through its sequencer."""
    sampler = Sequencer(RandomSampler(seed=1))
    np.random.seed(0)  # noqa: NPY002 # Optuna draws the new seed where it likes
    sampler.reseed_rng()
    assert proposals(sampler, 3) != proposals(RandomSampler(seed=1), 3)


def test_a_saved_grid_holds_no_overrides() -> None:
    """What every trial gets may hold a password, which the file of the sampler's place must not."""
    found = space.read({}, ["a=1,2", "db=postgresql://ann:hunter2@host"])
    assert b"hunter2" not in pickle.dumps(Grid(found))


def test_a_saved_grid_holds_no_swept_secret() -> None:
    """Of the values of a secret key the file of the sampler's place has the numbers."""
    content = pickle.dumps(Grid(space.read({}, ["db.password=hunter2,swordfish"])))
    assert b"hunter2" not in content
    assert b"swordfish" not in content
