import errno
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
import torch
from omegaconf import DictConfig

from sinesweep import preflight
from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.config import Config, parse
from sinesweep.errors import InputError

MakeConfig = Callable[..., Config]


@pytest.fixture
def make_config(
    tmp_path: Path, compose: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> MakeConfig:
    """Configure a run under ``tmp_path/root`` that no environment variable reaches."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda *overrides: parse(compose(f"tracking.root={tmp_path / 'root'}", *overrides))


@pytest.mark.parametrize("tracking", ["mlflow", "none"])
def test_nothing_is_created(tmp_path: Path, make_config: MakeConfig, tracking: str) -> None:
    """Checking a run leaves no file behind."""
    preflight.check(make_config(f"tracking={tracking}"))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder() -> None:
    """A folder that cannot be made is refused with the system's reason."""
    message = r"^tracking.root: the folder must be writable, but /proc/sinesweep/runs is not \(.+\)"
    with pytest.raises(InputError, match=message):
        preflight.check_folder(Path("/proc/sinesweep/runs"))


def test_file_in_place_of_the_folder(tmp_path: Path) -> None:
    """A root that is a file is refused."""
    (tmp_path / "root").touch()
    with pytest.raises(InputError, match=r"must be writable, but .* is not \(Not a directory\)"):
        preflight.check_folder(tmp_path / "root")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "must have parts of at most 255 bytes, but one has 300"),
        ("x/" * 2000, "must be a path of at most 3500 bytes, but has "),
        ("\u00e4" * 200, "must have parts of at most 255 bytes, but one has 400"),
        ("a\0b", "must have no null character"),
    ],
)
def test_path_that_the_system_cannot_take(name: str, message: str) -> None:
    """A folder whose name is too long, in bytes, is refused before the system is asked."""
    with pytest.raises(InputError, match=f"^tracking.root: {message}"):
        preflight.check_folder(Path(name))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.num_series=2147483647"], "data.num_series and data.length: the series must fit"),
        (["data=post", "data.repeats=2147483647"], "data.repeats: the patterns must fit the mem"),
        (["model.width=2147483647"], "model.layers and model.width: the weights must fit the me"),
    ],
)
def test_more_than_memory(make_config: MakeConfig, overrides: list[str], message: str) -> None:
    """Series and weights that no memory holds are refused with what they take."""
    with pytest.raises(InputError, match=rf"^{message}.* GiB, but take .* GiB: make them smaller$"):
        preflight.check(make_config("tracking=none", *overrides))


@pytest.mark.usefixtures("compose")  # registers resolvers that the configuration has
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra.run.dir=" + "x" * 300, "hydra.run.dir: must have parts of at most 255 bytes"),
        ("hydra.output_subdir=" + "x" * 300, "hydra.output_subdir: must have parts of at most"),
        ("hydra.job_logging.root.level=NOPE", "hydra.job_logging.root.level: must be a level of"),
        ("hydra.run.dir=/proc/x", "hydra.run.dir: the folder must be writable"),
        ("hydra.run.dir=.", "hydra.run.dir: must be a new folder, but . is there and in use"),
    ],
)
def test_folders_of_hydra(override: str, message: str) -> None:
    """The run's folder as the command names it is checked before Hydra makes it."""
    with (
        hydra.initialize_config_dir(str(CONFIG_DIRECTORY), version_base="1.3"),
        pytest.raises(InputError, match=f"^{message}"),
    ):
        preflight.check_run_folder(hydra.compose("train", [override], return_hydra_config=True))


def test_disk_without_any_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no byte can be written, the remedy is to make room."""

    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    message = r"is not \(No space left on device\): make room, or choose another one with"
    with pytest.raises(InputError, match=message):
        preflight.check_folder(tmp_path)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room for a run is refused with what is needed and what is free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=3 * 2**20))
    message = f"tracking.root: the disk must have 50 MiB free, but {tmp_path} has 3: "
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        preflight.check_folder(tmp_path)


@pytest.fixture
def uninstall(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package look as if it were not installed."""
    real = importlib.util.find_spec

    def hide(package: str) -> None:
        def find_spec(name: str, *rest: Any) -> Any:
            return None if name == package else real(name, *rest)

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return hide


@pytest.mark.parametrize("package", ["torch", "pytorch_lightning", "torchmetrics"])
def test_missing_package(
    make_config: MakeConfig, uninstall: Callable[[str], None], package: str
) -> None:
    """A package that training needs is asked for by name, with the command that installs it."""
    config = make_config()
    uninstall(package)
    message = f"{package} must be installed for training, but is not: "
    with pytest.raises(InputError, match=f"^{message}pip install 'sinesweep\\[task\\]'$"):
        preflight.check(config)


def test_missing_mlflow(make_config: MakeConfig, uninstall: Callable[[str], None]) -> None:
    """MLflow is asked for where the run is to be tracked with it."""
    config = make_config()
    uninstall("mlflow")
    with pytest.raises(InputError, match=r"^tracking.backend: mlflow must be installed"):
        preflight.check(config)


def test_mlflow_is_not_needed_without_tracking(
    make_config: MakeConfig, uninstall: Callable[[str], None]
) -> None:
    """A run that is not tracked does without MLflow."""
    config = make_config("tracking=none")
    uninstall("mlflow")
    preflight.check(config)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps", "tpu"])
def test_missing_accelerator(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    uninstall: Callable[[str], None],
    accelerator: str,
) -> None:
    """An accelerator that the machine lacks is refused with what can be used instead."""
    config = make_config("tracking=none", f"trainer.accelerator={accelerator}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    uninstall("torch_xla")
    message = f"^trainer.accelerator: the machine must have it, but there is no {accelerator} here"
    with pytest.raises(InputError, match=message):
        preflight.check(config)


def test_present_accelerator(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any GPU satisfies a run that asks for one."""
    config = make_config("tracking=none", "trainer.accelerator=gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    preflight.check(config)


@pytest.mark.parametrize("devices", ["1000", "[0,999]"])
def test_more_devices_than_the_machine_has(make_config: MakeConfig, devices: str) -> None:
    """Devices that are not there are refused with their count."""
    message = r"^trainer.devices: the machine must have them, but has \d+ of the kind cpu, and "
    with pytest.raises(InputError, match=message):
        preflight.check(make_config(f"trainer.devices={devices}", "trainer.accelerator=cpu"))
