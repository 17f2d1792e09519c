from pathlib import Path

import pytest
import yaml
from hydra.core import utils
from omegaconf import DictConfig, OmegaConf

from sinesweep.errors import InputError
from sinesweep.redaction import is_secret, redact
from sinesweep.redaction.hydra import (
    hide_in_folder_names,
    learn_config,
    prepare_redaction,
    redacted_files,
)


def hydras(*task: str) -> DictConfig:
    style = {"kv_sep": "=", "item_sep": ",", "exclude_keys": ["x"]}
    return OmegaConf.create(
        {
            "hydra": {
                "overrides": {"task": list(task), "hydra": []},
                "job": {
                    "override_dirname": ",".join(task),
                    "config": {"override_dirname": style},
                    "env_set": {"MY_TOKEN": "hunter2", "HOME": "/h"},
                },
                "sweeper": {"params": {"db.password": "a,b", "x": "1,2"}},
            }
        }
    )


def test_hydras_files_hold_no_secret(tmp_path: Path) -> None:
    """The files that Hydra writes for a job lose secrets and stay YAML, interpolations included."""
    config = OmegaConf.create(
        {"db": {"password": "hunter2 x", "ports": [1], "name": "${x}"}, "x": "???", "tokens": [1]}
    )
    words = OmegaConf.create(["db.password='hunter2 x'", "db={password: [a]}", "x=1"])
    with redacted_files():
        utils._save_config(config, "config.yaml", tmp_path)
        utils._save_config(hydras("db.password=q"), "hydra.yaml", tmp_path)
        utils._save_config(words, "overrides.yaml", tmp_path)  # pyright: ignore[reportArgumentType]
    read = {path.stem: yaml.safe_load(path.read_text()) for path in tmp_path.iterdir()}
    assert read["config"] == {
        "db": {"password": "***", "ports": [1], "name": "${x}"},
        "x": "???",
        "tokens": "***",
    }
    assert read["overrides"] == ["db.password=***", "db={password:***}", "x=1"]
    assert read["hydra"]["hydra"]["overrides"]["task"] == ["db.password=***"]
    assert read["hydra"]["hydra"]["job"]["env_set"] == {"MY_TOKEN": "***", "HOME": "/h"}
    assert read["hydra"]["hydra"]["sweeper"]["params"] == {"db.password": "***", "x": "1,2"}


def test_hydra_is_left_as_it_was() -> None:
    """Outside of a job Hydra writes its files itself, also after a job that failed."""
    before = utils._save_config
    with pytest.raises(ZeroDivisionError), redacted_files():
        raise ZeroDivisionError
    assert utils._save_config is before


def test_names_of_folders_hold_no_secret() -> None:
    """What Hydra makes folders' names from is redacted override by override."""
    config = hydras("y=2", "x=1", "db.password='a,b'")
    hide_in_folder_names(config)
    assert config.hydra.job.override_dirname == "db.password=***,y=2"
    assert config.hydra.overrides.task == ["y=2", "x=1", "db.password=***"]


def test_names_of_folders_without_secrets_stay() -> None:
    """A command without secrets keeps what Hydra has made of it."""
    config = hydras("y=2", "x=1")
    hide_in_folder_names(config)
    assert config.hydra.job.override_dirname == "y=2,x=1"


def test_values_behind_interpolations_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that comes from the environment or from another key is known."""
    monkeypatch.setenv("DB_LOGIN", "hunter2 x")
    config = OmegaConf.create({"db": {"password": "${oc.env:DB_LOGIN}", "token": "${missing}"}})
    learn_config(config)
    assert redact("no hunter2 x") == "no ***"


def test_keys_of_the_configuration() -> None:
    """A value that was learned under a key that the configuration shows is forgotten."""
    config = hydras()
    config.hydra.sweeper = {"visible_keys": ["tokens"], "redacted_keys": ["db.user"]}
    prepare_redaction(config, ["tokens=10000", "db.user=swordfish"])
    assert (is_secret("tokens"), is_secret("db.user")) == (False, True)
    assert redact("10000 of swordfish") == "10000 of ***"


@pytest.mark.parametrize("value", ["tokens", 3, {"a": 1}, [""]])
def test_lists_of_keys_are_checked(value: object) -> None:
    """What is no list of keys is refused with the key's name and what to write."""
    config = hydras()
    config.hydra.sweeper = {"visible_keys": value}
    with pytest.raises(InputError, match=r"hydra.sweeper.visible_keys: must be a list of dotted"):
        prepare_redaction(config, [])


def test_a_configuration_without_the_sweeper() -> None:
    """Any configuration will do."""
    prepare_redaction(OmegaConf.create({"hydra": {}, "db": {"password": "swordfish"}}), [])
    assert redact("swordfish") == "***"
