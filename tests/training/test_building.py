"""Messages for wrong classes and keys of data, model, optimizer and schedule."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from sinesweep import modules
from sinesweep.config import parse
from sinesweep.errors import InputError
from sinesweep.training.building import build_data, build_module

Compose = Callable[..., DictConfig]

SCHEDULERS = "torch.optim.lr_scheduler"


def refused_with(message: str) -> pytest.RaisesExc[InputError]:
    """Expect an InputError that begins so."""
    return pytest.raises(InputError, match=f"^{re.escape(message)}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(
            [f"scheduler._target_={SCHEDULERS}.ReduceLROnPlateau"],
            f"scheduler.factor: {SCHEDULERS}.ReduceLROnPlateau refuses scheduler.factor=1.0 "
            "(Factor should be < 1.0.): give another value, or remove the key with "
            "~scheduler.factor",
            id="a value that the new class refuses",
        ),
        pytest.param(
            [f"scheduler._target_={SCHEDULERS}.ExponentialLR"],
            f"scheduler.factor: {SCHEDULERS}.ExponentialLR refuses scheduler.factor=1.0 (",
            id="a key that the new class lacks",
        ),
        pytest.param(
            [f"scheduler._target_={SCHEDULERS}.CosineAnnealingLR", "~scheduler.factor"],
            f"scheduler: {SCHEDULERS}.CosineAnnealingLR refuses its keys (",
            id="a key that is missing",
        ),
        pytest.param(
            ["+optimizer.foo=1"],
            "optimizer.foo: torch.optim.Adam refuses optimizer.foo=1 (",
            id="an argument that the optimizer lacks",
        ),
    ],
)
def test_a_refused_argument_is_named_by_its_key(
    compose: Compose, overrides: list[str], message: str
) -> None:
    """The message names the key, its value and the class, and says how to change that."""
    with refused_with(message):
        build_module(parse(compose(*overrides)))


def test_the_named_fix_of_a_refused_argument_works(compose: Compose) -> None:
    """Without the key of the former class the schedule can be made."""
    target = f"scheduler._target_={SCHEDULERS}.ReduceLROnPlateau"
    build_module(parse(compose(target, "~scheduler.factor")))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model._target_=no_such.Net", "'no_such.Net' (No module named 'no_such')"),
        ("model._target_=my_net.Nope", "'my_net.Nope' (module 'my_net' has no attribute 'Nope')"),
        ("optimizer._target_=torch.optim.Nope", "'torch.optim.Nope' (module 'torch.optim' has no"),
        ("data._target_=no_such.Data", "'no_such.Data' (No module named 'no_such')"),
        ("data._target_=no..Data", "'no..Data' (invalid format"),
    ],
)
def test_a_class_that_is_not_found_is_named_with_the_folders_searched(
    compose: Compose,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    override: str,
    message: str,
) -> None:
    """The message names the key, what is missing, the folders, and the fix."""
    (tmp_path / "my_net.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(modules, "_added", [])
    modules.add_folders(["--config-dir", "my/conf"])
    key = override.partition("=")[0]
    rule = "must name a class or a function that Python can import"
    config = parse(compose(override))
    with refused_with(f"{key}: {rule}, but is {message}") as caught:
        (build_data if key.startswith("data") else build_module)(config)
    assert str(caught.value).endswith(
        "correct the name, or put the module into one of the folders that are searched, after "
        f"Python's own: {tmp_path}, {tmp_path / 'my'}"
    )
