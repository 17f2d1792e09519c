"""Whole runs, as a user starts them, and what MLflow then says of them."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import nullcontext as does_not_raise
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from runner import BARE, LIMIT, OWN, ROOT, SMALL, environment

from sinesweep.config import parse
from sinesweep.errors import InputError
from sinesweep.training.serial import _check_interval

UNTRACKED = ("tracking=none", *BARE)
TOO_LONG = pytest.raises(
    InputError, match="val_check_interval: must be at most the 5 batches of an epoch, but is 6"
)
EACH_EPOCH = "checkpoint_interval=0"  # a short training writes its last epoch alone


def tracked_runs(folder):
    """Return the runs of an mlruns folder's tracker."""
    client = MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client, client.search_runs(experiments)


def only_run(folder):
    client, found = tracked_runs(folder)
    assert len(found) == 1
    return client, found[0]


def history(client, run):
    return {
        name: [
            (point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One whole run with everything on."""
    from runner import Runner

    runner = Runner(tmp_path_factory.mktemp("finished"))
    done = runner.train(*SMALL, "model.layers=3", "data.noise=0.01")
    assert done.code == 0, done.err
    return runner, done


@pytest.mark.xdist_group("finished")  # one process makes the run for all of these
class TestFinishedRun:
    def test_it_is_finished_in_the_tracker(self, finished):
        """A run that ended well is FINISHED and COMPLETE, with its metrics at each epoch."""
        client, run = only_run(finished[0].folder)

        assert run.info.status == "FINISHED"
        assert run.data.tags["sinesweep.state"] == "COMPLETE"
        for name in ("train/mae", "val/mae", "reference/val_mae"):
            assert [step for step, _ in history(client, run)[name]] == [0, 1, 2]

    def test_every_key_is_a_param(self, finished):
        """Each key of the resolved configuration is a param, whole."""
        _, run = only_run(finished[0].folder)
        config = yaml.safe_load((finished[0].run_folder() / "config.yaml").read_text())

        assert run.data.params["model.layers"] == "3"
        assert run.data.params["data.decay.low"] == str(config["data"]["decay"]["low"])
        assert run.data.params["trainable_parameters"] == str(run_parameters(4, 3))
        assert not [name for name in run.data.params if name.startswith("model.optimizer")]

    def test_it_says_what_it_was_made_with(self, finished):
        """Tags hold commit, versions, host, seed and the fingerprints of the data."""
        _, run = only_run(finished[0].folder)
        tags = run.data.tags

        assert tags["sinesweep.version.torch"]
        assert tags["sinesweep.host"] == socket.gethostname()
        assert tags["sinesweep.seed"] == "0"
        assert len(tags["mlflow.source.git.commit"]) == 40
        assert tags["sinesweep.git.dirty"] in ("true", "false")
        inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
        assert set(inputs) == {
            "training",
            "validation",
            "testing",
            "reference_val",
            "reference_test",
        }
        assert inputs["training"].digest == tags["sinesweep.fingerprint.training"]

    def test_baselines_stand_beside_its_errors(self, finished):
        """Test and reference MAE come with baselines and skill."""
        _, run = only_run(finished[0].folder)
        metrics = run.data.metrics

        expected = 1 - metrics["test/mae"] / metrics["baseline/last_value/test_mae"]
        assert math.isclose(metrics["test/skill"], expected, rel_tol=1e-6)
        for name in ("constant", "last_value", "linear"):
            assert f"baseline/{name}/reference_test_mae" in metrics

    @pytest.mark.parametrize(("name", "count"), [("decay", 8), ("period", 9)])
    @pytest.mark.parametrize("label", ["val", "test"])
    def test_reference_maes_are_broken_down(self, finished, label, name, count):
        """Both reference MAEs of the kept weights are told for each decay and each period."""
        client, run = only_run(finished[0].folder)
        told = history(client, run)
        start = f"reference/{label}_mae_by_{name}/"
        parts = [value for key, value in run.data.metrics.items() if key.startswith(start)]
        best, _ = min(told["val/mae"], key=lambda point: point[1])
        whole = {"val": dict(told["reference/val_mae"]).get(best)}
        whole["test"] = run.data.metrics["reference/test_mae"]

        assert len(parts) == count
        # Each decay and period of the grid has as many series, so the mean of the parts is the
        # whole; 1e-6: the parts are summed in another order, the whole of val in float32.
        assert math.isclose(np.mean(parts), whole[label], rel_tol=1e-6)

    def test_its_files_are_artifacts(self, finished):
        """Configuration, metrics, best checkpoint and figures can be opened from the tracker."""
        client, run = only_run(finished[0].folder)
        names = {
            item.path
            for folder in (None, "figures", "checkpoints")
            for item in client.list_artifacts(run.info.run_id, folder)
        }

        assert {
            "config.yaml",
            "metrics.csv",
            "checkpoints/best.ckpt",
            "figures/forecasts.png",
            "figures/error_map.png",
            "figures/learning_curves.png",
        } <= names

    def test_metrics_csv_holds_what_the_tracker_holds(self, finished):
        """The CSV and the tracker agree to the last bit."""
        client, run = only_run(finished[0].folder)
        with (finished[0].run_folder() / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))

        told = history(client, run)
        assert sum(map(len, told.values())) == len(rows)
        for row in rows:
            assert (int(row["step"]), float(row["value"])) in told[row["metric"]]

    def test_the_screen_shows_the_table_and_the_next_command(self, finished):
        """Without a terminal the progress is plain lines; at the end there is one table."""
        _, run = only_run(finished[0].folder)
        out = finished[1].out

        assert "epoch 2/2" in out
        assert "\r" not in out
        for word in ("linear map", "constant", "last value", "skill", "reference test"):
            assert word in out
        assert run.info.run_id in out
        assert "sinesweep ui" in out

    def test_the_logged_model_gives_the_checkpoints_predictions(self, finished):
        """mlflow.pyfunc.load_model forecasts as the best checkpoint does, bit for bit."""
        from sinesweep.training.checkpoint import load_module
        from sinesweep.training.forecasting import forecast

        runner, _ = finished
        client, run = only_run(runner.folder)
        mlflow.set_tracking_uri(f"sqlite:///{runner.folder}/mlruns/mlflow.db")
        inputs = np.random.default_rng(0).uniform(size=(7, 50)).astype(np.float32)
        model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
        checkpoint = load_module(runner.run_folder() / "checkpoints" / "best.ckpt")

        np.testing.assert_array_equal(model.predict(inputs), forecast(checkpoint, inputs))
        assert model.metadata.signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 50)
        model_id = run.outputs.model_outputs[0].model_id
        assert client.get_logged_model(model_id).status == "READY"
        assert client.get_logged_model(model_id).experiment_id == run.info.experiment_id

    @pytest.mark.slow
    @pytest.mark.services
    def test_the_logged_model_is_served(self, finished):
        """``mlflow models serve`` answers a request with the model's forecasts."""
        runner, _ = finished
        _, run = only_run(runner.folder)
        port = free_port()
        uri = f"sqlite:///{runner.folder}/mlruns/mlflow.db"
        serve = [
            sys.executable, "-m", "mlflow", "models", "serve", "-m",
            f"runs:/{run.info.run_id}/model", "--env-manager", "local",
            "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        ]  # fmt: skip
        variables = environment(MLFLOW_TRACKING_URI=uri, MLFLOW_DISABLE_TELEMETRY="true")
        server = subprocess.Popen(
            serve, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/ping"))
            series = np.linspace(0, 1, 100, dtype=np.float32).reshape(2, 50)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations",
                json.dumps({"inputs": series.tolist()}).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = np.array(json.load(response)["predictions"])
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

        mlflow.set_tracking_uri(uri)
        expected = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(series)
        # JSON carries float32 values as decimals; 1e-6 relative is their last digit.
        np.testing.assert_allclose(answer, expected, rtol=1e-6)

    def test_the_same_command_gives_the_same_numbers(self, finished, runner):
        """The same command in another folder, untracked: identical metrics to the last bit."""
        done = runner.train(*SMALL, "model.layers=3", "data.noise=0.01", *UNTRACKED)

        assert done.code == 0
        again = (runner.run_folder() / "metrics.csv").read_text()
        assert again == (finished[0].run_folder() / "metrics.csv").read_text()

    def test_audit_finds_nothing_to_do(self, finished):
        """An audit of runs that ended well changes nothing."""
        done = finished[0].sinesweep("audit")

        assert (done.code, done.out) == (0, "every run is as the tracker says\n")

    @pytest.mark.slow
    @pytest.mark.services
    def test_ui_serves_mlflow_on_this_machine_alone(self, finished):
        """``sinesweep ui`` answers on 127.0.0.1 and on no other address."""
        runner, _ = finished
        port = free_port()
        command = "import sys; from sinesweep.commands import main; sys.exit(main())"
        server = subprocess.Popen(
            [sys.executable, "-c", command, "ui", "--port", str(port)],
            cwd=runner.folder, env=environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"))
            listening = listening_addresses(port)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

        assert listening == {"0100007F"}  # 127.0.0.1, as the kernel writes it


def test_tracking_none_needs_no_mlflow(runner):
    """Without tracking a run never imports MLflow and still writes its files."""
    blocked = runner.folder / "blocked" / "mlflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('MLflow was imported')")
    done = runner.train(*SMALL, "tracking=none", PYTHONPATH=str(blocked.parent))

    assert done.code == 0, done.err
    assert (runner.run_folder() / "metrics.csv").exists()
    assert (runner.run_folder() / "figures" / "error_map.png").exists()
    assert not (runner.folder / "mlruns" / "mlflow.db").exists()


@pytest.mark.slow
def test_credentials_reach_no_file(runner):
    """A password in the configuration is in no file, message, param or tag of the run."""
    secret = "hunter2"
    done = runner.train(
        *SMALL, *BARE,
        f"tracking.uri='sqlite:///{runner.folder}/mlruns/own.db?password={secret}'",
    )  # fmt: skip

    assert secret not in done.out + done.err
    for path in runner.folder.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


class TestConfidentialModel:
    """A run of the user's own model with a password in its section."""

    SECRETS = ("+model.api_token=hunter2", "+model.endpoint='https://bob:hunter2@host/'")
    AGAIN = tuple(secret.removeprefix("+") for secret in SECRETS)

    @pytest.mark.slow
    def test_the_password_reaches_no_file_and_is_asked_for_again(self, runner):
        """No file holds it, a checkpoint neither; resume needs it, and takes it by plain keys."""
        overrides = ("trainer.max_epochs=2", "artifacts.figures=false")
        done = runner.own(*overrides, *self.SECRETS)
        assert done.code == 0, done.err
        assert "hunter2" not in done.out + done.err
        files = [path for path in runner.folder.rglob("*") if path.is_file()]
        # The tests' own model has the password in its code, which travels with the logged model.
        holding = {path.name for path in files if b"hunter2" in path.read_bytes()}
        assert holding == {"ownmodel.py"}

        mlflow.set_tracking_uri(f"sqlite:///{runner.folder}/mlruns/mlflow.db")
        _, run = only_run(runner.folder)
        uri = f"runs:/{run.info.run_id}/model"
        with pytest.raises(InputError, match="holds no secrets, and needs api_token and endpoint"):
            mlflow.pyfunc.load_model(uri)
        secrets = {"api_token": "hunter2", "endpoint": "hunter2"}
        model = mlflow.pyfunc.load_model(uri, model_config={"model": secrets})
        assert model.predict(np.zeros((2, 50), np.float32)).shape == (2, 5)

        folder = runner.run_folder()
        as_if_interrupted(folder)
        resume = (f"resume={folder.name}", "artifacts.figures=false")
        refused = runner.train(*resume, PYTHONPATH=str(OWN))
        assert refused.code == 2
        assert "model.api_token and model.endpoint must be given again" in refused.err
        done = runner.train(*resume, *self.AGAIN, PYTHONPATH=str(OWN))
        assert done.code == 0, done.err

    @pytest.mark.slow
    def test_the_way_on_after_an_interruption_names_the_secrets(self, runner):
        """What is to be typed to go on has places for the secrets, not the secrets."""
        done = runner.own(*BARE, *self.SECRETS, "model.misbehave=SIGTERM")

        assert done.code == 130
        command = done.err.splitlines()[-1]
        assert "model.api_token=***" in command
        assert "model.endpoint=" in command
        assert "hunter2" not in done.err


ENDS = {
    "raise": (1, "FAILED", "FAIL", "ValueError: the layer exploded at https://***@example.org/"),
    "exit": (1, "FAILED", "FAIL", "the training called exit: SystemExit(0)"),
    "SIGINT": (130, "KILLED", "INTERRUPTED", "SIGINT"),
    "SIGTERM": (130, "KILLED", "INTERRUPTED", "SIGTERM"),
    "SIGHUP": (130, "KILLED", "INTERRUPTED", "SIGHUP"),
    "SIGKILL": (-9, "KILLED", "INTERRUPTED", "the process died"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("misdeed", "expected"), ENDS.items(), ids=ENDS.keys())
def test_a_run_ends_as_it_ended(runner, misdeed, expected):
    """Whatever ends a run, exit code and tracker tell the truth, and no process is left."""
    code, status, state, error = expected
    done = runner.own(f"model.misbehave={misdeed}", *BARE)
    wait_for(lambda: only_run(runner.folder)[1].info.status != "RUNNING")

    client, run = only_run(runner.folder)
    assert (done.code, run.info.status) == (code, status)
    assert run.data.tags["sinesweep.state"] == state
    assert run.data.tags["sinesweep.error"] == error
    assert [step for step, _ in history(client, run)["val/mae"]] == [0]
    assert "hunter2" not in done.err
    wait_for(lambda: not processes_of(runner.folder))


@pytest.mark.slow
def test_forked_child_of_a_training_does_not_touch_its_run(runner):
    """A child that trains on ends with an error; the run is recorded and finished once."""
    done = runner.own("model.misbehave=fork", "trainer.max_epochs=3", "threads=1", *BARE)
    assert done.code == 0, done.err
    assert (runner.folder / "forked").read_text() == "1"
    assert "must be recorded by the process that trains it" in done.err

    client, run = only_run(runner.folder)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in history(client, run)["val/mae"]] == [0, 1, 2]
    kinds = [json.loads(line)["kind"] for line in record_text(runner).splitlines()]
    assert kinds.count("end") == 1
    wait_for(lambda: not processes_of(runner.folder))


@pytest.mark.slow
def test_audit_closes_a_run_whose_process_and_writer_were_killed(runner):
    """After SIGKILL of everything, the next audit closes the run as INTERRUPTED."""
    training = start_training(runner, "trainer.max_epochs=100000", *BARE)
    wait_for(lambda: '"step": 2' in record_text(runner))
    for process in processes_of(runner.folder):
        os.kill(process, signal.SIGKILL)
    training.wait(timeout=LIMIT)
    assert only_run(runner.folder)[1].info.status == "RUNNING"

    done = runner.sinesweep("audit")

    _, run = only_run(runner.folder)
    assert done.code == 0
    assert "its process is gone: closed as INTERRUPTED" in done.out
    assert run.info.status == "KILLED"
    assert run.data.tags["sinesweep.state"] == "INTERRUPTED"


# In the second, epochs were told that no checkpoint holds.
CHANGES = {
    "killed": (
        signal.SIGKILL,
        (EACH_EPOCH, "model.dropout=0.3", "scheduler=step", "scheduler.step_size=3"),
    ),
    "interrupted": (
        signal.SIGINT,
        ("checkpoint_interval=0.15", "scheduler=cosine", "trainer.check_val_every_n_epoch=2"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("number", "overrides"), CHANGES.values(), ids=CHANGES.keys())
def test_a_continued_run_ends_with_the_numbers_of_an_uninterrupted_one(
    runner, tmp_path_factory, number, overrides
):
    """Stopped in mid-training and continued: the same metrics bit for bit, in the same run."""
    from runner import Runner

    whole = Runner(tmp_path_factory.mktemp("whole"))
    overrides = ("model.width=4", "trainer.max_epochs=16", *BARE, *overrides)
    assert whole.train(*overrides, "tracking=none").code == 0
    training = start_training(runner, *overrides)
    wait_for(lambda: '"step": 5' in record_text(runner))
    training.send_signal(number)
    training.wait(timeout=LIMIT)
    wait_for(lambda: not processes_of(runner.folder))
    assert '"step": 15' not in record_text(runner)

    done = runner.train(f"resume={runner.run_folder().name[-8:]}", *BARE)

    assert done.code == 0, done.err
    expected = (whole.run_folder() / "metrics.csv").read_text()
    assert (runner.run_folder() / "metrics.csv").read_text() == expected
    client, run = only_run(runner.folder)
    assert (run.info.status, run.data.tags["sinesweep.state"]) == ("FINISHED", "COMPLETE")
    told = history(client, run)
    rows = [row.split(",") for row in expected.splitlines()[1:]]
    assert sum(map(len, told.values())) == len(rows)
    assert all((int(step), float(value)) in told[name] for name, step, value in rows)


@pytest.mark.slow
def test_a_run_trained_as_among_others_is_begun_again(runner):
    """It keeps no state to go on from: the command that it names is its own."""
    overrides = (*SMALL, "together=true", "trainer.max_epochs=100000", *UNTRACKED)
    training = start_training(runner, *overrides)
    wait_for(lambda: '"step": 2' in record_text(runner))
    training.send_signal(signal.SIGINT)

    assert training.wait(timeout=LIMIT) == 130
    told = (runner.folder / "stderr").read_text()
    assert "since with together=true a run keeps its best epoch alone: begin it again with" in told
    assert f"train.py {' '.join(overrides)}" in told.splitlines()[-1]
    assert (runner.run_folder() / "checkpoints" / "best.ckpt").exists()
    refused = runner.train(f"resume={runner.run_folder().name}", *UNTRACKED)
    assert refused.code == 2
    assert "which keep the best epoch alone: run its command again" in refused.err


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(runner, tmp_path_factory):
    """With a truncated last checkpoint a run goes on from the previous one, and says so."""
    from runner import Runner

    whole = Runner(tmp_path_factory.mktemp("whole"))
    assert whole.train(*SMALL, *UNTRACKED).code == 0
    assert runner.train(*SMALL, *UNTRACKED, EACH_EPOCH).code == 0
    folder = runner.run_folder()
    as_if_interrupted(folder)
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])

    done = runner.train(f"resume={folder.name}", *UNTRACKED)

    assert done.code == 0, done.err
    assert "last.ckpt: it is damaged" in done.out + done.err
    expected = (whole.run_folder() / "metrics.csv").read_text()
    assert (folder / "metrics.csv").read_text() == expected


@pytest.mark.slow
def test_another_runs_checkpoint_is_passed_over_for_the_one_before(runner, tmp_path_factory):
    """With another run's checkpoint as its last a run goes on from its own previous one."""
    from runner import Runner

    other = Runner(tmp_path_factory.mktemp("other"))
    assert other.train(*SMALL, "model.width=5", *UNTRACKED).code == 0
    assert runner.train(*SMALL, *UNTRACKED, EACH_EPOCH).code == 0
    folder = runner.run_folder()
    expected = (folder / "metrics.csv").read_text()
    as_if_interrupted(folder)
    foreign = other.run_folder() / "checkpoints" / "last.ckpt"
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(foreign.read_bytes())

    done = runner.train(f"resume={folder.name}", *UNTRACKED)

    assert done.code == 0, done.err
    said = f"it must be of run {folder.name}, but is of {other.run_folder().name}"
    assert said in done.out + done.err
    assert (folder / "metrics.csv").read_text() == expected


@pytest.mark.slow
def test_a_refused_continuation_leaves_the_run_as_it_was(runner):
    """With no whole checkpoint left a continuation is refused, and the record is not touched."""
    assert runner.train(*SMALL, *UNTRACKED).code == 0
    folder = runner.run_folder()
    as_if_interrupted(folder)
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / "checkpoints" / name).write_bytes(b"nonsense")
    before = (folder / "record.jsonl").read_text()

    done = runner.train(f"resume={folder.name}", *UNTRACKED)

    assert done.code == 2
    assert "it is damaged or no checkpoint" in done.err
    assert (folder / "record.jsonl").read_text() == before


@pytest.mark.slow
def test_two_processes_continue_a_run(runner):
    """A DDP run is continued by as many processes, with the numbers of an uninterrupted one."""
    two = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", *UNTRACKED)
    assert runner.train(*SMALL, *two, EACH_EPOCH).code == 0
    folder = runner.run_folder()
    expected = (folder / "metrics.csv").read_text()
    as_if_interrupted(folder)
    (folder / "checkpoints" / "previous.ckpt").replace(folder / "checkpoints" / "last.ckpt")

    done = runner.train(f"resume={folder.name}", *UNTRACKED)

    assert done.code == 0, done.err
    assert (folder / "metrics.csv").read_text() == expected


@pytest.mark.slow
def test_continuing_another_configuration_is_refused(runner):
    """A run is continued as it was started; a changed key is named with both values."""
    assert runner.train(*SMALL, *UNTRACKED).code == 0
    folder = runner.run_folder()
    as_if_interrupted(folder)

    done = runner.train(f"resume={folder.name}", "model.layers=3", *UNTRACKED)

    assert done.code == 2
    assert "model.layers must be what the run was started with, 2, but is 3" in done.err


@pytest.mark.slow
def test_a_finished_run_is_not_continued(runner):
    """There is nothing to continue in a run that has finished."""
    assert runner.train(*SMALL, *UNTRACKED).code == 0

    done = runner.train(f"resume={runner.run_folder().name}", *UNTRACKED)

    assert done.code == 2
    assert "has finished" in done.err


@pytest.mark.slow
def test_two_processes_make_one_run(runner):
    """DDP on two CPU processes: one run in the tracker, one value of each metric an epoch."""
    done = runner.train(
        *SMALL, *BARE, "trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"
    )

    assert done.code == 0, done.err
    client, run = only_run(runner.folder)
    assert run.info.status == "FINISHED"
    told = history(client, run)
    assert [step for step, _ in told["train/mae"]] == [0, 1, 2]
    assert {len(points) for name, points in told.items() if "baseline" in name} == {1}
    assert done.out.count("reference test") == 1


@pytest.mark.slow
def test_users_own_model_and_data_are_trained_and_tracked(runner):
    """A LightningModule and a DataModule of the user's own run with their own keys."""
    done = runner.own("data=own", "data.rows=32", "model.hidden=3", "objective=loss", *BARE)

    assert done.code == 0, done.err
    _, run = only_run(runner.folder)
    assert run.data.params["model.hidden"] == "3"
    assert run.data.params["data.rows"] == "32"
    assert {"loss", "val/mae"} <= set(run.data.metrics)


@pytest.mark.slow
def test_users_own_model_is_judged_on_the_tasks_data(runner):
    """A model of the user's own on our data gets baselines, and its logged model can be loaded."""
    done = runner.own("trainer.max_epochs=2", "artifacts.figures=false")

    assert done.code == 0, done.err
    _, run = only_run(runner.folder)
    assert "reference/test_mae" in run.data.metrics
    mlflow.set_tracking_uri(f"sqlite:///{runner.folder}/mlruns/mlflow.db")
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    assert model.predict(np.zeros((2, 50), np.float32)).shape == (2, 5)


@pytest.mark.slow
def test_an_objective_that_is_not_logged_ends_the_run_after_an_epoch(runner):
    """A run of the user's own that does not log its objective stops, and says what it did log."""
    done = runner.own("data=own", "objective=nope", "trainer.max_epochs=1000", *BARE)

    assert done.code == 2
    assert "must be a metric that the run logs, but is 'nope'; it logged loss, val/mae" in done.err
    client, run = only_run(runner.folder)
    assert run.info.status == "FAILED"
    assert [step for step, _ in history(client, run)["loss"]] == [0]


@pytest.mark.slow
def test_an_objective_that_not_even_the_test_logs_fails_the_run(runner):
    """Where a test could still log the objective, the run is judged at its end."""
    done = runner.own("objective=test/nope", "trainer.max_epochs=2", *BARE)

    assert done.code == 2
    assert "but is 'test/nope'; it logged " in done.err
    client, run = only_run(runner.folder)
    assert run.info.status == "FAILED"
    assert [step for step, _ in history(client, run)["loss"]] == [0, 1]


@pytest.mark.slow
def test_a_diverging_run_fails(runner):
    """An objective that is not a number is no result."""
    done = runner.train(*SMALL, *BARE, "optimizer=sgd", "optimizer.lr=1e38")

    assert done.code == 1
    assert "ArithmeticError: the objective val/mae is inf" in done.err
    _, run = only_run(runner.folder)
    assert run.info.status == "FAILED"


@pytest.mark.slow
def test_several_first_runs_share_one_experiment(runner):
    """Two runs that start together in an empty folder do not fall over each other's database."""
    first, second = (start_training(runner, *SMALL, *BARE) for _ in range(2))
    codes = [first.wait(timeout=LIMIT), second.wait(timeout=LIMIT)]
    assert codes == [0, 0], (runner.folder / "stderr").read_text()

    _, found = tracked_runs(runner.folder)
    assert [run.info.status for run in found] == ["FINISHED", "FINISHED"]
    assert len({run.info.experiment_id for run in found}) == 1


def run_parameters(width: int, layers: int, outputs: int = 5) -> int:
    """Count the parameters of a stacked LSTM with one bias a gate."""
    first = 4 * width * (1 + width + 1)
    other = 4 * width * (width + width + 1)
    return first + (layers - 1) * other + outputs * (width + 1)


def as_if_interrupted(folder) -> None:
    """Take the end from a run's record, as if the process had died just before it."""
    path = folder / "record.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert '"end"' in lines[-1]
    path.write_text("".join(lines[:-1]))


def start_training(runner, *overrides: str) -> subprocess.Popen[str]:
    with (runner.folder / "stderr").open("a") as err:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "src" / "train.py"), *overrides],
            cwd=runner.folder,
            env=environment(PYTHONPATH=str(OWN)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
            text=True,
        )


def record_text(runner) -> str:
    return "".join(path.read_text() for path in runner.folder.glob("mlruns/runs/*/record.jsonl"))


def processes_of(folder) -> list[int]:
    """Return the processes that work in a test's folder: the training and its writer."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            working_in = Path(f"/proc/{entry.name}/cwd").readlink()
        except OSError:
            continue  # it has ended in the meantime
        if working_in == folder:
            found.append(int(entry.name))
    return found


def wait_for(condition) -> None:
    """Wait until something has happened; only a hang makes this fail."""
    give_up = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listening_addresses(port: int) -> set[str]:
    """Return the addresses on which something listens at a port, from the kernel's tables."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                found.add(address)
    return found


@pytest.mark.parametrize(
    ("interval", "refusal"), [(5, does_not_raise()), (0.5, does_not_raise()), (6, TOO_LONG)]
)
def test_validation_interval_is_at_most_an_epoch(compose, make_data, interval, refusal):
    """An interval in batches that no epoch reaches is refused before the run is opened."""
    few = ("data.num_series=40", "data.batch_size=8")
    config = parse(compose(*few, f"+trainer.val_check_interval={interval}"))
    with refusal:
        _check_interval(config, make_data(*few))
