"""Outcomes of trials as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinesweep.sweep.outcome import FILE_NAME, Outcome, read_outcome


def test_outcome_comes_back(tmp_path: Path) -> None:
    """What a worker leaves is read again, and no other file is left."""
    outcome = Outcome.complete((0.1, 2.0), "best.ckpt")
    outcome.write(tmp_path)
    assert read_outcome(tmp_path) == outcome
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"kind": "COMPL',
        "[]",
        "{}",
        '{"kind": "COMPLETE", "values": null}',
        '{"kind": "COMPLETE", "values": ["x"]}',
        '{"kind": "WON", "values": null}',
        '{"kind": "FAIL", "values": null, "more": 1}',
    ],
)
def test_damaged_outcome(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged outcome is none, and the warning names the file and what becomes of the trial."""
    (tmp_path / FILE_NAME).write_text(content)
    assert read_outcome(tmp_path) is None
    assert f"{tmp_path / FILE_NAME}: damaged" in caplog.text
    assert "the trial runs again" in caplog.text
