"""Overrides that pin where a sweep is, if the configuration says that anew for each command.

``hydra.sweep.dir=sweeps/${now:%H-%M}`` names another folder a minute later, and a random name
another one at once. A command that is to continue the sweep gives the folder as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sinesweep.redaction import redact
from sinesweep.sweep.settings import Settings
from sinesweep.sweep.space import value_text

# The beginning of each interpolation: a resolver's name and a colon, or a key.
_INTERPOLATION = re.compile(r"\$\{\s*([\w.]+)\s*(:?)")
# Resolvers whose value follows from the command line alone.
_OF_THE_COMMAND = frozenset(
    (
        "hydra",
        "oc.create",
        "oc.decode",
        "oc.deprecated",
        "oc.dict.keys",
        "oc.dict.values",
        "oc.select",
    )
)
_CLOCK = "now"
_TRACKING_ROOT = "tracking.root"
_PLAIN = re.compile(r"[\w./:+@%-]+")


@dataclass(frozen=True)
class Pin:
    """A key that says where the sweep is, and what it was resolved to.

    Attributes:
        key: of the configuration.
        value: as resolved in this command.
        written: as in the configuration, with its interpolations.
        changes: whether the next command will resolve it to another value, as far as is known.
    """

    key: str
    value: str
    written: str
    changes: bool

    @property
    def override(self) -> str:
        """The override that gives the key its value."""
        quoted = self.value if _PLAIN.fullmatch(self.value) else value_text(self.value)
        return f"{self.key}={quoted}"


def find_pins(config: DictConfig, settings: Settings, name: str, folder: Path) -> Sequence[Pin]:
    """Return the pins that a command needs to continue a sweep.

    Args:
        config: of the command.
        settings: ``hydra.sweeper``.
        name: the study's.
        folder: the sweep's.
    """
    root = Path(settings.root)
    in_root = folder == root / name
    places: dict[str, str] = {} if in_root else {"hydra.sweep.dir": str(folder)}
    if in_root:
        places["hydra.sweeper.root"] = str(root)
    if settings.study_name is not None:
        places["hydra.sweeper.study_name"] = name
    if isinstance(settings.storage, str) and redact(settings.storage) == settings.storage:
        places["hydra.sweeper.storage"] = settings.storage
    if settings.tracking is not None and OmegaConf.select(config, _TRACKING_ROOT) is not None:
        places[_TRACKING_ROOT] = settings.tracking.root
    pins = []
    for key, value in places.items():
        resolvers = set(_resolvers(config, key)) - _OF_THE_COMMAND
        if resolvers:
            changes = _CLOCK in resolvers or _changes(config, key)
            pins.append(Pin(key, value, str(_written(config, key)), changes))
    return tuple(pins)


def changing_place(pins: Sequence[Pin]) -> str | None:
    """Return what to say at the start of a sweep that the same command would not find again."""
    pin = next((pin for pin in pins if pin.changes), None)
    if pin is None:
        return None
    overrides = " ".join(pin.override for pin in pins)
    return (
        f"{pin.key} is {pin.written}, which changes with each command, so that the same command "
        f"begins another sweep: continue this one by adding {overrides}"
    )


def with_overrides(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return a command's arguments with more overrides, beside those that it has.

    Hydra takes overrides in one place only: none before an option and others after it.
    """
    last = max((i for i, word in enumerate(arguments) if _is_override(word)), default=None)
    place = len(arguments) if last is None else last + 1
    return [*arguments[:place], *overrides, *arguments[place:]]


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


def _resolvers(config: DictConfig, key: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the resolvers that a key's value is made by, also those of the keys that it names."""
    written = _written(config, key)
    if key in seen or not isinstance(written, str):
        return
    for name, colon in _INTERPOLATION.findall(written):
        if colon:
            yield name
            continue
        yield from _resolvers(config, name, seen | {key})


def _written(config: DictConfig, key: str) -> Any:
    parent, _, leaf = key.rpartition(".")
    try:
        section = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        return None
    if not isinstance(section, DictConfig):
        return None
    plain = OmegaConf.to_container(section, resolve=False)
    return plain.get(leaf) if isinstance(plain, dict) else None


def _changes(config: DictConfig, key: str) -> bool:
    """Whether a key is resolved to another value once more, as by another command."""
    before, kept = OmegaConf.select(config, key), OmegaConf.get_cache(config)
    try:
        OmegaConf.clear_cache(config)
        return OmegaConf.select(config, key) != before
    finally:
        OmegaConf.set_cache(config, kept)
