from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

WRONG = {
    "a misspelt key": ("model.layer=3", "did you mean model.layers?"),
    "a misspelt section": ("modle.layers=3", "did you mean model?"),
    "an added key that is not there": ("+model.layer=3", "did you mean model.layers?"),
    "an unknown choice": ("model=gru", "sinesweep: In 'train': Could not find 'model/gru'"),
    "broken grammar": ("model.layers=[", "no viable alternative"),
    "a bad range": ("model.layers=0", "model.layers: must be greater than or equal to 1"),
    "a bad type": ("model.layers=two", "model.layers: must be a valid integer, but is 'two'"),
    "a reversed range": ("data.decay.low=0.5", "data.decay: low <= high must hold"),
    "a long output": ("data.output_steps=60", "input_steps + output_steps <= length must hold"),
    "an unknown accelerator": ("trainer.accelerator=warp", "trainer.accelerator: must be"),
    "an unknown objective": ("objective=val/mea", "did you mean val/mae?"),
    "a folder that cannot be written": ("tracking.root=/proc/none", "must be writable"),
    "a dead server": ("tracking.uri=http://bob:hunter2@127.0.0.1:9", "the tracker must answer"),
    "a plain folder as tracker": ("tracking.uri=file:./x", "MLflow refuses plain folders"),
    "an unknown run": ("resume=nonesuch", "there is no such run"),
    "no name for a group": (
        "model=null",
        "model: must name a file of the group, stacked_lstm, but is 'null': give a name\n",
    ),
    "an emptied section": ("model={}", "model: must have keys, but is {}"),
    "a flag without its other": ("--resolve", "can only be used in conjunction with --cfg"),
    "a number of 4,500 digits": (f"seed={'9' * 4500}", "seed: must have at most 4300 digits"),
    "a long root": (
        f"tracking.root={'x' * 300}",
        "must have parts of at most 255 bytes, but one has",
    ),
    "an unset variable": ("tracking.uri=${oc.env:NOT_SET_HERE}", "NOT_SET_HERE"),
}


@pytest.mark.parametrize(("override", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_refused_with_one_message_and_nothing_is_created(runner, override, message):
    """Wrong input ends with exit code 2, says what is wrong, and leaves the folder empty."""
    done = runner.train(override)

    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err + done.out
    assert "hunter2" not in done.err + done.out
    assert list(runner.folder.iterdir()) == []


def test_invalid_yaml_is_refused_with_file_and_line(runner):
    """A file of the user's that is no YAML is named with the line, in one message."""
    folder = runner.folder / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("model: {layers: [1\nseed: 3\n")
    done = runner.train("--config-dir", str(runner.folder / "conf"), "experiment=mine")

    assert done.code == 2
    assert "mine.yaml, line 2, column 5: must be valid YAML" in done.err
    assert "Traceback" not in done.err
    assert list(runner.folder.iterdir()) == [runner.folder / "conf"]


def test_file_that_is_no_text_is_refused(runner):
    """A file of the user's that is not UTF-8 is refused in one message."""
    folder = runner.folder / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_bytes(b"seed: 3 # \xff\xfe")
    done = runner.train("--config-dir", str(runner.folder / "conf"), "experiment=mine")

    assert done.code == 2
    assert "sinesweep: " in done.err
    assert "Traceback" not in done.err


def test_run_folder_that_holds_files_is_refused_and_kept(runner):
    """A run owns its folder, so one that is in use is refused, and nothing in it is removed."""
    kept = runner.folder / "kept.txt"
    kept.touch()
    done = runner.train("hydra.run.dir=.", "optimizer.lr=1", "+optimizer.foo=1")

    assert done.code == 2
    assert "hydra.run.dir: must be a new folder, but . is there and in use" in done.err
    assert list(runner.folder.iterdir()) == [kept]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["resume=abc"], "resume: must name a run of its own, without -m, but is 'abc'"),
        (["objective=val/mae,test/mae"], "objective: must be the same in every trial, since"),
        (
            ["seed=1,2", "hydra.sweeper.storage=sqlite://"],
            "must outlive the command, but sqlite://",
        ),
    ],
)
def test_wrong_sweep_is_refused_and_nothing_is_created(runner, overrides, message):
    """A sweep that makes no sense ends with exit code 2 before trial 0, and creates nothing."""
    done = runner.train("-m", *overrides)

    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err + done.out
    assert list(runner.folder.iterdir()) == []


