"""Composes trials' configurations, and does not read every file again for a new number.

Hydra takes tens of milliseconds for a configuration, mostly for its defaults list, which a plain
``key=value`` does not change. So what is left without those is composed once, and they are applied
to a copy, as Hydra would. Whatever else an override may do is left to Hydra.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sinesweep.sweep.plan import Plan

_PLAIN_KEY = re.compile(r"(?!hydra\.)[A-Za-z_]\w*(\.\w+)*")
_MARKS = "+~"
_LARGEST_CACHE = 64  # configurations of groups, a few hundred kB each


class Composer:
    """Composes configurations for one sweep.

    Args:
        plan: the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._templates: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}  # whether a key is that of a configuration group

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return what :meth:`Plan.compose` does.

        Raises:
            hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: as there.
        """
        try:
            found = self._applied(overrides)
        except (HydraException, OmegaConfBaseException):
            found = None  # Hydra says what is wrong in its own words
        return self._plan.compose(overrides) if found is None else found

    def _applied(self, overrides: Sequence[str]) -> DictConfig | None:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        groups = self._plan.config.hydra.runtime.choices
        values = [o for o in parsed if _is_value(o) and not self._is_group(o, groups)]
        if not values:
            return None
        template = self._template(tuple(str(o.input_line) for o in parsed if o not in values))
        groups = template.hydra.runtime.choices  # a choice may have brought others
        if any(override.key_or_group in groups for override in values):
            return None
        if _depend_on_order([o for o in parsed if o.key_or_group not in groups]):
            return None
        config = copy.deepcopy(template)
        for override in values:
            if _is_taken(config, override):
                return None
            key, value = override.key_or_group, override.value()
            OmegaConf.update(config, key, value, merge=True, force_add=_adds(override))
        _describe(config, [override for override in parsed if not override.is_hydra_override()])
        OmegaConf.copy_cache(from_config=self._plan.config, to_config=config)
        return config

    def _is_group(self, override: Override, groups: Mapping[str, Any]) -> bool:
        key = override.key_or_group
        if key not in self._groups:
            found = self._plan.context.config_loader.get_group_options(key)
            self._groups[key] = bool(found)
        return key in groups or self._groups[key]

    def _template(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._templates:
            if len(self._templates) >= _LARGEST_CACHE:
                self._templates.clear()
            self._templates[overrides] = self._plan.compose(overrides)
        return self._templates[overrides]


def _is_value(override: Override) -> bool:
    """Whether an override sets or adds one value, if its key is not a configuration group's."""
    if override.is_delete() or override.package is not None or override.is_sweep_override():
        return False
    value = override.value()
    scalar = value is None or isinstance(value, (bool, int, float, str))
    return scalar and _PLAIN_KEY.fullmatch(override.key_or_group) is not None


def _adds(override: Override) -> bool:
    return override.is_add() or override.is_force_add()


def _is_taken(config: DictConfig, override: Override) -> bool:
    """Whether a key that is to be added is there already, which Hydra refuses."""
    if not override.is_add():
        return False
    return OmegaConf.select(config, override.key_or_group, throw_on_missing=False) is not None


def _depend_on_order(overrides: Sequence[Override]) -> bool:
    """Whether one override may be about a part of what another one is about."""
    if any(o.is_delete() and "=" in str(o.input_line) for o in overrides):
        return True  # it compares with a value
    keys = sorted(f"{o.key_or_group.lstrip(_MARKS)}." for o in overrides)
    return any(after.startswith(before) for before, after in pairwise(keys))


def _describe(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Have the configuration tell its overrides as Hydra does."""
    lines = [str(override.input_line) for override in overrides]
    config.hydra.overrides.task = lines
    if OmegaConf.is_interpolation(config.hydra.job, "override_dirname"):
        return  # from Hydra 1.4 on
    style = config.hydra.job.config.override_dirname
    shown = sorted(
        str(override.input_line)
        for override in overrides
        if override.key_or_group not in style.exclude_keys
    )
    joined = style.item_sep.join(shown)
    config.hydra.job.override_dirname = re.sub("[=]", style.kv_sep, joined)
