import re
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from sinesweep import runs
from sinesweep.config import parse
from sinesweep.errors import InputError
from sinesweep.files import take_lock
from sinesweep.redaction import add_rules, reset_rules, user_rules
from sinesweep.tracking import record

Begin = Callable[..., Path]
Compose = Callable[..., DictConfig]
Resume = Callable[..., DictConfig]

NAME = "20260101-120000-abcdefgh"
OTHER = "20260102-120000-abcdwxyz"


@pytest.mark.parametrize(
    "asked",
    [NAME, "abcdefgh", "abcde", "20260101", "4f" * 16, "4f4"],
)
def test_find(tmp_path: Path, begin_run: Begin, asked: str) -> None:
    """A run is found by its name, its id, its MLflow id, or the beginning of one of them."""
    folder = begin_run(NAME, mlflow_id="4f" * 16)
    begin_run(OTHER, mlflow_id="a0" * 16)
    assert runs.find(tmp_path, asked) == folder


def test_find_prefers_the_whole_name(tmp_path: Path, begin_run: Begin) -> None:
    """An id that also begins another one names its own run."""
    folder = begin_run("20260101-120000-abcd")
    begin_run(OTHER)
    assert runs.find(tmp_path, "abcd") == folder


def test_find_ambiguous(tmp_path: Path, begin_run: Begin) -> None:
    """The beginning of several ids is refused with the runs it could mean."""
    begin_run(NAME)
    begin_run(OTHER)
    message = f"run 'abcd': must name one run, but begins several: {NAME}, {OTHER}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        runs.find(tmp_path, "abcd")


@pytest.mark.parametrize(
    ("asked", "hint"), [("abcdefgx", "; did you mean abcdefgh?"), ("zzzzzzzz", "")]
)
def test_find_unknown(tmp_path: Path, begin_run: Begin, asked: str, hint: str) -> None:
    """An id that no run has is refused, with the nearest one."""
    begin_run(NAME)
    message = f"run {asked!r}: there is no such run under {tmp_path / 'runs'}{hint}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        runs.find(tmp_path, asked)


def test_find_without_any_run(tmp_path: Path) -> None:
    """A root that has no runs yet is told so."""
    with pytest.raises(InputError, match="there is no such run under"):
        runs.find(tmp_path / "nowhere", "abcd")


def test_folder_without_a_record_is_no_run(tmp_path: Path, begin_run: Begin) -> None:
    """A folder that a run never began in is passed over."""
    folder = begin_run(NAME)
    (tmp_path / "runs" / OTHER).mkdir()
    assert list(runs.folders(tmp_path)) == [folder]


def test_folders_are_in_order(tmp_path: Path, begin_run: Begin) -> None:
    """Runs are listed oldest first."""
    younger, older = begin_run(OTHER), begin_run(NAME)
    assert list(runs.folders(tmp_path)) == [older, younger]


def test_new_name_has_an_id_of_letters() -> None:
    """A new name is a time and letters, which Hydra cannot take for a number."""
    assert re.fullmatch(r"\d{8}-\d{6}-[a-z]{8}", runs.new_name())


def test_new_names_differ() -> None:
    """Runs started in the same second have different names."""
    assert len({runs.new_name() for _ in range(100)}) == 100


def test_directory_of_one_process() -> None:
    """One process asks several times and gets one new folder."""
    first = runs.directory("root", None)
    assert Path(first).parent == Path("root/runs")
    assert runs.directory("root", None) == first


def test_directory_of_a_run_to_continue(tmp_path: Path, begin_run: Begin) -> None:
    """A run that is continued keeps its folder."""
    folder = begin_run(NAME)
    assert runs.directory(str(tmp_path), "abcdefgh") == str(folder)


def test_run_id(begin_run: Begin) -> None:
    """A run has the id that the tracker gave it."""
    assert runs.run_id(begin_run(NAME, mlflow_id="4f" * 16)) == "4f" * 16


def test_run_id_of_an_untracked_run(begin_run: Begin) -> None:
    """A run that no tracker knows has no id."""
    assert runs.run_id(begin_run(NAME)) is None


def test_run_in_training_is_alive(begin_run: Begin) -> None:
    """A run is alive while a process has its lock."""
    folder = begin_run(NAME)
    lock = take_lock(folder / runs.LOCK_FILE)
    assert lock is not None
    with lock:
        assert runs.is_alive(folder)


def test_abandoned_run_is_not_alive(begin_run: Begin) -> None:
    """A run that no process has the lock of is not alive."""
    assert not runs.is_alive(begin_run(NAME))


