"""``sinesweep predict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sinesweep.commands import main
from sinesweep.errors import InputError
from sinesweep.sweep.archive import Archive
from sinesweep.task.reference import reference_sets
from sinesweep.winner import tables

pytestmark = pytest.mark.xdist_group("winner")
STEPS = [f"step_{index}" for index in range(1, 6)]


def series(columns: int = 50, rows: int = 3) -> pd.DataFrame:
    """Return the first series of the reference test set, repeated to the left where longer."""
    inputs = reference_sets(50, 5).test.inputs[:rows]
    longer = np.concatenate([inputs[:, : columns - 50], inputs], axis=1)[:, -columns:]
    return pd.DataFrame(longer, columns=[f"t{index}" for index in range(columns)])


@pytest.mark.slow
def test_the_champion_and_its_run_agree(
    trained: Archive, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both ways to load a model, and both kinds of table, give the forecasts of the checkpoint."""
    from sinesweep.training.checkpoint import load_module
    from sinesweep.training.forecasting import forecast

    place = ["--root", str(root)]
    assert main(["promote", *place, "depth", "--trial", "1", "--alias", "tried"]) == 0
    frame = series()
    expected = forecast(
        load_module(trained.folder / "trials" / "1" / "checkpoints" / "best.ckpt"),
        np.array(frame),
    )
    frame.insert(0, "id", ["a", "b", "c"])
    frame.to_parquet(tmp_path / "in.parquet")
    frame.to_csv(tmp_path / "in.csv", index=False)
    capsys.readouterr()

    out = str(tmp_path / "out.parquet")
    command = ["predict", *place, "--alias", "tried", str(tmp_path / "in.parquet")]
    assert main([*command, "--output", out]) == 0
    err = capsys.readouterr().err
    assert "3 series forecast from 50 steps with damped-sines version" in err
    found = pd.read_parquet(out)
    assert list(found) == ["id", *STEPS]
    assert list(found["id"]) == ["a", "b", "c"]
    np.testing.assert_array_equal(found[STEPS].to_numpy(), expected)

    assert main(["predict", *place, "--alias", "trie", str(tmp_path / "in.parquet")]) == 2
    assert "trie: there must be one, but there is none: did you mean --alias tried?" in (
        capsys.readouterr().err
    )

    assert main(["predict", *place, "--run", "depth/1", str(tmp_path / "in.csv")]) == 0
    (tmp_path / "out.csv").write_text(capsys.readouterr().out)
    # A decimal of nine digits is the single-precision number that it was written from.
    csv = pd.read_csv(tmp_path / "out.csv")[STEPS].to_numpy(dtype=np.float32)
    np.testing.assert_allclose(csv, expected, rtol=1e-6)


@pytest.mark.slow
def test_no_champion(trained: Archive, root: Path, tmp_path: Path, capsys) -> None:
    """The command that makes one is named."""
    series().to_csv(tmp_path / "in.csv", index=False)
    command = ["predict", "--root", str(root), "--alias", "nobody", str(tmp_path / "in.csv")]
    assert main(command) == 2
    assert f"make one with sinesweep promote SWEEP --root {root}" in capsys.readouterr().err


def test_the_last_steps_are_read(tmp_path: Path) -> None:
    """Of longer series the model reads the steps just before the forecast."""
    series(53).to_csv(tmp_path / "in.csv", index=False)
    table = tables.read(tmp_path / "in.csv", None)
    read = tables.last_steps(table, 50, tmp_path / "in.csv")
    np.testing.assert_array_equal(read, series(53).to_numpy()[:, 3:])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "t0\n1\n", "INPUT: must end with .csv or .parquet, but is .*a.txt"),
        ("a.csv", "", "a.csv: must be a table, but cannot be read"),
        ("a.parquet", "t0\n1\n", "a.parquet: must be a table, but cannot be read"),
        ("a.csv", "t0,t1\n", "a.csv: must have a row for each series, but has none"),
        ("a.csv", "0.5,0.5,0.25\n1,2,3\n", "a.csv: the first line must name the columns"),
        (
            "a.csv",
            "x,t0\nq,1\n",
            "every column must hold numbers, but row 1 has 'q' in x: .* --id x",
        ),
        ("a.csv", "t0,t1\n0.5,1\n?,2\n", "but row 2 has '[?]' in t0: mend it"),
        ("a.csv", "t0,t1\n1,True\n", "but row 1 has True in t1"),
        ("a.csv", "t0,t1\n1,2\n3,\n", "must be a finite number, but row 2 has nan in t1"),
        ("a.csv", "t0,t1\n1,inf\n", "must be a finite number, but row 1 has inf in t1"),
        ("a.csv", "t0,t1\n1,2\n", "must have the 50 steps of each series .* but has 2 columns"),
    ],
)
def test_refused_tables(tmp_path: Path, name: str, content: str, message: str) -> None:
    """What is wrong with a table is said with its place."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        tables.last_steps(tables.read(path, None), 50, path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv"], "INPUT: must be a file, but there is none at missing.csv"),
        (["in.csv", "--id", "name"], "--id: must be a column of in.csv, but 'name' is none"),
        (["in.csv", "--output", "out.xlsx"], "--output: must end with .csv or .parquet"),
        (["in.csv", "--output", "no/out.csv"], "--output: its folder must exist, but no does not"),
        (["in.csv"], "--root: must hold a tracker, but there is none at"),
        (["in.csv", "--run", "quick"], "run 'quick': there is no such run"),
    ],
)
def test_refused_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    """A command that cannot succeed says why before a model is loaded."""
    monkeypatch.chdir(tmp_path)
    series().to_csv("in.csv", index=False)
    assert main(["predict", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]
