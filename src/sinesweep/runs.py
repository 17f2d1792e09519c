"""Run folders: ``<root>/runs/<when>-<id>/``, how they are named, found and continued."""

from __future__ import annotations

import difflib
import os
import secrets
import string
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from sinesweep import distributed
from sinesweep.errors import InputError
from sinesweep.files import append, load_yaml, take_lock, write_atomically
from sinesweep.redaction import hidden_keys, redact_tree, user_rules
from sinesweep.tracking import record

CONFIG_FILE = "config.yaml"
LOCK_FILE = "run.lock"
CHECKPOINTS = "checkpoints"
ROOT_ID_FILE = ".root-id"
ELSEWHERE_FILE = ".sweeps-elsewhere"

_NOT_COMPARED = ("tracking", "artifacts", "resume")
_ID_LETTERS = 8
_NEW_NAME: list[str] = []  # one process starts one run; several would each ask for a folder


def new_name() -> str:
    """Return a name that no other run has: the time, to be read, and a random id.

    The id has letters only: Hydra would read ``resume=1234e567`` as a number.
    """
    run = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_ID_LETTERS))
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{run}"


def directory(root: str, resume: str | None) -> str:
    """Return the folder of the run to continue, or the new one of this process."""
    if resume is not None:
        return str(find(Path(root), str(resume)))
    if not _NEW_NAME:
        _NEW_NAME.append(new_name())
    return str(Path(root) / "runs" / _NEW_NAME[0])


def root_id(root: Path) -> str | None:
    """Return what tells this root from any other, or None where no run has begun in it.

    Neither a path nor a host's name would do: two containers can have both in common.
    """
    path = root / ROOT_ID_FILE
    return path.read_text(encoding="utf-8") if path.exists() else None


def make_root_id(root: Path) -> str:
    """Return the root's id, which the first run of all makes."""
    path = root / ROOT_ID_FILE
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{ROOT_ID_FILE}.{os.getpid()}")
        new.write_text(secrets.token_hex(16), encoding="utf-8")
        with suppress(FileExistsError):  # of several first runs one is the first
            os.link(new, path)
        new.unlink()
    return path.read_text(encoding="utf-8")


def note_sweep(root: Path, folder: Path) -> None:
    """Remember a sweep that is recorded with a root and kept outside of it."""
    whole = folder.absolute()
    if not whole.is_relative_to(root.absolute()) and whole not in sweeps_elsewhere(root):
        root.mkdir(parents=True, exist_ok=True)
        append(root / ELSEWHERE_FILE, os.fsencode(f"{whole}\n"))


def sweeps_elsewhere(root: Path) -> list[Path]:
    """Return the folders outside of a root in which applications keep sweeps recorded with it."""
    path = root / ELSEWHERE_FILE
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [Path(os.fsdecode(line)) for line in lines]


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders of all runs that have begun, oldest first."""
    for path in sorted((root / "runs").glob(f"*/{record.FILE_NAME}")):
        yield path.parent


def find(root: Path, run: str) -> Path:
    """Find a run's folder by its name, its id, or the beginning of its MLflow id.

    Raises:
        InputError: there is none, or more than one.
    """
    names = {folder: _names(folder) for folder in folders(root)}
    exact = [folder for folder, known in names.items() if run in known]
    found = exact or [
        folder for folder, known in names.items() if any(name.startswith(run) for name in known)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(folder.name for folder in found)
        raise InputError(f"run {run!r}: must name one run, but begins several: {listed}")
    close = difflib.get_close_matches(run, [n for known in names.values() for n in known], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"run {run!r}: there is no such run under {root / 'runs'}{hint}")


def run_id(folder: Path) -> str | None:
    """Return MLflow's id of a run, or None where it has none."""
    return record.delivery_state(folder).get("run_id")


def is_alive(folder: Path) -> bool:
    """Whether a process is still training this run."""
    lock = take_lock(folder / LOCK_FILE)
    if lock is None:
        return True
    lock.close()
    return False


def save_config(folder: Path, values: object) -> Path:
    """Write the resolved configuration, without credentials."""
    path = folder / CONFIG_FILE
    write_atomically(path, yaml.safe_dump(redact_tree(values), sort_keys=False).encode())
    return path


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration that :func:`save_config` has written.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        content = load_yaml(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("no YAML mapping")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: must be the configuration that the run was started with, but cannot be read "
            f"({error}): bring the file back, or start another run; checkpoints and record remain"
        ) from error
    return content


def continued(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """Return the configuration of the run to continue.

    What the command line says again must be what the run was started with. Where the run is
    recorded (``tracking``) and what is made at its end (``artifacts``) are taken from the command,
    and so are secrets, which the run's files do not hold.

    Raises:
        InputError: the run is not there, has ended well, still goes on, or was another one; or a
            secret is missing.
    """
    if not isinstance(cfg.resume, str):
        raise InputError(
            f"resume: must be a run's id, but Hydra reads {cfg.resume!r} as a number: give more of "
            "the id, or the folder's name"
        )
    folder = find(Path(cfg.tracking.root), cfg.resume)
    end = record.last_end(folder)
    if end is not None and end["status"] == record.FINISHED:
        raise InputError(f"resume: the run must be unfinished, but {folder.name} has finished")
    if distributed.rank() == 0 and is_alive(folder):
        raise InputError(f"resume: the run must have stopped, but {folder.name} is being trained")
    record.apply_rules(folder)
    saved = OmegaConf.create(dict(read_config(folder / CONFIG_FILE)))
    for key in _NOT_COMPARED:
        saved[key] = cfg[key]
    hidden = _hidden(saved)
    given: set[str] = set()
    for word in _keys(overrides, cfg):
        # One part of a section that is hidden as a whole has nothing to be compared with.
        key = next((known for known in hidden if _is_within(word, known)), word)
        now = _resolved(cfg, key)
        shown, then = redact_tree(now, key), redact_tree(_resolved(saved, key), key)
        if shown != then:
            raise InputError(
                f"resume: {key} must be what the run was started with, {then!r}, but is {shown!r}: "
                "leave it out, or start a new run"
            )
        if shown != now:
            OmegaConf.update(saved, key, now)
        given.add(key)
    missing = [key for key in hidden if not any(_is_within(key, known) for known in given)]
    if missing:
        # Before a run is read, only keys of the general rule are known to be secret: see cli.
        mark = "++" if user_rules() else ""
        raise InputError(
            f"resume: {' and '.join(missing)} must be given again, since a run's files hold no "
            f"secrets: resume={cfg.resume} {' '.join(f'{mark}{key}=...' for key in missing)}"
        )
    return saved


def _hidden(saved: DictConfig) -> list[str]:
    """Return the keys whose values were kept out of the saved configuration."""
    compared = OmegaConf.masked_copy(saved, [str(k) for k in saved if k not in _NOT_COMPARED])
    return list(hidden_keys(OmegaConf.to_container(compared)))


def _is_within(key: str, section: str) -> bool:
    return f"{key}.".startswith(f"{section}.")


def _names(folder: Path) -> list[str]:
    names = [folder.name, folder.name.rpartition("-")[2]]
    tracked = run_id(folder)
    return [*names, tracked] if tracked else names


def _keys(overrides: list[str], cfg: DictConfig) -> Iterator[str]:
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~").split("@")[0].replace("/", ".")
        if key == "experiment":  # it can set any key
            yield from (str(name) for name in cfg if name not in (*_NOT_COMPARED, "hydra"))
        elif key.split(".")[0] not in _NOT_COMPARED:
            yield key


def _resolved(cfg: DictConfig, key: str) -> object:
    value = OmegaConf.select(cfg, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
