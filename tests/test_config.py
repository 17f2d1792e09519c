import inspect
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from sinesweep.cli import CONFIG_DIRECTORY
from sinesweep.config import TRAINER_ARGUMENTS, TRAINER_RESERVED, parse
from sinesweep.errors import InputError

Compose = Callable[..., DictConfig]

TRAINER_MODES = "'32-true', '64-true', '16-mixed', 'bf16-mixed', '16-true', 'bf16-true'"
BIG, MOST = "99999999999999999999", "2147483647"
METRICS = (
    "reference/skill, reference/test_mae, reference/val_mae, test/mae, test/skill, train/mae, "
    "val/mae"
)


def refused_with(message: str) -> pytest.RaisesExc[InputError]:
    """Expect an InputError that says exactly this."""
    return pytest.raises(InputError, match=f"^{re.escape(message)}$")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "+model.widht=3",
            "model.widht: there is no such key; did you mean model.width?",
        ),
        (
            "+data.period.hihg=3",
            "data.period.hihg: there is no such key; did you mean data.period.high?",
        ),
        ("+sed=1", "sed: there is no such key; did you mean seed?"),
        (
            "+tracking.uris=x",
            "tracking.uris: there is no such key; did you mean tracking.uri?",
        ),
        (
            "+artifacts.figure=true",
            "artifacts.figure: there is no such key; did you mean artifacts.figures?",
        ),
        (
            "+trainer.max_epoch=3",
            "trainer.max_epoch: there is no such key; did you mean trainer.max_epochs?",
        ),
        (
            "+xyzxyz=1",
            "xyzxyz: there is no such key; known here: checkpoint_interval, direction, objective, "
            "resume, returns, seed, threads, together, unfair",
        ),
    ],
)
def test_misspelt_key(compose: Compose, override: str, message: str) -> None:
    """A key that is not there is refused, with the nearest one that is."""
    with refused_with(message):
        parse(compose(override))


