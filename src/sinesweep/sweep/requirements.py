"""The release of Optuna that sweeps need, looked up without importing it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from sinesweep.errors import InputError

_OLDEST = 5
_BOUND = re.compile(r"optuna\b[^;<=~]*(?:<|==|~=)[^;]*", re.IGNORECASE)


def check_optuna() -> None:
    """Refuse to begin with a release of Optuna that sweeps do not work with.

    Raises:
        InputError: naming the release, and the package that asks for it.
    """
    fix = f"pip install 'optuna>={_OLDEST}'"
    try:
        release = metadata.version("optuna")
    except metadata.PackageNotFoundError:
        raise InputError(f"optuna must be installed for a sweep, but is not: {fix}") from None
    if int(release.partition(".")[0]) >= _OLDEST:
        return
    pinning = dict(_pinning())
    if pinning:
        why = ", as " + " and ".join(f"{name} requires ({rule})" for name, rule in pinning.items())
        fix = f"pip uninstall {' '.join(pinning)}, then {fix}"
    else:
        why = ""
    raise InputError(f"optuna must be {_OLDEST} or newer, but is {release}{why}: {fix}")


def _pinning() -> Iterator[tuple[str, str]]:
    """Yield the installed packages that require an older Optuna, and what they require."""
    for distribution in metadata.distributions():
        for requirement in distribution.requires or ():
            rule = requirement.partition(";")[0].strip()
            if _BOUND.fullmatch(rule) and distribution.name != "sinesweep":
                yield distribution.name, rule
