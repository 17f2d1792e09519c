"""The part of a checkpoint that ``torch.load(weights_only=True)`` reads."""

from __future__ import annotations

import io
import logging
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import Container, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sinesweep.redaction import hidden_keys, redact_tree

HPARAMS = ("hyper_parameters", "datamodule_hyper_parameters")
# Names the class of the hyperparameters, if it is not a dict.
_HPARAMS_TYPE = "hparams_type"
_PLAIN = (type(None), bool, int, float, str, bytes, torch.Tensor, torch.nn.Parameter)
_LOST = object()


class ReadablePart:
    """Leaves out of checkpoints what could not be read again, and warns of each part once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def of(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Return a checkpoint without what cannot be read, and without secret hyperparameters.

        NumPy's numbers, paths and OmegaConf's containers become Python's numbers, texts and dicts.
        """
        lost: list[str] = []
        known = {key: value for key, value in checkpoint.items() if key != _HPARAMS_TYPE}
        found = dict(_readable(known, "", lost))
        for key in HPARAMS:
            if isinstance(found.get(key), dict):
                found[key] = _without_secrets(found[key])
        self._warn(lost)
        return found

    def _warn(self, lost: list[str]) -> None:
        new = [name for name in lost if name not in self._told]
        self._told.update(new)
        if new:
            logging.getLogger(__name__).warning(
                "checkpoints leave out %s: torch.load(weights_only=True) reads plain values and "
                "tensors only; give load_from_checkpoint what it needs of these as arguments",
                ", ".join(new),
            )


def _without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    secret = {key.partition(".")[0] for key in hidden_keys(redact_tree(values))}
    return {key: value for key, value in values.items() if key not in secret}


def _readable(value: Any, name: str, lost: list[str]) -> Any:
    """Return a value as it can be read: the same object if nothing of it had to change."""
    if type(value) in _PLAIN:
        return value
    if type(value) in (dict, OrderedDict):
        return _readable_dict(value, name, lost)
    if type(value) in (list, tuple, set):
        items = [_readable(item, f"{name}.{index}", []) for index, item in enumerate(value)]
        if any(item is _LOST for item in items):
            return _lost(name, lost)
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else type(value)(items)
    if isinstance(value, np.generic):
        return _readable(value.item(), name, lost)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Container):
        return _readable_container(value, name, lost)
    if not callable(value) and _is_read(value):
        return value
    if isinstance(value, Mapping):
        return _readable(dict(value), name, lost)
    return _lost(name, lost)


def _readable_dict(values: dict[Any, Any], name: str, lost: list[str]) -> Any:
    found = {}
    for key, value in values.items():
        plain = key.item() if isinstance(key, np.generic) else key
        inner = f"{name}.{plain}" if name else str(plain)
        try:
            new = _readable(value, inner, lost) if _is_key(plain) else _lost(inner, lost)
        except RecursionError:  # it contains itself
            if name not in HPARAMS:
                raise
            new = _lost(inner, lost)
        if new is not _LOST:
            found[plain] = new
    same = len(found) == len(values) and all(
        new is old and type(a) is type(b)
        for (a, new), (b, old) in zip(found.items(), values.items(), strict=True)
    )
    return values if same else type(values)(found)


def _readable_container(value: Container, name: str, lost: list[str]) -> Any:
    try:
        plain = OmegaConf.to_container(value, resolve=True, enum_to_str=True)
    except OmegaConfBaseException:
        return _lost(name, lost)
    return _readable(plain, name, lost)


def _is_key(key: Any) -> bool:
    return type(key) in _PLAIN or (isinstance(key, tuple) and all(map(_is_key, key)))


def _is_read(value: Any) -> bool:
    """Whether a value of any other class is read as it is written."""
    buffer = io.BytesIO()
    try:
        torch.save(value, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception:  # noqa: BLE001 # the pickling of a class of the user's own fails in any way
        return False
    return True


def _lost(name: str, lost: list[str]) -> Any:
    lost.append(name)
    return _LOST