@pytest.mark.parametrize("key", ["trainer.zzz", "artifacts.zzz", "data.period.zzz"])
def test_key_like_no_other(compose: Compose, key: str) -> None:
    """A key of a section that resembles none of its keys is refused with all of them."""
    message = f"^{re.escape(key)}: there is no such key; known here: "
    with pytest.raises(InputError, match=message):
        parse(compose(f"+{key}=1"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=abc", "model.width: must be a valid integer, but is 'abc'"),
        ("model.width=2.5", "model.width: must be a valid integer, but is 2.5"),
        ("model.width=null", "model.width: must be a valid integer, but is None"),
        ("seed=true", "seed: must be a valid integer, but is True"),
        ("artifacts.figures=1", "artifacts.figures: must be a valid boolean, but is 1"),
        (
            "artifacts.trials=best",
            "artifacts.trials: must be 'all' or 'none' or be a valid integer, but is 'best'",
        ),
        (
            "artifacts.trials=true",
            "artifacts.trials: must be 'all' or 'none' or be a valid integer, but is True",
        ),
        (
            "artifacts.trials=2.5",
            "artifacts.trials: must be 'all' or 'none' or be a valid integer, but is 2.5",
        ),
        (
            "artifacts.trials=null",
            "artifacts.trials: must be 'all' or 'none' or be a valid integer, but is None",
        ),
        ("resume=1234", "resume: must be a valid string, but is 1234"),
        (
            "trainer.devices=x",
            "trainer.devices: must be a valid integer or be 'auto' or be a valid list, but is 'x'",
        ),
        (
            "trainer.deterministic=maybe",
            "trainer.deterministic: must be a valid boolean or be 'warn', but is 'maybe'",
        ),
    ],
)
def test_wrong_type(compose: Compose, override: str, message: str) -> None:
    """A value of another type is refused, never converted."""
    with refused_with(message):
        parse(compose(override))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "threads=99999999999999999999",
            "threads: must be less than or equal to 1024, but is " + BIG,
        ),
        ("data.length=" + BIG, f"data.length: must be less than or equal to {MOST}, but is {BIG}"),
        ("optimizer.eps=" + BIG, f"optimizer.eps: must be less than or equal to 1, but is {BIG}"),
        (
            "scheduler.factor=nan",
            "scheduler: factor must be a finite number of at most 1e+15, but is nan",
        ),
        (
            "optimizer.weight_decay=1e400",
            "optimizer.weight_decay: must be a finite number, but is inf",
        ),
        (
            "optimizer.betas=[0.9,1e99]",
            "optimizer: betas must be a finite number of at most 1e+15, but is 1e+99",
        ),
        (
            "+trainer.limit_train_batches=inf",
            "trainer.limit_train_batches: must be a valid integer or be a finite number, but is "
            "inf",
        ),
        (
            "trainer.num_sanity_val_steps=" + BIG,
            f"trainer.num_sanity_val_steps: must be less than or equal to {MOST}, but is {BIG}",
        ),
        (
            "data.phase.low=-1e99",
            "data.phase.low: must be greater than or equal to -1000000000000000, but is -1e+99",
        ),
        (
            "tracking.experiment=''",
            "tracking.experiment: must have at least 1 character, but is ''",
        ),
        (
            "+scheduler.step_size=0",
            "scheduler.step_size: must be greater than or equal to 1, but is 0",
        ),
        ("+scheduler.T_max=0", "scheduler.T_max: must be greater than or equal to 1, but is 0"),
        ("returns=[]", "returns: must have at least 1 item, but is []"),
        ("model.width=0", "model.width: must be greater than or equal to 1, but is 0"),
        ("model.layers=0", "model.layers: must be greater than or equal to 1, but is 0"),
        ("model.dropout=1.0", "model.dropout: must be less than 1, but is 1.0"),
        ("model.dropout=-0.1", "model.dropout: must be greater than or equal to 0, but is -0.1"),
        ("data.noise=nan", "data.noise: must be a finite number, but is nan"),
        (
            "trainer.gradient_clip_val=inf",
            "trainer.gradient_clip_val: must be a finite number, but is inf",
        ),
        ("data.noise=-1", "data.noise: must be greater than or equal to 0, but is -1"),
        ("data.period.low=1", "data.period.low: must be greater than or equal to 2, but is 1"),
        ("data.decay.low=-1", "data.decay.low: must be greater than or equal to 0, but is -1"),
        ("data.num_series=0", "data.num_series: must be greater than or equal to 1, but is 0"),
        ("seed=-1", "seed: must be greater than or equal to 0, but is -1"),
        ("seed=4294967296", "seed: must be less than 4294967296, but is 4294967296"),
        (
            "artifacts.trials=0",
            "artifacts.trials: must be 'all' or 'none' or be greater than or equal to 1, but is 0",
        ),
        (
            "artifacts.trials=-2",
            "artifacts.trials: must be 'all' or 'none' or be greater than or equal to 1, but is -2",
        ),
        (
            "trainer.max_epochs=0",
            "trainer.max_epochs: must be greater than or equal to 1, but is 0",
        ),
        (
            "trainer.gradient_clip_val=-1",
            "trainer.gradient_clip_val: must be greater than or equal to 0, but is -1",
        ),
        (
            "trainer.devices=0",
            "trainer.devices: must be greater than or equal to 1 or be 'auto' or be a valid "
            "list, but is 0",
        ),
    ],
)
def test_out_of_range(compose: Compose, override: str, message: str) -> None:
    """A number outside its range is refused with the bound."""
    with refused_with(message):
        parse(compose(override))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["trainer.accelerator=gpuu"],
            "trainer.accelerator: must be 'auto', 'cpu', 'gpu', 'cuda', 'mps' or 'tpu', "
            "but is 'gpuu'",
        ),
        (
            ["trainer.precision=8"],
            f"trainer.precision: must be {TRAINER_MODES} or 'transformer-engine', but is 8",
        ),
        (
            ["model.initialization=kears"],
            "model.initialization: must be 'pytorch' or 'keras', but is 'kears'",
        ),
        (
            ["tracking.backend=mlflo"],
            "tracking.backend: must be 'mlflow' or 'none', but is 'mlflo'",
        ),
        (["direction=up"], "direction: must be 'minimize' or 'maximize', but is 'up'"),
        (["data=post", "data.input_steps=40"], "data.input_steps: must be 50, but is 40"),
    ],
)
def test_not_one_of_the_choices(compose: Compose, overrides: list[str], message: str) -> None:
    """A word that is not one of the choices is refused with the choices."""
    with refused_with(message):
        parse(compose(*overrides))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=fast", "optimizer.lr: must be a valid number, but is 'fast'"),
        ("optimizer.lr=0", "optimizer.lr: must be greater than 0, but is 0"),
        ("optimizer.lr=inf", "optimizer.lr: must be a finite number, but is inf"),
        ("optimizer._partial_=false", "optimizer._partial_: must be True, but is False"),
    ],
)
def test_wrong_optimizer(compose: Compose, override: str, message: str) -> None:
    """A wrong value of the optimizer is refused once, under the key that was set."""
    with refused_with(message):
        parse(compose(override))


