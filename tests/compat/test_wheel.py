"""What is in the distributions."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from runner import ROOT

pytestmark = [pytest.mark.compat, pytest.mark.xdist_group("hydra13")]


def test_wheel_has_the_plugin_and_the_whole_configuration(wheel: Path):
    """The wheel has the plugin, and conf/ with the sweeps that a link brings into it."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "conf"
    paths = [*source.rglob("*.yaml"), *(source / "sweeps").glob("*.yaml")]
    expected = {f"sinesweep/conf/{path.relative_to(source)}" for path in paths}
    assert "sinesweep/conf/sweeps/quick.yaml" in expected
    assert "hydra_plugins/sinesweep_sweeper/sweeper.py" in names
    assert "hydra_plugins/__init__.py" not in names  # it would hide everybody else's plugins
    assert expected <= names
