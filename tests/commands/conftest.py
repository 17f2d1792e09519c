"""What tests of the commands that look at sweeps can ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from runner import Runner

from sinesweep.sweep import archive
from sinesweep.sweep.storage import open_storage
from sinesweep.tracking.record import Record

MakeSweep = Callable[..., Path]


@pytest.fixture
def as_another_process() -> Callable[[], None]:
    """Have MLflow open its databases anew, as the next command does."""

    def forget() -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
        from mlflow.tracking._tracking_service.utils import _tracking_store_registry

        _tracking_store_registry._get_store_with_resolved_uri.cache_clear()
        SqlAlchemyStore._engine_map.clear()

    return forget


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Sweep the plain application once: the sweep ``plain`` of 4 trials, of which one failed."""
    runner = Runner(tmp_path_factory.mktemp("plain"))
    done = runner.sweep(
        "x=0,1,2,3", "misbehave=raise", "when=2", "hydra.sweeper.study_name=plain",
        "hydra.sweeper.workers=1",
    )  # fmt: skip
    assert done.code == 0, done.err
    return runner


@pytest.fixture
def make_sweep(tmp_path: Path) -> MakeSweep:
    """Make a sweep's folder under ``tmp_path``, as the sweep's own command leaves it."""

    def make(name: str, *ends: object, **changes: Any) -> Path:
        """Make a sweep.

        Args:
            name: the sweep's.
            ends: each trial's: a value, a tuple of values, a failure's cause, or the state PRUNED
                or RUNNING.
            changes: what is not as usual.
        """
        folder = tmp_path / "sweeps" / name
        folder.mkdir(parents=True)
        objectives = changes.get("objectives", ["val/mae"])
        directions = ["minimize"] * len(objectives)
        storage = changes.get("storage")
        content = {
            "study": {"name": name, "storage": storage},
            "command": {
                "arguments": ["app.py", "-m", "x=interval(0, 99)"],
                "directory": changes.get("directory", "/where/it/was/typed"),
                "fixed": changes.get("fixed", []),
            },
            "values": objectives,
            "definition": {
                "objectives": directions,
                "space": changes.get("space", {"x": "interval(0, 99)"}),
                "custom_search_space": None,
                "repeats": 1,
                "config": changes.get("config", {"x": 0.0}),
            },
        }
        (folder / "sweep.yaml").write_text(yaml.safe_dump(content))
        study = optuna.create_study(
            study_name=name, storage=open_storage(storage, folder), directions=directions
        )
        for number, end in enumerate(ends):
            choices = {key: [1, 2] for key in changes.get("space", ()) if key != "x"}
            choices |= {"db.password": changes["choices"]} if changes.get("choices") else {}
            _add(study, number, end, choices, violating=changes.get("violating", ()))
            (folder / "trials" / str(number)).mkdir(parents=True)
        archive.save_state(folder, changes.get("state", "COMPLETE"), changes.get("total"))
        return folder

    return make


def _add(
    study: optuna.Study,
    number: int,
    end: object,
    choices: Mapping[str, Sequence[Any]],
    violating: Collection[int],
) -> None:
    space: dict[str, Any] = {"x": FloatDistribution(0, 99)}
    space |= {key: CategoricalDistribution(values) for key, values in choices.items()}
    study.enqueue_trial({"x": float(number)})
    trial = study.ask(space)
    if number in violating:
        trial.set_constraint("megabytes", 1.0)
    if isinstance(end, str) and end not in ("PRUNED", "RUNNING"):
        trial.set_user_attr("sinesweep.error", end)
        study.tell(trial, state=TrialState.FAIL)
    elif end == "PRUNED":
        study.tell(trial, state=TrialState.PRUNED)
    elif end != "RUNNING":
        study.tell(trial, end)  # pyright: ignore[reportArgumentType] # values


def _tell(folder: Path, metrics: Mapping[str, float], **begin: Any) -> Path:
    """Record metrics in a run's folder; begin its record where params or tags are given."""
    folder.mkdir(parents=True, exist_ok=True)
    if begin:
        Record(folder).append(
            "begin",
            **{"name": "a", "experiment": "e", "params": {}, "tags": {}, "datasets": [], **begin},
        )
    Record(folder).append_metrics(metrics, 0)
    return folder


@pytest.fixture
def tell() -> Callable[..., Path]:
    """Record metrics in a run's folder."""
    return _tell