def test_part_of_a_section_that_refers_to_another(compose: Compose) -> None:
    """One key of the model's optimizer would replace the whole of it, and is refused there."""
    with pytest.raises(InputError, match=r"^model\.optimizer\._target_: this key is missing"):
        parse(compose("++model.optimizer.lr=3"))


@pytest.mark.parametrize("quantity", ["period", "decay", "amplitude", "phase", "offset"])
def test_low_above_high(compose: Compose, quantity: str) -> None:
    """A range whose low exceeds its high is refused with both."""
    message = f"data.{quantity}: low <= high must hold, but low is 20.5, high 20.25"
    with refused_with(message):
        parse(compose(f"data.{quantity}={{low: 20.5, high: 20.25}}"))


def test_window_longer_than_series(compose: Compose) -> None:
    """A window that a series cannot hold is refused with the sum."""
    message = (
        "data: input_steps + output_steps <= length must hold, but 60 + 5 > 55: "
        "shorten them or raise data.length"
    )
    with refused_with(message):
        parse(compose("data.input_steps=60"))


def test_one_pattern_for_all_series(compose: Compose) -> None:
    """Period, decay and phase cannot all be fixed, since every split would be the same."""
    fixed = [f"data.{name}={{low: 3.0, high: 3.0}}" for name in ("period", "decay", "phase")]
    message = "^data: one of period, decay and phase must have low < high, but all three are fixed"
    with pytest.raises(InputError, match=message):
        parse(compose(*fixed))


@pytest.mark.parametrize("varied", ["period", "decay", "phase"])
def test_two_fixed_quantities(compose: Compose, varied: str) -> None:
    """Any two of period, decay and phase can be fixed."""
    fixed = [
        f"data.{name}={{low: 3.0, high: 3.0}}"
        for name in ("period", "decay", "phase")
        if name != varied
    ]
    assert parse(compose(*fixed)).values["data"][varied]["low"] != 3.0


@pytest.mark.parametrize("argument", sorted(TRAINER_RESERVED))
def test_reserved_trainer_argument(compose: Compose, argument: str) -> None:
    """An argument that sinesweep gives the Trainer itself is refused."""
    message = f"trainer.{argument}: sinesweep sets this argument itself; remove the key"
    with refused_with(message):
        parse(compose(f"+trainer.{argument}=null"))


def test_plugins_are_reserved() -> None:
    """Plugins are not the user's to set: the checkpoints are written by one."""
    assert "plugins" in TRAINER_RESERVED


def test_further_trainer_argument(compose: Compose) -> None:
    """Any other argument of the Trainer can be added."""
    config = parse(compose("+trainer.limit_train_batches=10"))
    assert config.values["trainer"]["limit_train_batches"] == 10


def test_known_trainer_arguments_are_those_of_lightning() -> None:
    """The listed Trainer arguments are those of the installed Lightning."""
    import pytorch_lightning as pl

    arguments = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert arguments == TRAINER_ARGUMENTS | TRAINER_RESERVED


