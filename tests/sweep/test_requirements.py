from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest

from sinesweep.errors import InputError
from sinesweep.sweep import requirements

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that a release of Optuna is installed, beside packages with these requirements."""

    def installed(release: str | None, **required: list[str] | None) -> None:
        def version(name: str) -> str:
            if release is None:
                raise metadata.PackageNotFoundError(name)
            return release

        found: list[Any] = [
            SimpleNamespace(name=name.replace("_", "-"), requires=each)
            for name, each in required.items()
        ]
        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "distributions", lambda: found)

    return installed


def test_release_that_works(install: Install) -> None:
    """Optuna 5 is accepted."""
    install("5.0.0")
    requirements.check_optuna()


def test_no_release(install: Install) -> None:
    """Without Optuna, the message says how to install it."""
    install(None)
    with pytest.raises(InputError, match=r"^optuna must be installed .* pip install 'optuna>=5'$"):
        requirements.check_optuna()


def test_old_release(install: Install) -> None:
    """An older Optuna that no package asks for is to be upgraded."""
    install("4.9.0", other=["numpy<3", "optuna>=3"], none=None)
    with pytest.raises(InputError, match=r"^optuna must be 5 or newer, but is 4.9.0: pip install"):
        requirements.check_optuna()


@pytest.mark.parametrize(
    "rule", ["optuna<3.0.0,>=2.10.0", "optuna (<3,>=2.10)", "optuna==2.10.1", "Optuna~=4.0"]
)
def test_package_that_pins_an_old_release(install: Install, rule: str) -> None:
    """The package that pins Optuna is named, with the command that removes it."""
    install("2.10.1", hydra_optuna_sweeper=["hydra-core>=1.2", f"{rule}; python_version>'3'"])
    with pytest.raises(InputError, match="hydra-optuna-sweeper") as refused:
        requirements.check_optuna()
    assert f"as hydra-optuna-sweeper requires ({rule})" in str(refused.value)
    assert "pip uninstall hydra-optuna-sweeper, then pip install" in str(refused.value)
