"""Secrets in what Hydra keeps and writes: configurations, and the files in ``.hydra``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra.core.utils as hydra_utils
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from sinesweep.errors import InputError
from sinesweep.redaction.keys import add_rules, is_secret
from sinesweep.redaction.known import forget, learn, learn_tree
from sinesweep.redaction.overrides import learn_overrides, redact_overrides
from sinesweep.redaction.trees import redact_tree

_OVERRIDES_FILE = "overrides.yaml"


@contextmanager
def redacted_files() -> Iterator[None]:
    """Have Hydra write its files without secrets while it runs a job."""
    save = hydra_utils._save_config
    redact_files()
    try:
        yield
    finally:
        hydra_utils._save_config = save


def redact_files() -> None:
    """Have Hydra write its files without secrets until this process ends."""
    save = hydra_utils._save_config  # the one place where Hydra writes them

    def save_redacted(cfg: Any, filename: str, output_dir: Path) -> None:
        save(_redacted(cfg, filename), filename, output_dir)  # pyright: ignore[reportArgumentType]

    hydra_utils._save_config = save_redacted


def prepare_redaction(config: DictConfig, words: Iterable[str]) -> None:
    """Take from a command which keys are secret, and the values to be hidden.

    Values that were learned before are forgotten: the configuration may show their keys.

    Args:
        config: as composed.
        words: the command line.

    Raises:
        InputError: the lists of keys in ``hydra.sweeper`` are no lists of keys.
    """
    sweeper = OmegaConf.select(config, "hydra.sweeper") or {}
    found = {name: _keys(sweeper, name) for name in ("redacted_keys", "visible_keys")}
    add_rules(**found)
    forget()
    learn_overrides(words)
    learn_config(config)


def _keys(sweeper: Any, name: str) -> list[str]:
    value = sweeper.get(name) or []
    keys = [str(key) for key in value] if isinstance(value, (list, ListConfig)) else None
    if keys is None or not all(keys):
        raise InputError(
            f"hydra.sweeper.{name}: must be a list of dotted keys, but is {value!r}: write "
            f"hydra.sweeper.{name}=[model.tokens]"
        )
    return keys


def learn_config(config: DictConfig) -> None:
    """Learn the secret values of a composed configuration, interpolations resolved."""
    plain = OmegaConf.to_container(config, resolve=False)
    learn_tree(plain)
    for key in _interpolated_secrets(plain):
        try:
            value = OmegaConf.select(config, key)
        except OmegaConfBaseException:
            continue  # the application says what is wrong if it needs the value
        learn(OmegaConf.to_container(value) if OmegaConf.is_config(value) else value)


def hide_in_folder_names(config: DictConfig) -> None:
    """Hide secrets in what Hydra makes names of folders from: the overrides, joined."""
    job, lines = config.hydra.job, list(config.hydra.overrides.task)
    shown = redact_overrides(lines)
    if shown == lines:
        return
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.overrides.task = shown
        if not OmegaConf.is_interpolation(job, "override_dirname"):  # as it is from Hydra 1.4 on
            job.override_dirname = override_dirname(shown, job.config.override_dirname)


def override_dirname(lines: list[str], style: Any) -> str:
    """Return overrides as Hydra joins them for the name of a folder."""
    kept = [line for line in lines if line.partition("=")[0].lstrip("+~") not in style.exclude_keys]
    return style.item_sep.join(sorted(kept)).replace("=", style.kv_sep)


def _redacted(config: DictConfig | ListConfig, filename: str) -> DictConfig | ListConfig:
    plain = OmegaConf.to_container(config, resolve=False)
    if filename == _OVERRIDES_FILE and isinstance(plain, list):
        shown: Any = redact_overrides(map(str, plain))
    else:
        shown = redact_tree(_with_redacted_overrides(plain))
    return config if shown == plain else OmegaConf.create(shown, flags={"allow_objects": True})


def _with_redacted_overrides(plain: Any) -> Any:
    """Redact the lists of overrides that Hydra's own configuration holds."""
    if not (isinstance(plain, Mapping) and "hydra" in plain):
        return plain
    hydra = dict(plain["hydra"])
    overrides = hydra.get("overrides") or {}
    hydra["overrides"] = {key: redact_overrides(lines) for key, lines in overrides.items()}
    return {**plain, "hydra": hydra}


def _interpolated_secrets(plain: Any, key: str = "") -> Iterator[str]:
    if isinstance(plain, Mapping):
        for name, inner in plain.items():
            yield from _interpolated_secrets(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(plain, str) and "${" in plain and is_secret(key):
        yield key
