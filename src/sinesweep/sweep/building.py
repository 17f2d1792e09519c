"""Makes what ``hydra.sweeper`` names by ``_target_``: sampler, pruner, terminator, storage."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.utils import get_object, instantiate

# From Hydra 1.4 on a configuration may name only what the code that reads it allows. Classes of
# anybody else are left to Hydra's own rule, so that this widens nothing: the application allows
# them with hydra.utils.execution_whitelist.
_ALLOWED = ("optuna.", "sinesweep.")
_RULE = "_execution_whitelist_"
_HAS_RULE = _RULE in inspect.signature(instantiate).parameters


def build(values: Mapping[str, Any]) -> Any:
    """Make an object of a section with ``_target_``.

    Raises:
        hydra.errors.InstantiationException: it cannot be made.
    """
    rule: dict[str, Any] = {}
    if _HAS_RULE and all(target.startswith(_ALLOWED) for target in _targets(values)):
        rule[_RULE] = [f"{package}*" for package in _ALLOWED]
    return instantiate(dict(values), _convert_="all", **rule)


def arguments_of(target: str) -> list[str]:
    """Return the names of what a class takes; none where it takes any, or does not tell."""
    try:
        parameters = inspect.signature(get_object(target)).parameters.values()
    except (TypeError, ValueError):
        return []
    takes_any = any(each.kind == each.VAR_KEYWORD for each in parameters)
    return [] if takes_any else [each.name for each in parameters]


def _targets(section: Any) -> Iterator[str]:
    if isinstance(section, Mapping):
        for key, value in section.items():
            if key == "_target_":
                yield str(value)
            else:
                yield from _targets(value)
    elif isinstance(section, (list, tuple)):
        for value in section:
            yield from _targets(value)
