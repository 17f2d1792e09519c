"""``sinesweep promote``, on the sweep of trainings that logged no model."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from sinesweep.commands import main
from sinesweep.sweep.archive import Archive
from sinesweep.tracking import record

pytestmark = [pytest.mark.xdist_group("winner"), pytest.mark.slow]
NAME = "damped-sines"


@pytest.fixture
def client(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def promote(root: Path, *arguments: str) -> int:
    """Run the command."""
    return main(["promote", "--root", str(root), *arguments])


def best_of(archive: Archive) -> int:
    """Return the number of the trial with the lowest value."""
    return min(archive.entries, key=lambda entry: entry.values or ()).number


def test_the_winner_becomes_the_champion(
    trained: Archive, root: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its model is logged from its checkpoint and gives the figure that the trial recorded."""
    winner = best_of(trained)
    folder = trained.folder / "trials" / str(winner)
    ended = record.last(folder)
    assert promote(root, "depth") == 0

    recorded = record.metric_history(folder)["reference/test_mae"][-1][1]
    out = capsys.readouterr().out
    assert f"reference/test_mae = {recorded!r}, as recorded (relative difference 0.0e+00)" in out
    version = client.get_model_version_by_alias(NAME, "champion")
    assert version.tags == {
        "sinesweep.sweep": "depth",
        "sinesweep.trial": str(winner),
        "sinesweep.reference_test_mae": repr(recorded),
    }
    run = client.get_run(version.run_id or "")
    assert run.info.run_name == f"trial-{winner:05d}"
    assert record.last(folder) == ended, "its record still says when and how it ended"
    assert run.info.end_time == (ended or {})["time"]


def test_again_and_another(
    trained: Archive, root: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is champion stays the same version; another trial takes its place, and gives it back."""
    winner = best_of(trained)
    assert promote(root, "depth") == 0
    first = client.get_model_version_by_alias(NAME, "champion").version
    capsys.readouterr()
    assert promote(root, "depth") == 0
    assert f"is the champion already: {NAME} version {first}" in capsys.readouterr().out

    assert promote(root, "--run", f"depth/{1 - winner}") == 0
    assert f"instead of version {first}" in capsys.readouterr().out
    assert promote(root, "depth", "--trial", str(winner)) == 0
    assert client.get_model_version_by_alias(NAME, "champion").version == first


def test_a_model_that_is_not_what_was_recorded(
    trained: Archive, root: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Both figures are shown, and nothing is registered."""
    monkeypatch.setattr("sinesweep.winner.promoting.recorded_mae", lambda found: 0.125)
    assert promote(root, "depth", "--name", "other") == 1
    assert "is not promoted: its reloaded model must have" in capsys.readouterr().err
    assert not client.search_registered_models("name = 'other'")


def test_refused_without_a_reference(plain: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    """A function that reports no reference MAE has nothing to be proven by."""
    assert main(["promote", "--root", str(plain.directory), str(plain.folder)]) == 2
    assert "must have a reference/test_mae to be promoted by, but has none" in (
        capsys.readouterr().err
    )


def test_a_sweep_or_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Without either there is nothing to promote."""
    assert main(["promote"]) == 2
    assert "promote: takes a SWEEP or --run RUN" in capsys.readouterr().err
