from __future__ import annotations

import os
from typing import Any

import pytest
from omegaconf import OmegaConf

from hydra_plugins.sinesweep_sweeper._config import SinesweepConf
from sinesweep.errors import InputError
from sinesweep.sweep import settings
from sinesweep.sweep.settings import Settings, Target

_PLUGINS_OWN = ("_target_", "_recursive_", "defaults")


def parse(**keys: Any) -> Settings:
    found = OmegaConf.to_container(OmegaConf.structured(SinesweepConf()), throw_on_missing=False)
    assert isinstance(found, dict)
    found = {str(key): value for key, value in found.items() if key not in _PLUGINS_OWN}
    found["sampler"] = {"_target_": "optuna.samplers.TPESampler"}
    found["pruner"] = {"_target_": "optuna.pruners.NopPruner"}
    return settings.parse({**found, **keys})


def test_defaults() -> None:
    """The plugin's defaults are valid."""
    assert parse().objectives == ("minimize",)


@pytest.mark.parametrize(
    ("keys", "objectives"),
    [
        ({"direction": "maximize"}, ("maximize",)),
        ({"direction": ["minimize", "maximize"]}, ("minimize", "maximize")),
        ({"directions": ["maximize", "minimize"]}, ("maximize", "minimize")),
        ({"direction": OmegaConf.create(["maximize"])}, ("maximize",)),
        ({"directions": ["maximize"]}, ("maximize",)),
        ({"direction": "maximize", "directions": ["maximize"]}, ("maximize",)),
        ({"direction": "maximize", "directions": ["minimize", "maximize"]},
         ("minimize", "maximize")),
    ],
)  # fmt: skip
def test_objectives(keys: dict[str, Any], objectives: tuple[str, ...]) -> None:
    """One direction or a list of them, under either name."""
    assert parse(**keys).objectives == objectives


@pytest.mark.parametrize(
    ("direction", "directions", "fix"),
    [
        ("minimize", ["maximize"], "maximize"),
        ("maximize", ["minimize", "minimize"], r"\[minimize,minimize\]"),
        (["minimize", "maximize"], ["maximize", "minimize"], r"\[maximize,minimize\]"),
        (["minimize", "minimize"], ["minimize"], "minimize"),
    ],
)
def test_contradicting_directions_are_refused(
    direction: object, directions: list[str], fix: str
) -> None:
    """The two names of the directions must say the same."""
    message = (
        r"^hydra.sweeper: direction: must agree with directions, but direction is .*: "
        rf"give hydra.sweeper.direction={fix} alone$"
    )
    with pytest.raises(InputError, match=message):
        parse(direction=direction, directions=directions)


@pytest.mark.parametrize(
    ("keys", "processes"),
    [
        ({"workers": 3}, 3),
        ({"n_jobs": 2}, 2),
        ({"workers": 3, "n_jobs": 2}, 3),
        ({}, 5),
        ({"n_jobs": -1}, 5),
    ],
)
def test_processes(monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], processes: int) -> None:
    """Workers are as many as is said, or one for each core that the process may use."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(5)), raising=False)
    assert parse(**keys).processes == processes


@pytest.mark.parametrize(
    ("tracking", "is_tracked"),
    [(None, False), ({"backend": "none"}, False), ({"backend": "mlflow"}, True), ({}, True)],
)
def test_tracking(tracking: dict[str, Any] | None, is_tracked: bool) -> None:
    """A sweep is tracked where a section says so."""
    assert parse(tracking=tracking).is_tracked is is_tracked


def test_name_of_a_single_run_in_the_applications_tracking() -> None:
    """A section of the tracker that single runs share may name the run."""
    assert parse(tracking={"backend": "none", "run_name": "mine"}).is_tracked is False


def test_null_arguments_are_left_out() -> None:
    """An argument that is null is left to the class's own default."""
    target = parse(sampler={"_target_": "S", "seed": None, "gamma": 0.5, "flag": False}).sampler
    assert target.values == {"_target_": "S", "gamma": 0.5, "flag": False}