@pytest.mark.parametrize(
    ("objective", "rest"),
    [
        ("val/mea", "; did you mean val/mae?"),
        ("accuracy", f"; known here: {METRICS}"),
    ],
)
def test_unknown_objective(compose: Compose, objective: str, rest: str) -> None:
    """An objective that the task does not log is refused, with what it does log."""
    with refused_with(
        f"objective: must be a metric that the task logs, but is {objective!r}{rest}"
    ):
        parse(compose(f"objective={objective}"))


@pytest.mark.parametrize(
    ("objective", "direction", "best"),
    [("val/mae", "maximize", "minimize"), ("test/skill", "minimize", "maximize")],
)
def test_direction_against_objective(
    compose: Compose, objective: str, direction: str, best: str
) -> None:
    """A direction that would choose the worst epoch is refused."""
    message = f"direction: must be {best} for {objective}, but is {direction!r}"
    with refused_with(f"{message}: give direction={best}"):
        parse(compose(f"objective={objective}", f"direction={direction}"))


@pytest.mark.parametrize("section", ["data", "model", "optimizer", "trainer", "tracking"])
def test_missing_section(compose: Compose, section: str) -> None:
    """A section that is taken away is missed by its name."""
    fix = f"leave ~{section} out, or give the section"
    with refused_with(f"{section}: this section is missing: {fix}"):
        parse(compose(f"~{section}"))


def test_every_missing_section_is_named(compose: Compose) -> None:
    """Sections that other sections refer to are named themselves, one a line."""
    with refused_with(
        "scheduler: this section is missing: leave ~scheduler out, or give the section\n"
        "data: this section is missing: leave ~data out, or give the section"
    ):
        parse(compose("~data", "~scheduler"))


def test_missing_key(compose: Compose) -> None:
    """A key that is taken away is missed by its name."""
    with refused_with("data.decay.low: this key is missing"):
        parse(compose("~data.decay.low"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=${nope}", "^model.width: Interpolation key 'nope' not found"),
        (
            "~data.output_steps",
            r"^model.output_steps: Interpolation key 'data.output_steps' not found: give "
            r"data.output_steps a value \(leave ~data.output_steps out\), or give "
            "model.output_steps a value of its own$",
        ),
        ("model.width=???", "^model.width: Missing mandatory value: width"),
    ],
)
def test_unresolved_value(compose: Compose, override: str, message: str) -> None:
    """A value that cannot be resolved is refused with its key."""
    with pytest.raises(InputError, match=message):
        parse(compose(override))


def test_every_problem_is_named(compose: Compose) -> None:
    """Problems of several sections are told at once, one a line."""
    message = (
        "model.width: must be greater than or equal to 1, but is 0\n"
        "seed: must be greater than or equal to 0, but is -1"
    )
    with refused_with(message):
        parse(compose("model.width=0", "seed=-1"))


@pytest.mark.parametrize("section", ["data", "model"])
def test_own_class_is_unchecked(compose: Compose, section: str) -> None:
    """The keys of a user's own class are not checked here."""
    config = parse(compose(f"{section}._target_=own.Class", f"+{section}.anything=[1, two]"))
    assert config.values[section]["anything"] == [1, "two"]


def test_own_class_objective_is_unchecked(compose: Compose) -> None:
    """A user's own class can log any objective, in either direction."""
    own = ("model._target_=own.Model", "objective=accuracy", "direction=maximize")
    assert parse(compose(*own)).settings.objective == "accuracy"


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=post"],
        ["experiment=post"],
        ["optimizer=adamw"],
        ["optimizer=keras_adam"],
        ["optimizer=sgd"],
        ["scheduler=step"],
        ["scheduler=cosine"],
        ["tracking=none"],
    ],
)
def test_shipped_choice(compose: Compose, overrides: list[str]) -> None:
    """Every choice that conf/ ships is a valid configuration."""
    assert parse(compose(*overrides)).own_task


