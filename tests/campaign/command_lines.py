"""Command lines of a user who mistypes, misunderstands and pastes: valid ones, and mutations."""

# ruff: noqa: E501 # tables of values

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

FILE = "given/experiment/mine.yaml"


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        program: ``train`` (the reference task), ``plain`` (another application), or ``sinesweep``.
        arguments: what follows it.
        files: text by path, which are there before.
        is_wrong: whether it must be refused; another one may be refused, too.
    """

    program: str
    arguments: Sequence[str]
    files: dict[str, str] = field(default_factory=dict)
    is_wrong: bool = False


BIG = "99999999999999999999"
COUNTS = (
    "threads", "model.layers", "model.width", "data.num_series", "data.val_series", "data.length",
    "data.test_series", "data.input_steps", "data.output_steps", "data.batch_size",
    "trainer.max_epochs", "trainer.check_val_every_n_epoch",
)  # fmt: skip
SEEDS = ("seed", "data.seed")
AMOUNTS = (
    "optimizer.lr", "data.noise", "data.decay.low", "data.decay.high", "data.period.low",
    "optimizer.eps", "optimizer.weight_decay", "checkpoint_interval", "trainer.gradient_clip_val",
    "model.dropout",
)  # fmt: skip
SWITCHES = ("unfair", "together", "artifacts.figures", "artifacts.model", "data.noisy_targets")
TEXTS = (
    "objective",
    "tracking.experiment",
    "tracking.root",
    "tracking.uri",
    "model.initialization",
)
SECTIONS = ("artifacts", "data.period", "data.decay", "data.phase")
GROUPS = ("model", "data", "optimizer", "scheduler", "trainer", "tracking")
# Hydra's own sweeper keys, by kind.
SWEEP_COUNTS = ("n_trials", "workers", "slots", "repeats", "n_jobs")
SWEEP_AMOUNTS = ("timeout", "trial_timeout", "lease")
SAMPLER_COUNTS = ("n_ei_candidates", "n_startup_trials", "seed")

NO_COUNT = (
    "-1", BIG, f"-{BIG}", "1.5", "abc", "true", "null_", "[1]", "[]", "{a: 1}", "''", "nan", "inf",
    "1e400", "1e3", "0x10", "9" * 4500, "${nope}", "${oc.env:NOT_SET_HERE}", "'3'",
)  # fmt: skip
NO_AMOUNT = (
    "-1", "nan", "-inf", "1e400", "1e300", BIG, "abc", "true", "[1.0]", "{}", "''", "9" * 4500,
    "${nope}", "'0.5'",
)  # fmt: skip
NO_SWITCH = ("2", "maybe", "1.0", "[true]", "{a: true}", "''", "null", "${nope}", "'true'")
NO_TEXT = ("3", "1.5", "true", "[a]", "{a: b}", "''", "x" * 5000, "'a\nb'", "${nope}")
NO_SECTION = ("null", "{}", "3", "abc", "[1]", "{nope: 1}", "true")
NO_GROUP = (
    "null",
    "3",
    "1.5",
    "true",
    "nope",
    "{}",
    "{nope: 1}",
    "[nope]",
    "../x",
    "''",
    "x" * 300,
)
NO_GRAMMAR = (
    "model.layers", "=3", "model.layers=[", "model.layers={a", "model.layers='x", "a=b=c(", "x y=3",
    "model.layers=choice(", "+", "~", "++=1", "model..layers=3", ".model=3", "model.=3", "@=1",
)  # fmt: skip
NO_KEY = (
    "modle.layers=3", "+model.layer=3", "sed=1", "+nope=1", "++nope.deep=1", "model@nope=3",
    "+tracking.name=x", "~nope", "~seed", "~model.layers", "~data", "+trainer.logger=1",
)  # fmt: skip
NO_SPACE = (
    "model.layers=range(1,nan)", "model.layers=range(1,inf)", "model.layers=range(3,1)",
    "model.layers=range(1,3,0)", "optimizer.lr=interval(0,nan)", "optimizer.lr=interval(1,0)",
    "optimizer.lr=tag(log,interval(0,1))", "seed=1,1", "seed=1,2 ,", "resume=abc",
    "objective=val/mae,test/mae", "tracking.experiment=a,b", "sweeps=quick,seeds", "model={},{}",
    "model.layers=0,1", "model.width=8,x", "seed=glob(*)", "model=glob(nope*)",
    "hydra.sweeper.n_trials=1,2", "data.num_series=100,200 data.val_series=", "model=null,null",
    "optimizer=adam,nope", "model.layers=interval(1,1e400)", "model.layers=shuffle(range(1,nan))",
)  # fmt: skip
NO_SWEEP = (
    "hydra.sweeper.sampler={}", "hydra.sweeper.sampler=null", "hydra.sweeper.pruner=3",
    "hydra/sweeper/sampler=nope", "hydra/sweeper/pruner=nope", "hydra.sweeper.nope=3",
    "+hydra.sweeper.nope=3", "hydra.sweeper.storage=sqlite://", "hydra.sweeper.storage=3",
    "hydra.sweeper.storage=nope://x", "hydra.sweeper.storage=sqlite:///:memory:",
    "hydra.sweeper.tracking=3", "hydra.sweeper.tracking={exp: mine}", "hydra.sweeper.fused=nope",
    "hydra.sweeper.check=nope", "hydra.sweeper.preload=[nope]", "hydra.sweeper.preload=3",
    "hydra.sweeper.direction=down", "hydra.sweeper.direction=[]", "hydra.sweeper.backend=slurm",
    "hydra.sweeper.custom_search_space=nope.f", "hydra.sweeper.study_name=../up",
    f"hydra.sweeper.study_name={'x' * 5000}", f"hydra.sweeper.root={'x' * 300}",
    f"hydra.sweep.dir={'x' * 300}", "hydra.sweeper.root=/proc/nope", "hydra.sweep.dir=/proc/nope",
    "hydra.sweeper.on_failure=stop", "hydra.sweeper.max_failure_rate=2", "hydra.sweeper.retries=-1",
    "hydra.sweeper.terminator={_target_: nope.T}", "hydra.sweeper.terminator=3",
    "hydra.sweeper.params={hydra.sweeper.n_trials: 'range(1,3)'}", "hydra.sweeper.params=3",
    "hydra.sweeper.params={'': 1}", "hydra.sweeper.params=[1]", "hydra.sweeper.ray=3",
    "hydra.sweeper.seed_key=nope hydra.sweeper.repeats=2", "hydra.sweeper.search_space={x: 1}",
    "hydra.sweeper.sampler={_target_: nope.S}", "hydra.sweeper.sampler={_target_: os.getcwd}",
    "hydra.sweeper.sampler={_target_: hydra_plugins.x.Y}", "hydra.sweeper.sampler.multivariate=maybe",
    "hydra/sweeper/pruner=asha hydra.sweeper.pruner.reduction_factor=1",
    "hydra/sweeper/pruner=hyperband hydra.sweeper.pruner.min_resource=0",
    "hydra/sweeper/pruner=median hydra.sweeper.pruner.n_warmup_steps=-1",
    "hydra/sweeper/pruner=patient hydra.sweeper.pruner.patience=abc",
    "hydra.sweeper.pruner={_target_: optuna.pruners.PercentilePruner, percentile: 150}",
    "hydra/sweeper=optuna",
    "hydra.sweeper._target_=hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper",
)  # fmt: skip
VALID = (
    "seed=3", "model.layers=1", "model.width=8", "optimizer=sgd", "scheduler=cosine", "data=post",
    "experiment=post", "tracking=none", "optimizer.lr=1e-3", "artifacts.trials=all",
    "tracking.run_name='a b'", "+trainer.limit_train_batches=2", "data.noise=0.1",
    "tracking.experiment=\u00e4\u6f22", "hydra.job.chdir=false", "unfair=true",
)  # fmt: skip
VALID_SPACE = (
    "seed=1,2", "model.layers=1,2", "model.width=range(8,33,8)", "optimizer=adam,sgd",
    "optimizer.lr=tag(log,interval(1e-4,1e-1))", "model.layers=choice(1,2)", "sweeps=quick",
)  # fmt: skip
FLAGS = (
    ("--resolve",), ("--cfg", "job"), ("--cfg", "all", "--resolve"), ("--cfg", "nope"), ("--help",),
    ("--info",), ("--info", "nope"), ("--hydra-help",), ("--version",), ("--package", "model"),
    ("--cfg", "job", "--package", "nope"), ("--config-name", "nope"), ("--config-dir", "nope"),
    ("--config-path", "nope"), ("-m",), ("--run",), ("-m", "--run"), ("--cfg", "job", "--info"),
    ("-sc", "query=bash"), ("-sc",), ("--nope",), ("--experimental-rerun", "nope.pickle"),
    ("--config-dir", "given"), ("-c", "hydra"), ("--config-name", ""), ("--config-name", "../x"),
)  # fmt: skip
YAML_TEXTS = (
    "model: {layers: [1\n", "seed: 3\n\tmodel: 1\n", "seed: 'x\n", "- 1\n- 2\n", "just text",
    "3", "null", "", "seed: abc", "model: null", "model: {layers: 0}", "model: {nope: 1}", "? [a]\n",
    "seed: !!python/object:os.system 1", "seed: !nope 1", "&a [*a]", "seed: *nope", "a: 1\na: 2",
    "defaults: 3", "defaults: [nope]", "defaults: [{nope: x}]", "defaults:\n  - override /model: nope",
    "defaults: [/model: null]", "defaults:\n  - override /data: post\nseed: 1", "1: 2", "true: x",
    f"seed: {'9' * 5000}", "seed: .nan", "optimizer: {lr: .inf}", "seed: 2026-01-01",
    "\ufeffseed: 3", "seed: \u2028", "seed: ${nope}", "seed: ${", "hydra: null", "hydra: {run: 3}",
    "hydra: {sweeper: {params: {'': 1}}}", "hydra: {sweeper: {params: {1: '1,2'}}}",
    "hydra: {sweeper: {params: {seed: 'range(1,nan)'}}}", "hydra: {sweeper: {params: [seed]}}",
    "hydra: {sweeper: {params: {hydra.sweeper.workers: '1,2'}}}", "hydra: {sweeper: null}",
    "hydra: {sweeper: {sampler: 3}}", "hydra: {callbacks: {x: {_target_: nope.X}}}",
    "tracking: {root: [1]}", "tracking: {root: 'a\\0b'}", "x" * 70000, "[" * 3000,
    "a: " + "{b: " * 300 + "1" + "}" * 300,
)  # fmt: skip
NAMES = ("finished", "fin", "finished/0", "finished/99", "nope", "", "/", "..", "x" * 5000, "a\nb",
         "multirun/finished", "/nope", "0", "-1", "\u00e4", "finished/x", "finished/" + "9" * 5000)  # fmt: skip
ROOTS = (
    "multirun",
    "/nope",
    "",
    "x" * 300,
    "given/file.txt",
    "/proc/nope",
    ".",
    "x/" * 3000,
    "a\nb",
)
URIS = (
    "nope",
    "file:./x",
    "http://127.0.0.1:9",
    "sqlite:///nope.db",
    "databricks://x",
    "",
    "x" * 3000,
)


def _pairs(keys: Sequence[str], values: Sequence[str], prefix: str = "") -> st.SearchStrategy[str]:
    return st.builds(
        lambda k, v: f"{prefix}{k}={v}", st.sampled_from(keys), st.sampled_from(values)
    )


_WRONG = st.one_of(
    _pairs(COUNTS, NO_COUNT),
    _pairs(COUNTS, ("0",)),
    _pairs(SEEDS, NO_COUNT),
    _pairs(AMOUNTS, NO_AMOUNT),
    _pairs(SWITCHES, NO_SWITCH),
    _pairs(TEXTS, NO_TEXT),
    _pairs(SECTIONS, NO_SECTION),
    _pairs(GROUPS, NO_GROUP),
    st.sampled_from(NO_GRAMMAR),
    st.sampled_from(NO_KEY),
)
_WRONG_SWEEP = st.one_of(
    st.sampled_from(NO_SWEEP),
    _pairs(SWEEP_COUNTS, [v for v in NO_COUNT if v not in ("-1", "'3'")], "hydra.sweeper."),
    _pairs(SWEEP_AMOUNTS, [v for v in NO_AMOUNT if v != "'0.5'"], "hydra.sweeper."),
    _pairs(SAMPLER_COUNTS, [v for v in NO_COUNT if v != "1e3"], "hydra.sweeper.sampler."),
)
_ODD = st.text(
    st.sampled_from("abz019 =,:.[]{}()'\"\\$@+~-_/*#!%&|<>\u00e4\u6f22\u202e\t"), max_size=30
)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """Return a valid override with letters removed, doubled or replaced."""
    text = draw(st.sampled_from(VALID + VALID_SPACE))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(text) - 1)))
        change = draw(
            st.sampled_from(["", text[place : place + 1] * 2, "=", "'", "{", ",", "\u00e4"])
        )
        text = text[:place] + change + text[place + 1 :]
    return text


def _together(wrong: str, others: list[str], place: int) -> list[str]:
    words = wrong.split(" hydra.")
    words = [words[0], *(f"hydra.{word}" for word in words[1:])]
    # Of two values for a key, the last is taken.
    kept = [
        each
        for each in others
        if each.partition("=")[0] not in {w.partition("=")[0] for w in words}
    ]
    return [*kept[:place], *words, *kept[place:]]


_OTHERS = st.lists(
    st.sampled_from(["tracking=none", "artifacts.trials=all", "unfair=true"]), max_size=2
)


@st.composite
def _wrong_run(draw: st.DrawFn) -> Line:
    others = draw(_OTHERS)
    return Line("train", _together(draw(_WRONG), others, draw(st.integers(0, 2))), is_wrong=True)


@st.composite
def _wrong_sweep(draw: st.DrawFn) -> Line:
    wrong = draw(st.one_of(_WRONG, _WRONG_SWEEP, st.sampled_from(NO_SPACE)))
    space = draw(st.sampled_from(["seed=1,2", "model.dropout=interval(0,0.5)"]))
    words = _together(wrong, [space, *draw(_OTHERS)], draw(st.integers(0, 2)))
    return Line("train", ["-m", *words], is_wrong=True)


@st.composite
def _wrong_plain(draw: st.DrawFn) -> Line:
    space = draw(st.sampled_from(["x=1,2", "x=interval(0,1)", "x=range(0,3)"]))
    words = _together(draw(_WRONG_SWEEP), [space], draw(st.integers(0, 1)))
    return Line("plain", ["-m", *words], is_wrong=True)


@st.composite
def _any_run(draw: st.DrawFn) -> Line:
    words = draw(st.lists(st.one_of(st.sampled_from(VALID), _mutated(), _ODD, _WRONG), max_size=3))
    flags = draw(st.one_of(st.just(()), st.sampled_from(FLAGS)))
    return Line("train", [*flags, *words])


@st.composite
def _any_sweep(draw: st.DrawFn) -> Line:
    words = draw(
        st.lists(
            st.one_of(st.sampled_from(VALID + VALID_SPACE), _mutated(), _ODD, _WRONG_SWEEP),
            min_size=1,
            max_size=3,
        )
    )
    return Line(draw(st.sampled_from(["train", "plain"])), ["-m", *words])


@st.composite
def _of_file(draw: st.DrawFn) -> Line:
    text = draw(st.one_of(st.sampled_from(YAML_TEXTS), _ODD))
    if draw(st.booleans()):
        text = f"# @package _global_\n{text}"
    words = ["--config-dir", "given", "experiment=mine"]
    if draw(st.booleans()):
        words = [*words[:2], "-m", words[2], "seed=1,2"]
    return Line("train", words, {FILE: text})


@st.composite
def _of_command(draw: st.DrawFn) -> Line:
    name = st.sampled_from(NAMES)
    root = draw(st.one_of(st.just([]), st.sampled_from(ROOTS).map(lambda each: ["--root", each])))
    uri = draw(st.one_of(st.just([]), st.sampled_from(URIS).map(lambda each: ["--uri", each])))
    number = draw(st.sampled_from(["0", "99", "-1", "abc", "9" * 5000, "1.5", ""]))
    arguments = draw(
        st.one_of(
            st.builds(lambda: ["list", *root]),
            st.builds(lambda: ["list", "--json", *root]),
            st.builds(lambda n: ["show", n, *root], name),
            st.builds(lambda n: ["show", n, "--json", *root], name),
            st.builds(lambda a, b: ["compare", a, b, *root], name, name),
            st.builds(lambda n: ["rerun", n, number, *root], name),
            st.builds(lambda n: ["replicate", n, "--seeds", number, *root], name),
            st.builds(lambda n: ["replicate", n, *root, "--", "nope", "seed="], name),
            st.builds(lambda n: ["export", n, *root], name),
            st.builds(lambda n: ["export", n, "--output", n, *root], name),
            st.builds(lambda n: ["promote", n, *root, *uri], name),
            st.builds(lambda n: ["predict", n, "--output", "out.csv", *root, *uri], name),
            st.builds(lambda n: ["predict", "given/file.txt", "--run", n, *root], name),
            st.builds(lambda: ["sync", *root, *uri]),
            st.builds(lambda: ["audit", *root, *uri]),
            st.builds(lambda: ["ui", "--port", number, *root, *uri]),
            st.lists(_ODD, max_size=3),
        )
    )
    return Line("sinesweep", arguments, {"given/file.txt": "1,2,3\n"})


def lines() -> st.SearchStrategy[Line]:
    """Return the strategy of the campaign."""
    return st.one_of(
        _wrong_run(),
        _wrong_sweep(),
        _wrong_plain(),
        _any_run(),
        _any_sweep(),
        _of_file(),
        _of_command(),
    ).filter(lambda line: not any("\0" in word for word in line.arguments))