def test_interpolations_are_resolved() -> None:
    """A key may refer to the application's configuration."""
    config = OmegaConf.create({"seed": 7, "sampler": {"_target_": "S", "seed": "${seed}"}})
    assert parse(sampler=config.sampler).sampler.values == {"_target_": "S", "seed": 7}


def test_numbers_and_switches_as_text() -> None:
    """An environment variable, say, is text: numbers are read as Hydra reads them."""
    found = parse(n_trials="20", timeout="1e3", trial_timeout=5, n_jobs="-1", report="no")
    assert (found.n_trials, found.timeout, found.trial_timeout) == (20, 1000.0, 5.0)
    assert (found.n_jobs, found.report) == (-1, False)


def test_storage_by_target() -> None:
    """A storage is a URL or a class."""
    assert parse(storage="sqlite:///s.db").storage == "sqlite:///s.db"
    assert isinstance(parse(storage={"_target_": "S"}).storage, Target)


def ray(**keys: Any) -> dict[str, Any]:
    """Return the keys of a sweep on Ray."""
    section = {"address": None, "num_cpus": 1, "num_gpus": 0, "resources": None}
    return {"backend": "ray", "ray": {**section, "runtime_env": None, **keys}}


def test_what_an_actor_takes() -> None:
    """Resources are named as Ray names them; what is none is left out."""
    found = parse(**ray(num_cpus=0.5, resources={"big": 2})).ray
    assert found.demand == {"CPU": 0.5, "big": 2}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"backend": "slurm"}, r"^hydra.sweeper.backend: must be 'local', 'ray' or 'inline', but"),
        (ray(num_cpus=0), r"^hydra.sweeper.ray.num_cpus: must be greater than 0, but is 0"),
        (
            ray(num_gpus=1.5),
            r"^hydra.sweeper.ray.num_gpus: must be a whole number where it is",
        ),
        (
            ray(address="ray://x:1"),
            r"^hydra.sweeper.ray.address: must be auto, or host:port of",
        ),
        (ray(resources={"GPU": 1}), r"^hydra.sweeper.ray: resources must be custom ones, but name"),
        (ray(cpus=1), r"^hydra.sweeper.ray.cpus: there is no such key; did you mean .*num_cpus\?$"),
        (
            {"backend": "inline", "workers": 2},
            r"^hydra.sweeper: workers: must be 1 with backend=inline, .*, but is 2: give",
        ),
        (
            {"backend": "inline", "slots": 4},
            r"^hydra.sweeper: slots: must be 1 with backend=inline, .* give hydra.sweeper.slots=1",
        ),
        (
            {"backend": "inline", "trial_timeout": 5},
            r"^hydra.sweeper: trial_timeout: must be null with backend=inline, .* but is 5",
        ),
        ({"n_trials": 0}, r"^hydra.sweeper.n_trials: must be greater than or equal to 1, but is 0"),
        ({"n_trials": "ten"}, r"^hydra.sweeper.n_trials: must be a valid integer, but is 'ten'$"),
        ({"slots": "abc"}, r"^hydra.sweeper.slots: must be a valid integer, but is 'abc'$"),
        ({"slots": 1.5}, r"^hydra.sweeper.slots: must be a valid integer, but is 1.5$"),
        ({"slots": True}, r"^hydra.sweeper.slots: must be a valid integer, but is True$"),
        ({"slots": None}, r"^hydra.sweeper.slots: must be a valid integer, but is None$"),
        ({"timeout": "soon"}, r"^hydra.sweeper.timeout: must be a valid number, but is 'soon'$"),
        ({"max_failure_rate": "x"}, r"^hydra.sweeper.max_failure_rate: must be a valid number"),
        ({"report": "maybe"}, r"^hydra.sweeper.report: must be a valid boolean, .* is 'maybe'$"),
        ({"timeout": 0.0}, r"^hydra.sweeper.timeout: must be greater than 0, but is 0.0$"),
        ({"timeout": float("inf")}, r"^hydra.sweeper.timeout: must be a finite number"),
        ({"trial_timeout": -1.0}, r"^hydra.sweeper.trial_timeout: must be greater than 0"),
        ({"workers": 0}, r"^hydra.sweeper.workers: must be greater than or equal to 1"),
        ({"retries": -1}, r"^hydra.sweeper.retries: must be greater than or equal to 0"),
        ({"repeats": 0}, r"^hydra.sweeper.repeats: must be greater than or equal to 1"),
        ({"max_failure_rate": 1.5}, r"^hydra.sweeper.max_failure_rate: must be less than or equal"),
        ({"on_failure": "stop"}, r"^hydra.sweeper.on_failure: must be 'continue' or 'abort', but"),
        ({"direction": "down"}, r"^hydra.sweeper.direction: must be 'minimize' or 'maximize'"),
        ({"directions": []}, r"^hydra.sweeper.directions: must have at least 1 item"),
        ({"study_name": "../up"}, r"^hydra.sweeper.study_name: "),
        ({"study_name": ".."}, r"^hydra.sweeper.study_name: "),
        ({"sampler": {"seed": 1}}, r"^hydra.sweeper.sampler._target_: this key is missing$"),
        ({"n_trial": 3}, r"^hydra.sweeper.n_trial: there is no such key; did you mean .*n_trials"),
        (
            {"tracking": {"exp": "mine"}},
            r"^hydra.sweeper.tracking.exp: there is no such key; did you mean .*tracking.experime",
        ),
        ({"tracking": 3}, r"^hydra.sweeper.tracking: must be a section of keys, but is 3$"),
        ({"sampler": None}, r"^hydra.sweeper.sampler: must be a section of keys, but is None$"),
        ({"study_name": "x" * 201}, r"^hydra.sweeper.study_name: must be one folder's name of at"),
        ({"study_name": "a\nb"}, r"^hydra.sweeper.study_name: must have no control characters"),
        ({"root": "x" * 300}, r"^hydra.sweeper.root: must have parts of at most 255 bytes, but on"),
        ({"n_trials": 10**20}, r"^hydra.sweeper.n_trials: must be less than or equal to 2147483"),
        ({"workers": 10**6}, r"^hydra.sweeper.workers: must be less than or equal to 4096"),
        ({"timeout": 1e20}, r"^hydra.sweeper.timeout: must be less than or equal to 10000000"),
        ({"search_space": {"x": 1}}, r"^hydra.sweeper.search_space: .* call params, in the overr"),
        ({"optuna_config": {"n_trials": 1}}, r"^hydra.sweeper.optuna_config: is a key of an old"),
        (
            {"tracking": {"backend": "wandb"}},
            r"^hydra.sweeper.tracking.backend: must be 'mlflow' or 'none', but is 'wandb'",
        ),
    ],
)
def test_refusals(keys: dict[str, Any], message: str) -> None:
    """A wrong key is refused with its name, the rule and the value."""
    with pytest.raises(InputError, match=message):
        parse(**keys)


def test_every_wrong_key_is_named() -> None:
    """All mistakes are shown at once."""
    with pytest.raises(InputError, match=r"(?s)retries: .*\n.*|workers: .*\n.*") as refused:
        parse(workers=0, retries=-1)
    assert len(str(refused.value).splitlines()) == 2


def test_interpolation_that_leads_nowhere() -> None:
    """A key that refers to nothing is refused."""
    config = OmegaConf.create({"params": {"a": "${nowhere}"}})
    with pytest.raises(InputError, match=r"params.a: Interpolation key 'nowhere' not found"):
        parse(params=config.params)


def test_pruner_with_several_objectives() -> None:
    """Several objectives cannot be pruned by."""
    message = r"pruner: must be none where a function has several objectives"
    with pytest.raises(InputError, match=message):
        parse(
            direction=["minimize", "minimize"],
            pruner={"_target_": "optuna.pruners.MedianPruner"},
        )


@pytest.mark.parametrize("key", ["study_name", "root", "seed_key"])
def test_text_that_no_database_takes_is_refused(key: str) -> None:
    """A name with control characters is refused with its key."""
    with pytest.raises(InputError, match=rf"^hydra.sweeper.{key}: must be text without control"):
        parse(**{key: "a\x00b"})