def test_saved_config_has_no_credentials(tmp_path: Path) -> None:
    """What is written to config.yaml has its credentials hidden."""
    path = runs.save_config(tmp_path, {"tracking": {"uri": "http://ann:hunter2@host"}})
    assert path.read_text() == "tracking:\n  uri: http://***@host\n"


@pytest.fixture
def resume(tmp_path: Path, begin_run: Begin, compose: Compose) -> Resume:
    """Continue a run that was started with width 24, with the given overrides."""
    values = parse(compose("model.width=24", f"tracking.root={tmp_path}")).values
    runs.save_config(begin_run(NAME), values)

    def resume_with(*overrides: str) -> DictConfig:
        asked = compose(f"tracking.root={tmp_path}", "resume=abcdefgh", *overrides)
        return runs.continued(asked, list(overrides))

    return resume_with


def test_continued_has_the_old_values(resume: Resume) -> None:
    """A continued run has the values that it was started with."""
    assert resume().model.width == 24


def test_continued_agrees(resume: Resume) -> None:
    """What the run was started with can be said again."""
    assert resume("model.width=24", "optimizer.lr=5e-3", "data=damped_sines").model.width == 24


def test_continued_takes_tracking_and_artifacts_from_the_command(resume: Resume) -> None:
    """Where a run is recorded and what is made at its end can be said anew."""
    cfg = resume("tracking.experiment=elsewhere", "artifacts.figures=false")
    assert cfg.tracking.experiment == "elsewhere"
    assert cfg.artifacts.figures is False


@pytest.mark.parametrize(
    ("override", "key", "then", "now"),
    [
        ("model.width=32", "model.width", "24", "32"),
        ("+trainer.max_steps=3", "trainer.max_steps", "None", "3"),
        ("~optimizer.eps", "optimizer.eps", "1e-08", "None"),
        ("seed=1", "seed", "0", "1"),
    ],
)
def test_continued_with_another_value(
    resume: Resume, override: str, key: str, then: str, now: str
) -> None:
    """A value that the run was not started with is refused with both."""
    message = f"resume: {key} must be what the run was started with, {then}, but is {now}: "
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        resume(override)


def test_continued_hides_what_the_run_has_hidden(tmp_path: Path, compose: Compose) -> None:
    """A key that the run's command has added to the rule is a secret without being added again."""
    root = f"tracking.root={tmp_path}"
    folder = tmp_path / "runs" / NAME
    folder.mkdir(parents=True)
    add_rules(redacted_keys=["model.width"])
    record.Record(folder).append(
        "begin", name="a", experiment="e", params={}, tags={}, datasets=[], redaction=user_rules()
    )
    runs.save_config(folder, parse(compose("model.width=24", root)).values)
    reset_rules()
    with pytest.raises(
        InputError, match=r"must be given again, .*: resume=abcdefgh \+\+model.width=\.\.\.$"
    ):
        runs.continued(compose(root, "resume=abcdefgh"), [])
    given = ["model.width=24"]
    assert runs.continued(compose(root, "resume=abcdefgh", *given), given).model.width == 24
    assert "width: '***'" in runs.save_config(folder, {"model": {"width": 24}}).read_text()


@pytest.mark.parametrize("override", ["data=post", "optimizer=adamw", "experiment=post"])
def test_continued_with_another_group(resume: Resume, override: str) -> None:
    """A choice of other values than the run was started with is refused, never ignored."""
    with pytest.raises(InputError, match="must be what the run was started with"):
        resume(override)


SECRETS = {
    "+model.api_token": "hunter2",
    "+model.endpoint": "'https://bob:hunter2@host/'",
    "+model.login.credentials": "{user: bob, pass: hunter2}",
}


@pytest.fixture
def resume_secret(tmp_path: Path, begin_run: Begin, compose: Compose) -> Resume:
    """Continue a run of an own model that was started with secrets, with the given overrides."""
    own = ["model._target_=own.Model", *map("=".join, SECRETS.items())]
    runs.save_config(begin_run(NAME), parse(compose(*own, f"tracking.root={tmp_path}")).values)

    def resume_with(*overrides: str) -> DictConfig:
        asked = compose(f"tracking.root={tmp_path}", "resume=abcdefgh", *overrides)
        return runs.continued(asked, list(overrides))

    return resume_with


