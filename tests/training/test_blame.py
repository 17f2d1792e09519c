from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from sinesweep.training.blame import is_of_own_code

MODULES = {
    "whole": """
import torch

class Own:
    def __init__(self, size, inner=None):
        self.size = [1][size]

def calls_torch():
    torch.zeros(2) + torch.zeros(3)

def from_another():
    try:
        {}["a"]
    except KeyError as error:
        raise ValueError("no a") from error
""",
    "needs": "import no_such_package_here",
    "broken": "x = (",
}


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BaseException]:
    """Write the user's modules; return what makes Hydra's instantiating fail."""
    for name, code in MODULES.items():
        (tmp_path / f"blamed_{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    def fail(target: str, **arguments: Any) -> BaseException:
        with pytest.raises(InstantiationException, match=r"^Error") as caught:
            instantiate({"_target_": target, **arguments})
        assert caught.value.__cause__ is not None
        return caught.value.__cause__

    return fail


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("blamed_whole.Own", {}),
        ("blamed_whole.Own", {"size": 0, "width": 1}),
        ("blamed_whole.Missing", {}),
        ("no_such_package_here.Own", {}),
        ("torch.nn.Dropout", {"p": 2.0}),
        ("torch.nn.Dropout", {"q": 2.0}),
        ("torch.nn.Linear", {"in_features": 3, "out_features": "five"}),
        ("blamed_whole.Own", {"size": 0, "inner": {"_target_": "torch.nn.Dropout", "p": 2.0}}),
    ],
)
def test_at_the_door(
    failure: Callable[..., BaseException], target: str, arguments: dict[str, Any]
) -> None:
    """Wrong arguments, missing classes and what torch refuses are not the user's code's doing."""
    assert not is_of_own_code(failure(target, **arguments))


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("blamed_whole.Own", {"size": 3}),
        ("blamed_whole.Own", {"size": "three"}),
        ("blamed_whole.calls_torch", {}),
        ("blamed_whole.from_another", {}),
        ("blamed_needs.Own", {}),
        ("blamed_broken.Own", {}),
    ],
)
def test_inside(
    failure: Callable[..., BaseException], target: str, arguments: dict[str, Any]
) -> None:
    """What the user's code raises, itself or in what it calls or imports, is its own doing."""
    assert is_of_own_code(failure(target, **arguments))
