"""What is said of Ray clusters without one; sweeps on real ones are in tests/services."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sinesweep.errors import InputError
from sinesweep.sweep import cluster, preflight
from sinesweep.sweep.actor import Errand, Unfit, look_around
from sinesweep.sweep.plan import Plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def closed() -> Iterator[str]:
    """Return an address that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_ray_is_not_installed(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep is refused, and told how to install it."""
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^hydra.sweeper.backend: .*'sinesweep\[ray\]'$"):
        preflight.check(make_plan("a=1,2", "hydra.sweeper.backend=ray"))


def test_nobody_listens(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, closed: str, tmp_path: Path
) -> None:
    """A cluster that does not answer is named, and nothing is created."""
    monkeypatch.setattr(cluster, "find_spec", lambda name: name)
    plan = make_plan("a=1,2", "hydra.sweeper.backend=ray", f"hydra.sweeper.ray.address={closed}")
    expected = rf"^hydra.sweeper.ray.address: the Ray cluster at {closed} must take connections"
    with pytest.raises(InputError, match=expected):
        preflight.check(plan)
    assert not plan.folder.exists()


@pytest.mark.parametrize(
    ("room", "workers", "said"),
    [
        (2, 2, None),
        (3, 2, None),
        (1, 2, "the Ray cluster has room for 1 of 2 workers: the others wait for more"),
        (
            0,
            2,
            "no node of the Ray cluster has what a worker takes (CPU: 1, GPU: 2): waiting",
        ),
    ],
)
def test_shortage(make_plan: MakePlan, room: int, workers: int, said: str | None) -> None:
    """A cluster that is too small may grow."""
    settings = make_plan(
        "a=1,2", "hydra.sweeper.ray.address=x:1", "hydra.sweeper.ray.num_gpus=2"
    ).settings.ray
    found = cluster.shortage(settings, room, workers)
    assert found == said or (said and found and found.startswith(said))


def test_a_machine_that_is_too_small(make_plan: MakePlan) -> None:
    """A cluster of this machine's own does not grow."""
    settings = make_plan("a=1,2", "hydra.sweeper.ray.num_cpus=512").settings.ray
    with pytest.raises(InputError, match=r"must fit this machine, which has not CPU: 512: ask for"):
        cluster.shortage(settings, 0, 1)


def errand(directory: Path, marker: Path) -> Errand:
    return Errand("127.0.0.1", 1, b"", directory, marker, (), (), {}, (), b"")


def test_a_node_that_shares_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An actor goes to the command's directory, and finds the marker."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "marker").touch()
    look_around(errand(tmp_path / "there", tmp_path / "marker"), "the Ray node n")
    assert Path.cwd() == tmp_path / "there"


def test_a_node_with_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the same name is not the sweep's."""
    monkeypatch.chdir(tmp_path)
    expected = rf"^the sweep's folder must be on .*the Ray node n has another {tmp_path}, or none: "
    with pytest.raises(Unfit, match=expected):
        look_around(errand(tmp_path, tmp_path / "marker"), "the Ray node n")


def test_a_node_without_the_directory(tmp_path: Path) -> None:
    """A node where the command's directory is not there is named."""
    expected = re.escape(f"the Ray node n cannot enter {tmp_path / 'nowhere'} (No such file")
    with pytest.raises(Unfit, match=expected):
        look_around(errand(tmp_path / "nowhere", tmp_path), "the Ray node n")
