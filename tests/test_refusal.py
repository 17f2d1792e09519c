from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from sinesweep import refusal


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("zz", "s.zz: there is no such key; known here: workers"),
        ("_taget_", "s._taget_: there is no such key; did you mean s._target_?"),
    ],
)
def test_keys_of_hydras_own(key: str, message: str) -> None:
    """Hydra's own keys are named only to whoever meant one of them."""
    config = OmegaConf.create({"s": {"_target_": "S", "workers": 1}}, flags={"struct": True})
    with pytest.raises(ConfigAttributeError, match=key) as raised:
        OmegaConf.update(config, f"s.{key}", 1)
    assert refusal.message(raised.value) == message