def test_continued_asks_for_secrets(resume_secret: Resume) -> None:
    """What is not in the run's files has to be said again, by the keys named in the message."""
    message = (
        "resume: model.api_token and model.endpoint and model.login.credentials must be given "
        "again, since a run's files hold no secrets: resume=abcdefgh model.api_token=... "
        "model.endpoint=... model.login.credentials=..."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        resume_secret()


def test_continued_takes_secrets_from_the_command(resume_secret: Resume) -> None:
    """Secrets that are said again are used, also other ones than before."""
    cfg = resume_secret(
        "++model.api_token=other",
        "++model.endpoint='https://eve:other@host/'",
        "++model.login.credentials.user=eve",
        "++model.login.credentials.pass=other",
    )
    assert cfg.model.api_token == "other"
    assert cfg.model.endpoint == "https://eve:other@host/"
    assert cfg.model.login.credentials == {"user": "eve", "pass": "other"}
    assert cfg.model.width == 32


def test_continued_takes_secrets_with_the_whole_section(resume_secret: Resume) -> None:
    """The command that started the run, said again, brings the secrets with it."""
    again = [f"+{key}={value}" for key, value in SECRETS.items()]
    cfg = resume_secret("model=stacked_lstm", "model._target_=own.Model", *again)
    assert cfg.model.api_token == "hunter2"


def test_continued_with_another_address(resume_secret: Resume) -> None:
    """Only the secret part may be another one, and the refusal does not show it."""
    message = "model.endpoint must be .* 'https://[*]{3}@host/', but is 'https://[*]{3}@other/'"
    with pytest.raises(InputError, match=message):
        resume_secret("++model.endpoint='https://bob:hunter2@other/'")


def test_continued_after_the_end(tmp_path: Path, resume: Resume) -> None:
    """A run that has finished is not continued."""
    record.Record(tmp_path / "runs" / NAME).append("end", status=record.FINISHED, tags={})
    message = f"^resume: the run must be unfinished, but {NAME} has finished$"
    with pytest.raises(InputError, match=message):
        resume()


@pytest.mark.parametrize("status", [record.FAILED, record.KILLED])
def test_continued_after_a_bad_end(tmp_path: Path, resume: Resume, status: str) -> None:
    """A run that failed or was killed can be continued."""
    record.Record(tmp_path / "runs" / NAME).append("end", status=status, tags={})
    assert resume().model.width == 24


def test_continued_while_alive(tmp_path: Path, resume: Resume) -> None:
    """A run that another process is training is not continued."""
    lock = take_lock(tmp_path / "runs" / NAME / runs.LOCK_FILE)
    assert lock is not None
    message = f"^resume: the run must have stopped, but {NAME} is being trained$"
    with lock, pytest.raises(InputError, match=message):
        resume()


@pytest.mark.parametrize("content", [b"", b"model: {width\n", b"\xff", b"[1, 2]\n"])
def test_continued_with_a_damaged_configuration(
    tmp_path: Path, resume: Resume, content: bytes
) -> None:
    """A run whose configuration cannot be read is refused with the file and the remedy."""
    path = tmp_path / "runs" / NAME / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}: must be the configuration .* bring the file"):
        resume()


def test_continued_with_a_number(compose: Compose) -> None:
    """An id that Hydra reads as a number is refused with the way out."""
    message = "^resume: must be a run's id, but Hydra reads 1234 as a number: give more of the id"
    with pytest.raises(InputError, match=message):
        runs.continued(compose("resume=1234"), [])


def test_root_without_an_id(tmp_path: Path) -> None:
    """A root in which no run has begun has no id."""
    assert runs.root_id(tmp_path) is None


def test_root_id_stays(tmp_path: Path) -> None:
    """A root is given its id once, and nothing is left beside it."""
    first = runs.make_root_id(tmp_path / "root")
    assert runs.make_root_id(tmp_path / "root") == first
    assert runs.root_id(tmp_path / "root") == first
    assert [path.name for path in (tmp_path / "root").iterdir()] == [runs.ROOT_ID_FILE]


def test_root_ids_differ(tmp_path: Path) -> None:
    """Two roots have two ids."""
    assert runs.make_root_id(tmp_path / "a") != runs.make_root_id(tmp_path / "b")


def test_sweeps_elsewhere(tmp_path: Path) -> None:
    """A root remembers, once, the sweeps that are recorded with it and kept outside of it."""
    root, outside = tmp_path / "mlruns", tmp_path / "multirun" / "quick"
    assert runs.sweeps_elsewhere(root) == []
    for folder in (root / "sweeps" / "inside", outside, outside):
        runs.note_sweep(root, folder)
    assert runs.sweeps_elsewhere(root) == [outside]