class _LetsNobodyIn(BaseHTTPRequestHandler):
    def do_GET(self):  # the name that http.server calls
        self.send_response(401)
        self.end_headers()

    def log_message(self, *arguments):
        """Keep the screen clean."""


def test_a_wrong_password_is_refused_before_anything_is_created(runner):
    """A tracker that does not let us in ends the command with exit code 2 and an empty folder."""
    with HTTPServer(("127.0.0.1", 0), _LetsNobodyIn) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        done = runner.train(f"tracking.uri=http://bob:hunter2@127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()

    assert done.code == 2
    assert "refuses these credentials" in done.err
    assert "Traceback" not in done.err
    assert "hunter2" not in done.err + done.out
    assert list(runner.folder.iterdir()) == []


def late(name: str, override: str, message: str, *, slow: bool = True) -> Any:
    """Return a case of what only building shows; each imports torch and Lightning."""
    return pytest.param(override, message, id=name, marks=[pytest.mark.slow] if slow else [])


LATE = [
    late(
        "an argument that the optimizer lacks",
        "+optimizer.foo=1",
        "unexpected keyword argument",
        slow=False,
    ),
    late("a class that is not there", "model._target_=no.such.Class", "No module named 'no'"),
    late("a strategy that Lightning lacks", "trainer.strategy=warp", "trainer: "),
]


@pytest.mark.parametrize(("override", "message"), LATE)
def test_what_only_building_shows_is_refused_and_removed(runner, override, message):
    """What torch or Lightning refuse while they are built is the user's input, too."""
    done = runner.train(override)

    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert list(runner.folder.iterdir()) == []


@pytest.mark.slow
def test_an_own_class_without_such_an_argument_is_refused(runner):
    """An argument that the user's class does not take is the user's input."""
    done = runner.own("+model.hiden=3")

    assert done.code == 2
    assert "unexpected keyword argument 'hiden'" in done.err
    assert "Traceback" not in done.err
    assert list(runner.folder.iterdir()) == []


@pytest.mark.slow
def test_an_own_class_that_fails_is_shown_with_its_traceback(runner):
    """A constructor of the user's that raises fails the run, and the user sees the line."""
    done = runner.own("model.misbehave=constructor")

    assert done.code == 1
    assert 'raise TypeError(f"no layers of {hidden}' in done.err
    assert "TypeError: no layers of 8 for api_token=***" in done.err
    assert "sinesweep: the run failed before it began" in done.err
    assert list(runner.folder.iterdir()) == []


@pytest.mark.slow
def test_own_class_with_another_mapping_fails_the_run_with_one_message(runner):
    """A forward method that returns another shape fails the run, without a traceback."""
    (runner.folder / "mine.py").write_text(
        "from ownmodel import OwnModel\n\n\n"
        "class Net(OwnModel):\n"
        "    def forward(self, series):\n"
        "        return self.network(series)[..., :1]\n"
    )
    done = runner.own("model._target_=mine.Net", "data.num_series=16", "tracking=none")

    assert done.code == 1
    assert "sinesweep: Net must map a tensor (batch, input_steps) to a tensor" in done.err
    assert "Traceback" not in done.err
    assert "sinesweep: the run failed; its folder is" in done.err


def test_config_errors_come_before_torch(runner):
    """A wrong key is refused without importing torch."""
    done = runner.train("model.layers=0", PYTHONPROFILEIMPORTTIME="1")

    assert done.code == 2
    assert "sinesweep.config" in done.err
    assert "| torch" not in done.err
    assert "mlflow" not in done.err


@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_and_config_are_shown_without_torch(runner, flag):
    """Looking at the configuration imports nothing heavy and creates nothing."""
    arguments = ["--cfg", "job"] if flag == "--cfg=job" else [flag]
    done = runner.train(*arguments, PYTHONPROFILEIMPORTTIME="1")

    assert done.code == 0
    assert "stacked_lstm" in done.out or "StackedLSTM" in done.out or "Forecaster" in done.out
    assert "| torch" not in done.err
    assert list(runner.folder.iterdir()) == []


def test_sinesweep_names_the_missing_database(runner):
    """``sinesweep ui`` in a folder without runs says what to do first."""
    done = runner.sinesweep("ui")

    assert done.code == 2
    assert "run a training first" in done.err
