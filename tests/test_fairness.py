from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from sinesweep.cli import CONFIG_DIRECTORY, Preflight
from sinesweep.errors import InputError
from sinesweep.fairness import check_sweep
from sinesweep.sweep import plan as plans
from sinesweep.sweep import preflight, settings

_SWEEPS = sorted(path.stem for path in (CONFIG_DIRECTORY / "sweeps").glob("*.yaml"))

Check = Callable[..., None]


@pytest.fixture
def check(
    tmp_path: Path, compose: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Check a sweep of some keys over one configuration."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def check_one(
        *overrides: str, swept: tuple[str, ...] = (), directions: Any = ("minimize",)
    ) -> None:
        config = compose(f"tracking.root={tmp_path}/root", *overrides)
        check_sweep([config], swept, directions)

    return check_one


@pytest.mark.parametrize(
    ("objective", "fair"),
    [("val/mae", "reference/val_mae"), ("test/mae", "reference/test_mae")],
)
def test_data_that_changes(check: Check, objective: str, fair: str) -> None:
    """A sweep over data is not to be judged on that data; the fair objective is named."""
    message = (
        r"^objective: must be measured on data that stays the same, but data.decay.high is swept "
        rf"and changes the series that {objective} .* Use objective={fair}, or say unfair=true$"
    )
    with pytest.raises(InputError, match=message):
        check(f"objective={objective}", swept=("model.width", "data.decay.high"))


@pytest.mark.parametrize(
    "key",
    ["objective", "direction", "returns", "resume", "tracking", "tracking.experiment", "unfair"],
)
def test_keys_that_all_trials_share(check: Check, key: str) -> None:
    """What trials are judged and recorded by is no part of the search space."""
    message = rf"^{key}: must be the same in every trial, .* but {key} is swept: give it one value"
    with pytest.raises(InputError, match=message):
        check(swept=("model.width", key))


def test_run_to_continue_in_a_sweep(check: Check) -> None:
    """A sweep continues no single run."""
    with pytest.raises(InputError, match=r"^resume: must name a run of its own, without -m, but"):
        check("resume=abc", swept=("model.width",))


def test_skill_on_data_that_changes(check: Check) -> None:
    """Skill on the test data is no fairer."""
    with pytest.raises(InputError, match=r"Use objective=reference/skill, or say unfair=true$"):
        check(
            "objective=test/skill",
            "direction=maximize",
            swept=("data.decay.high",),
            directions=("maximize",),
        )


def test_groups_of_data(check: Check) -> None:
    """To sweep the data's group is to sweep the data."""
    with pytest.raises(InputError, match=r"but data is swept and changes the series"):
        check(swept=("data",))


def test_unfair(check: Check) -> None:
    """Who says so may judge by data that changes."""
    check("unfair=true", swept=("data.decay.high",))


@pytest.mark.parametrize("key", ["data.num_series", "data.batch_size", "model.width", "seed"])
def test_harmless_keys(check: Check, key: str) -> None:
    """What leaves validation and test data as they are may be swept."""
    check(swept=(key,))


def test_fair_objective(check: Check) -> None:
    """The reference sets stay the same whatever is trained on."""
    check("objective=reference/val_mae", swept=("data.decay.high",))


def test_one_of_several_objectives(check: Check) -> None:
    """Each returned value must be fair."""
    with pytest.raises(InputError, match=r"changes the series that test/mae is measured on"):
        check(
            "returns=[parameters,test/mae]",
            swept=("data.decay.high",),
            directions=("minimize", "minimize"),
        )


def test_returns_and_directions(check: Check) -> None:
    """A metric is to be named for each direction."""
    message = (
        r"^returns: must name a metric for each of the sweep's 2 directions, but names 1: val/mae$"
    )
    with pytest.raises(InputError, match=message):
        check(directions=("minimize", "minimize"))


def test_unknown_metric(check: Check) -> None:
    """A metric that the task does not log is refused with the nearest one."""
    message = r"^returns: must be metrics that the task logs, but one is 'val/mea'; did you mean va"
    with pytest.raises(InputError, match=message):
        check("returns=[val/mea]")


_OWN = ("model._target_=own.Model", "objective=accuracy")
_CONTRADICTION = (
    r"^hydra.sweeper.direction: must be what direction says of accuracy, which chooses a run's "
    r"best epoch, but is 'maximize', and direction is 'minimize': give direction=maximize, or "
    r"leave hydra.sweeper.direction out$"
)


def test_direction_of_the_sweep_alone_is_refused(check: Check) -> None:
    """A sweep that maximizes would keep each run's worst epoch."""
    with pytest.raises(InputError, match=_CONTRADICTION):
        check(*_OWN, directions=("maximize",))


def test_direction_of_the_run_agrees(check: Check) -> None:
    """The run's direction and the sweep's may both be given."""
    check(*_OWN, "direction=maximize", directions=("maximize",))


def test_direction_of_one_of_several_objectives_is_compared(check: Check) -> None:
    """The objective that chooses the best epoch may be any of those that are returned."""
    returns = "returns=[parameters,accuracy]"
    with pytest.raises(InputError, match=_CONTRADICTION):
        check(*_OWN, returns, directions=("minimize", "maximize"))
    check(*_OWN, returns, "direction=maximize", directions=("minimize", "maximize"))


def test_direction_of_a_metric_that_chooses_no_epoch_is_free(check: Check) -> None:
    """The best epoch may be chosen by another metric than those that a sweep compares."""
    check(*_OWN, "returns=[f1]", directions=("maximize",))


