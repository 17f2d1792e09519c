"""A trial's configuration is exactly what Hydra would compose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from sinesweep.sweep.composing import Composer

CONFIG = """
defaults:
  - net: small
  - _self_
x: 1
nothing: null
text: ${x} times
copied: ${net.width}
listed: [1, 2]
tree: {a: 1, b: {c: 2}}
hydra:
  job:
    config:
      override_dirname: {exclude_keys: [nothing]}
"""


class CountingPlan:
    """As much of a plan as composing needs, counting what is left to Hydra."""

    def __init__(self) -> None:
        self._loader = GlobalHydra.instance().config_loader()
        self.config = self._loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
        self.context = HydraContext(self._loader, Callbacks())
        self.composed = 0

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        self.composed += 1
        return self._loader.load_sweep_config(self.config, list(overrides))


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Any]:
    """Return a plan of a small application."""
    (tmp_path / "net").mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "first.yaml").write_text("a: 1\n")
    (tmp_path / "other" / "second.yaml").write_text("b: 2\n")
    (tmp_path / "net" / "small.yaml").write_text("width: 8\nsmall: true\n")
    (tmp_path / "net" / "large.yaml").write_text("width: 64\nlarge: {depth: 3}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        yield CountingPlan()


def whole(config: DictConfig) -> Any:
    """Return everything a configuration holds, Hydra's own part and interpolations as written."""
    return OmegaConf.to_container(config, resolve=False)


PAIRS = {
    "numbers": (["x=2", "net.width=9"], ["x=-1e-3", "net.width=10"]),
    "other types": (["x=true", "nothing=1"], ["x=null", "nothing=some text"]),
    "quoted": (["x='a=b,c'"], ['x="1"']),
    "interpolations": (["x=${net.width}"], ["x=${copied}"]),
    "inside of trees": (["tree.b.c=3", "tree.a=1"], ["tree.b.c=4", "tree.a=5"]),
    "a tree replaced": (["tree=3"], ["tree=null"]),
    "groups": (["net=large", "x=2"], ["net=small", "x=3"]),
    "a group and its key": (["net=large", "net.large.depth=4"], ["net=large", "net.large.depth=5"]),
    "additions": (["+y=2", "x=2"], ["+y=3", "x=3"]),
    "additions inside of trees": (["+tree.d=2", "+tree.b.e=x"], ["+tree.d=3", "+tree.b.e=null"]),
    "additions of new trees": (["+new.a.b=2", "x=2"], ["+new.a.b=3", "x=3"]),
    "an addition in place of null": (["+nothing=2"], ["+nothing=3"]),
    "an addition of a group": (["+other=first", "x=2"], ["+other=second", "x=3"]),
    "a forced addition of what is there": (["++x=2"], ["++x=3"]),
    "additions of lists": (["+y=[1,2]", "x=2"], ["+y=[3]", "x=3"]),
    "forced additions": (["++tree.d=2", "x=2"], ["++tree.d=3", "x=3"]),
    "an addition to a swept tree": (["tree=1", "++tree.d=2"], ["tree=null", "++tree.d=3"]),
    "a deletion": (["~tree.b", "x=2"], ["~tree.b", "x=3"]),
    "a deletion by value": (["x=2", "~x=2"], ["x=3", "~x=3"]),
    "lists and mappings": (["listed=[3]", "tree={a:2}"], ["listed=[4,5]", "tree={b:{c:1}}"]),
    "Hydra's own": (["hydra.job.chdir=true", "x=2"], ["hydra.job.chdir=true", "x=3"]),
    "two about one key": (["x=2", "x=3"], ["x=4", "x=5"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("first", "second"), PAIRS.values(), ids=PAIRS)
def test_configuration_is_hydras_own(plan: Any, first: list[str], second: list[str]):
    """Whatever was composed before, a configuration is equal to Hydra's in all its parts."""
    composer = Composer(plan)
    for overrides in (first, second, first):
        found, expected = composer.compose(overrides), plan.compose(overrides)
        assert whole(found) == whole(expected)
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


def test_values_do_not_cost_a_composition(plan: Any):
    """New numbers for the same keys are left to Hydra once, each choice of a group once."""
    composer = Composer(plan)
    for index in range(5):
        composer.compose([f"x={index}", "net=large"])
        composer.compose([f"x={index}", "net=small"])
    assert plan.composed == 2


def test_added_values_do_not_cost_a_composition(plan: Any):
    """New numbers for keys that are added are left to Hydra once."""
    composer = Composer(plan)
    for index in range(5):
        composer.compose([f"+y={index}", f"++tree.d={index}", f"x={index}"])
    assert plan.composed == 1


def test_changed_configuration_is_the_trials_own(plan: Any):
    """What a function does to its configuration does not reach the next trial."""
    composer = Composer(plan)
    composer.compose(["x=2"]).tree.b.c = 100
    assert composer.compose(["x=3"]).tree.b.c == 2


def test_resolved_values_are_the_commands(plan: Any):
    """What a caching resolver has returned for the command, such as its time, stays so."""
    OmegaConf.register_new_resolver("sinesweep.count", iter(range(9)).__next__, use_cache=True)
    try:
        with_resolver = "text='${sinesweep.count:}'"
        config = plan.compose([with_resolver])
        plan.config = config
        assert config.text == 0
        composer = Composer(plan)
        assert [composer.compose([with_resolver, f"x={i}"]).text for i in range(2)] == [0, 0]
    finally:
        OmegaConf.clear_resolver("sinesweep.count")


@pytest.mark.parametrize(
    "wrong",
    ["unknown=1", "net.unknown=1", "net=unknown", "x=1,2", "+x=1", "other=first", "+other=x"],
)
def test_wrong_override_is_refused_in_hydras_words(plan: Any, wrong: str):
    """A key that does not exist, or a sweep, is refused as Hydra refuses it."""
    with pytest.raises(HydraException) as expected:
        plan.compose([wrong, "nothing=1"])
    with pytest.raises(HydraException, match=re.escape(str(expected.value))):
        Composer(plan).compose([wrong, "nothing=1"])