def test_params_list_nested_keys(compose: Compose) -> None:
    """Params have dotted names, and a list is one value."""
    params = parse(compose()).params
    assert params["data.period.low"] == 10.0
    assert params["optimizer.betas"] == [0.9, 0.999]


def test_params_list_each_key_once(compose: Compose) -> None:
    """A section that another one refers to is listed under its own name only."""
    params = parse(compose()).params
    assert [name for name in params if name.endswith(".lr")] == ["optimizer.lr"]
    assert not [name for name in params if re.match(r"model\.(optimizer|scheduler)\b", name)]


def test_params_leave_hydra_out(compose: Compose) -> None:
    """Hydra's own keys are no params."""
    cfg = compose()
    cfg = DictConfig({**cfg, "hydra": {"job": {"name": "train"}}}, flags={"struct": False})
    assert not [name for name in parse(cfg).params if name.startswith("hydra")]


def test_refusal_does_not_import_torch() -> None:
    """A wrong configuration is refused before torch is imported, so at once."""
    program = f"""
import sys, hydra
from sinesweep import config, errors
with hydra.initialize_config_dir({str(CONFIG_DIRECTORY)!r}, version_base="1.3"):
    cfg = hydra.compose("train", ["model.width=0"])
try:
    config.parse(cfg)
except errors.InputError:
    print("refused,", "torch" in sys.modules or "pytorch_lightning" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout == "refused, False\n", said.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+trainer.fast_dev_run=-1", "trainer.fast_dev_run: must be .* or .*, but is -1"),
        ("+trainer.overfit_batches=1", "trainer.overfit_batches: must be 0 with the data of the"),
        ("+trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches: must be greater"),
        ("+trainer.limit_train_batches=0", "trainer.limit_train_batches: must be greater"),
        ("+trainer.limit_train_batches=1.5", "trainer.limit_train_batches: must .*, but is 1.5"),
        ("+trainer.limit_val_batches=-1", "trainer.limit_val_batches: must be .*, but is -1"),
        ("+trainer.limit_val_batches=0", "trainer.limit_val_batches: must be more than 0 for"),
        ("+trainer.max_steps=0", "trainer.max_steps: must be .* or be -1, but is 0"),
        ("+trainer.max_time=abc", "trainer.max_time: must be longer than 0, as in 00:01:30:00"),
        ("+trainer.max_time=00:00:00:00", "trainer.max_time: must be longer than 0"),
        ("+trainer.max_time={minutes:0}", "trainer.max_time: must be longer than 0"),
        ("+trainer.max_time={years:1}", "trainer.max_time: must be longer than 0"),
        ("+trainer.val_check_interval=0", "trainer.val_check_interval: must be .*, but is 0"),
        ("trainer.check_val_every_n_epoch=31", "trainer.check_val_every_n_epoch: must be at most"),
        ("+trainer.log_every_n_steps=-1", "trainer.log_every_n_steps: must be greater"),
        ("+trainer.detect_anomaly=1", "trainer.detect_anomaly: must be a valid boolean, but is 1"),
        ("+trainer.barebones=true", "trainer.barebones: must be False, but is True"),
        ("+trainer.min_epochs=-1", "trainer.min_epochs: must be greater"),
    ],
)
def test_trainer_arguments_that_lightning_refuses_late(
    compose: Compose, override: str, message: str
) -> None:
    """A value that would end a training later is refused by its key."""
    with pytest.raises(InputError, match=f"^{message}"):
        parse(compose(override))


@pytest.mark.parametrize(
    "override",
    [
        "+trainer.fast_dev_run=true",
        "+trainer.limit_train_batches=0.5",
        "+trainer.limit_train_batches=2",
        "+trainer.max_steps=3",
        "+trainer.max_time=00:00:00:01",
        "+trainer.max_time={minutes:5}",
        "+trainer.val_check_interval=0.25",
        "+trainer.val_check_interval=00:00:01:00",
        "+trainer.profiler=simple",
    ],
)
def test_trainer_arguments_of_every_kind(compose: Compose, override: str) -> None:
    """Other arguments of the Trainer take what Lightning takes."""
    parse(compose(override))