def test_direction_that_is_swept_is_refused(
    tmp_path: Path, compose: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each configuration of a sweep is looked at, and not only the first."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = f"tracking.root={tmp_path}/root"
    configs = [compose(root, *_OWN, f"direction={each}") for each in ("maximize", "minimize")]
    with pytest.raises(InputError, match=_CONTRADICTION):
        check_sweep(configs, ("experiment",), ("maximize",))


def test_objectives_that_differ_between_trials(
    tmp_path: Path, compose: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials have one objective, also if a swept group sets it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = f"tracking.root={tmp_path}/root"
    configs = [compose(root, f"objective={each}") for each in ("val/mae", "test/mae")]
    message = r"^objective: must be the same in every trial, but is 'val/mae' in one and 'test/mae'"
    with pytest.raises(InputError, match=message):
        check_sweep(configs, ("experiment",), ("minimize",))


@pytest.mark.parametrize("spelling", ["direction=maximize", "directions=[maximize]"])
def test_contradiction_in_a_single_run_is_refused(
    tmp_path: Path,
    compose: Callable[..., DictConfig],
    capsys: pytest.CaptureFixture[str],
    spelling: str,
) -> None:
    """A run without -m names the best epoch by its own direction, and would not be heard."""
    with hydra.initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        made = GlobalHydra.instance().hydra
        assert made is not None
        config = made.config_loader.load_configuration(
            "train",
            [f"tracking.root={tmp_path}/root", *_OWN, f"hydra.sweeper.{spelling}"],
            RunMode.RUN,
            from_shell=False,
        )
    with pytest.raises(SystemExit, match="2"):
        Preflight().on_run_start(config)
    assert (
        "give direction=maximize, or leave hydra.sweeper.direction out" in capsys.readouterr().err
    )
    assert not (tmp_path / "root").exists()


def test_wrong_direction(check: Check) -> None:
    """An error is not to be maximized."""
    rule = "hydra.sweeper.direction: must be minimize for val/mae, but is 'maximize'"
    with pytest.raises(InputError, match=f"^{rule}: give hydra.sweeper.direction=minimize$"):
        check(directions=("maximize",))


def test_wrong_direction_of_several(check: Check) -> None:
    """The message has the whole list."""
    directions = ("minimize", "maximize")
    fix = r"give hydra.sweeper.directions=\[minimize,minimize\]$"
    with pytest.raises(
        InputError, match=rf"^hydra.sweeper.directions: must be .* parameters.*{fix}"
    ):
        check("returns=[val/mae,parameters]", directions=directions)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.devices=[0,1]", r"^trainer.devices: must be 1 in a sweep.*but is "),
        ("trainer.strategy=ddp", r"^trainer.strategy: must be auto in a sweep, .*but is ddp: "),
        ("trainer.strategy=ddp_spawn", r"^trainer.strategy: must be auto in a sweep"),
        ("+trainer.num_nodes=2", r"^trainer.num_nodes: must be 1 in a sweep"),
    ],
)
def test_trials_in_several_processes(check: Check, override: str, message: str) -> None:
    """No trial of the reference task starts processes, whichever value of a key would."""
    with pytest.raises(InputError, match=message):
        check(override)


def test_all_devices_of_a_machine_with_several(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``auto`` would take every device for each trial."""
    monkeypatch.setattr("sinesweep.preflight._devices", lambda _: (4, "cuda"))
    with pytest.raises(InputError, match=r"^trainer.devices: .* auto takes all 4 devices"):
        check("trainer.devices=auto")


def test_several_devices(check: Check) -> None:
    """A trial runs on one device: the sweep has many trials at once."""
    with pytest.raises(InputError, match=r"^trainer.devices: must be 1 in a sweep.*but is 2: "):
        check("trainer.devices=2")


def test_every_sample_is_checked(compose: Callable[..., DictConfig], tmp_path: Path) -> None:
    """A sample from the far end of a range is checked like the first."""
    root = f"tracking.root={tmp_path}/root"
    configs = [compose(root), compose(root, "model.width=0")]
    with pytest.raises(InputError, match=r"^model.width: must be greater than"):
        check_sweep(configs, ("model.width",), ("minimize",))


def test_there_are_named_sweeps() -> None:
    """The sweeps that the project promises are there."""
    assert {"quick", "depth_width", "decay_ranges", "depth_width_decay"} <= set(_SWEEPS)
    assert {"learning_rate", "seeds", "pareto"} <= set(_SWEEPS)


@pytest.mark.parametrize("name", _SWEEPS)
@pytest.mark.usefixtures("compose")  # registers the configuration's resolvers
def test_named_sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every file in sweeps/ composes, and passes all checks at the ends of its space."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with hydra.initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"):
        loaded = GlobalHydra.instance().hydra
        assert loaded is not None
        loader = loaded.config_loader
    command = [f"sweeps={name}", f"tracking.root={tmp_path}/root"]
    config = loader.load_configuration("train", command, RunMode.MULTIRUN, from_shell=False)
    keys = {str(k): config.hydra.sweeper[k] for k in config.hydra.sweeper if k[0] != "_"}
    plan = plans.make(
        settings.parse(keys),
        config.hydra.overrides.task,
        config,
        HydraContext(loader, Callbacks()),
    )
    preflight.check(plan)
    preflight.build_sampler(plan)
    preflight.build_pruner(plan)
    assert plan.name == name
    assert not plan.folder.exists()
