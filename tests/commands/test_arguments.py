"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path

import pytest

from sinesweep.commands import main

WITH_ROOT = [
    ["list"],
    ["show", "x"],
    ["compare", "x", "y"],
    ["rerun", "x", "3"],
    ["replicate", "x"],
    ["promote", "x"],
    ["export", "x"],
    ["sync"],
    ["audit"],
    ["ui"],
]


@pytest.mark.parametrize("command", WITH_ROOT, ids=lambda words: words[0])
@pytest.mark.parametrize("root", ["nope", "file", "x" * 300])
def test_root_that_is_no_folder_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    root: str,
) -> None:
    """A folder that is given and is not there ends any command with exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as left:
        main([*command, "--root", root])
    assert left.value.code == 2
    assert "argument --root: must be a folder that exists, but " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "command",
    [["show", "NAME"], ["compare", "x", "NAME"], ["rerun", "NAME", "0"], ["export", "NAME"],
     ["predict", "NAME"], ["export", "x", "--output", "NAME"]],
    ids=lambda words: " ".join(words),
)  # fmt: skip
def test_name_that_no_file_can_have_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    """A name of 5,000 characters ends any command with one short message and exit code 2."""
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("NAME", "x" * 5000) for word in command]) == 2
    said = capsys.readouterr().err
    assert said.startswith("sinesweep: ")
    assert "must have parts of at most 255 bytes, but one has 5000" in said
    assert len(said) < 500
    assert list(tmp_path.iterdir()) == []
