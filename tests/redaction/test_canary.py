"""Secrets of every form, looked for in every file and stream of a sweep and of the commands."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from runner import Runner

APPLICATION = Path(__file__).with_name("canary_app.py")
CANARY = re.compile(rb"(?i)canary\d\d|9876504\d")
WORDS = [
    "db.password='canary01 x y'",
    "+db.tokens=[canary02,{a: canary03}]",
    "db.private_key={k: canary04, n: 98765041}",
    "db.passwords=[canary05,canary06]",
    'db.passphrase="canary07\'s q"',
    "auth.bearer=canary08",
    "model.apiToken=98765042",
    "db.url='http://u:canary11 w@h'",
    "credentials.user=canary12",
    "credentials.pin=98765043",
    "+extra={deep: [{secret: canary13, ok: 1}]}",
    "+hydra.job.env_set.MY_TOKEN=canary14",
    "swept.token=canary09,'canary10 z'",
]
SWEEP = ["x=1,2", "noise.sig=0.1,0.2", "hydra.sweeper.study_name=canaries"]


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what every file below a folder is called and holds, those within archives included."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            yield str(path.relative_to(root)), path.read_bytes()


def unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file and, if it is an archive, all that is in it."""
    yield name, name.encode() + content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for inner in archive.namelist():
                yield from unpacked(f"{name}!{inner}", archive.read(inner))


def leaks(root: Path) -> set[tuple[str, bytes]]:
    """Return the canaries that were found, each with its file."""
    return {
        (inner, found)
        for name, content in contents(root)
        for inner, text in unpacked(name, content)
        for found in CANARY.findall(text)
    }


@pytest.mark.slow
def test_no_secret_is_left_in_any_file_or_stream(runner: Runner) -> None:
    """A tracked sweep with failing trials, its report, its export and the commands leak nothing."""
    variables = {"CANARY_LOGIN": "canary15"}
    done = [runner._run([str(APPLICATION), "-m", *SWEEP, *WORDS], variables)]
    sweep = runner.folder / "mlruns" / "sweeps" / "canaries"
    assert done[0].code == 0, done[0].err
    assert (sweep / "report.html").exists()
    for command in (
        ["list"],
        ["list", "--json"],
        ["show", "canaries"],
        ["show", "canaries", "--json"],
        ["export", "canaries", "--output", "canaries.zip"],
        ["compare", "canaries/0", "canaries/4"],
        ["audit"],
        ["sync"],
        ["rerun", "canaries", "0"],
    ):
        done.append(runner.sinesweep(*command))
    assert [each.code for each in done] == [0] * 9 + [2]
    assert "must be given again" in done[-1].err
    given = [*WORDS[:-1], "swept.token=canary09"]
    done.append(runner.sinesweep("rerun", "canaries", "0", "--", *given, **variables))
    assert done[-1].code == 0, done[-1].err
    assert list(runner.folder.glob("outputs/*/*/.hydra/config.yaml"))
    done.append(runner._run([str(APPLICATION), "-m", *SWEEP, *WORDS], variables))  # continued
    assert done[-1].code == 0, done[-1].err
    streams = "".join(each.out + each.err for each in done)
    assert leaks(runner.folder) | set(CANARY.findall(streams.encode())) == set()
    assert "noise.sig=0.2" in streams
    assert "swept.token=***2" in streams


@pytest.mark.slow
def test_no_secret_of_a_single_run_is_left(runner: Runner) -> None:
    """A run of the reference task leaks nothing, with Hydra's own files and folder names, too."""
    done = runner.own(
        "model.hidden=4",
        "+model.api_token='canary31 hunter2'",
        "+model.endpoint='https://u:canary32 hunter2@h'",
        "hydra.output_subdir=.hydra",
        "hydra.run.dir=outs/${hydra.job.override_dirname}",
        "data.num_series=64",
        "trainer.max_epochs=1",
        "artifacts.figures=false",
        "artifacts.model=false",
    )
    assert done.code == 0, done.err
    assert list(runner.folder.rglob(".hydra/config.yaml"))
    assert leaks(runner.folder) == set()
    assert CANARY.search((done.out + done.err).encode()) is None


def test_canaries_are_found_in_archives(tmp_path: Path) -> None:
    """The search reads names and contents, also within archives in archives."""
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.writestr("x", "canary01 in a packed file")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w", zipfile.ZIP_DEFLATED) as outer:
        outer.write(tmp_path / "inner.zip", "inner.zip")
    (tmp_path / "inner.zip").unlink()
    (tmp_path / "canary02").touch()
    assert {found for _, found in leaks(tmp_path)} == {b"canary01", b"canary02"}
