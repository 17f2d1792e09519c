"""The sweeper's keys and defaults, and the presets of samplers and pruners.

What is null is left to Optuna's own default. Arguments that are not listed can be given all the
same: ``hydra.sweeper.sampler.gamma=...``, and so can another class with arguments of its own:
``hydra.sweeper.sampler='{_target_: mine.Sampler, extra: 7}'``. What the chosen preset, or a sweep's
file, says and the class does not know must be null then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from hydra_plugins.sinesweep_sweeper import optuna_sweeper


@dataclass
class RayConf:
    """Keys of ``hydra.sweeper.ray``: the cluster, and what each worker takes of it."""

    address: str | None = None  # host:port, or auto; null: a cluster of this machine's own
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    resources: Any = None  # custom ones: {name: amount}
    runtime_env: Any = None  # Ray's: working_dir, pip, env_vars, ...


@dataclass
class SinesweepConf:
    """Keys of ``hydra.sweeper``. Those that hydra-optuna-sweeper has mean what they mean there.

    Numbers and switches have no type here: :mod:`sinesweep.sweep.settings` checks them, and says
    what is wrong in the sweep's own way, where Hydra would refuse to compose.
    """

    _target_: str = "hydra_plugins.sinesweep_sweeper.sweeper.SinesweepSweeper"
    _recursive_: bool = False  # sampler and pruner are built when the sweep has been checked
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    sampler: Any = MISSING
    pruner: Any = MISSING

    # what is searched
    # minimize or maximize, or a list, one for each value that the function returns; null: minimize
    direction: Any = None
    directions: Any = None  # another name for a list of directions
    params: Any = None  # key: value in the override grammar, e.g. model.width: range(8, 65, 8)
    custom_search_space: str | None = None  # function of (config, optuna trial)
    repeats: Any = 1  # evaluate each point under so many seeds; the study is told the mean
    seed_key: str = "seed"  # the key that repeats change
    deduplicate: Any = True  # no point is evaluated twice; false: as often as it is proposed

    # how long
    n_trials: Any = None  # the total; null: every combination, or 20 where there is no end
    timeout: Any = None  # seconds for the sweep
    # one of Optuna's that needs no cross-validation: {_target_: optuna.terminator.Terminator,
    # improvement_evaluator: {_target_: optuna.terminator.BestValueStagnationEvaluator}}
    terminator: Any = None

    # on what
    workers: Any = None  # processes; null: n_jobs, or else one for each core
    n_jobs: Any = None
    # processes of this machine; ray: actors on a cluster; inline: the command itself, with its
    # terminal, for breakpoint() and input()
    backend: str = "local"
    ray: Any = field(default_factory=RayConf)
    slots: Any = 1  # trials that each worker trains together
    fused: str | None = None  # the module that can: see sinesweep.sweep.together
    unfused: str = "serial"  # a trial that has no fused form is run alone, or: refuse

    # what when a trial fails
    on_failure: str = "continue"  # or abort
    retries: Any = 0  # run a failed trial again so often
    max_failure_rate: Any = 1.0  # end the sweep when more than this share of n_trials failed
    trial_timeout: Any = None  # seconds for one trial

    # where
    study_name: str | None = None  # null: the sweep file's name, or one drawn from what is swept
    # null: a journal in the sweep's folder; or journal:///a/file, an Optuna storage URL, or
    # postgresql://user@host/database, where the same command on other machines shares the work
    storage: Any = None
    lease: Any = 60.0  # seconds without a sign of life until others take over one's trials
    root: str = "multirun"  # the sweep's folder is in it, unless hydra.sweep.dir names one
    tracking: Any = None  # backend, uri, root and experiment of MLflow; null: no tracker
    preload: list[str] = field(default_factory=list)  # modules that all workers share
    # keys that are hidden in all outputs besides those that are called like secrets, and keys that
    # are shown although they are: a key stands for all keys that end with it
    redacted_keys: Any = field(default_factory=list)
    visible_keys: Any = field(default_factory=list)
    report: Any = True  # write report.html while the sweep runs, if plotly is installed
    stream: Any = False  # show what trials print, each line with its trial's number

    # keys of older releases of hydra-optuna-sweeper: what replaces them is said
    search_space: Any = None
    optuna_config: Any = None

    # the application's own look at a sweep before it begins: a function of
    # (sample configurations, swept keys, objectives) that raises sinesweep.InputError
    check: str | None = None


_SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {
        "_target_": "optuna.samplers.TPESampler",
        "seed": None,
        "n_startup_trials": None,
        "n_ei_candidates": None,
        "multivariate": None,
        "group": None,
        "constant_liar": None,
    },
    "random": {"_target_": "optuna.samplers.RandomSampler", "seed": None},
    "grid": {"_target_": "sinesweep.sweep.sampling.Grid"},
    "cmaes": {
        "_target_": "optuna.samplers.CmaEsSampler",
        "seed": None,
        "n_startup_trials": None,
        "sigma0": None,
        "warn_independent_sampling": False,  # said once, before the sweep begins
    },
    "gp": {
        "_target_": "optuna.samplers.GPSampler",
        "seed": None,
        "n_startup_trials": None,
        "deterministic_objective": None,
        "warn_independent_sampling": False,
    },
    "nsgaii": {
        "_target_": "optuna.samplers.NSGAIISampler",
        "seed": None,
        "population_size": None,
        "mutation_prob": None,
        "crossover_prob": None,
        "swapping_prob": None,
    },
    "nsgaiii": {
        "_target_": "optuna.samplers.NSGAIIISampler",
        "seed": None,
        "population_size": None,
        "mutation_prob": None,
        "crossover_prob": None,
        "swapping_prob": None,
        "dividing_parameter": None,
    },
    "qmc": {
        "_target_": "optuna.samplers.QMCSampler",
        "seed": None,
        "qmc_type": None,
        "scramble": None,
        "warn_independent_sampling": False,
    },
}
_PRUNERS: dict[str, dict[str, Any]] = {
    "none": {"_target_": "optuna.pruners.NopPruner"},
    "median": {
        "_target_": "optuna.pruners.MedianPruner",
        "n_startup_trials": None,
        "n_warmup_steps": None,
        "interval_steps": None,
    },
    "asha": {
        "_target_": "optuna.pruners.SuccessiveHalvingPruner",
        "min_resource": None,
        "reduction_factor": None,
        "min_early_stopping_rate": None,
    },
    "hyperband": {
        "_target_": "optuna.pruners.HyperbandPruner",
        "min_resource": None,
        "max_resource": None,
        "reduction_factor": None,
    },
    "patient": {
        "_target_": "optuna.pruners.PatientPruner",
        "wrapped_pruner": {"_target_": "optuna.pruners.MedianPruner"},
        "patience": 5,
        "min_delta": None,
    },
}


_OLD_SWEEPER: dict[str, Any] = {
    "defaults": [{"sampler": "tpe"}],
    "_target_": optuna_sweeper.TARGET,
    "_recursive_": False,  # what it was given is not made: it says what to change
}


def register() -> None:
    """Tell Hydra's configuration store."""
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="sinesweep", node=SinesweepConf, provider="sinesweep")
    if optuna_sweeper.is_needed():
        node = OmegaConf.create(_OLD_SWEEPER, flags={"struct": False})  # takes any key
        store.store(group="hydra/sweeper", name="optuna", node=node, provider="sinesweep")
    for group, presets in (("sampler", _SAMPLERS), ("pruner", _PRUNERS)):
        path = f"hydra/sweeper/{group}"
        # Where hydra-optuna-sweeper is installed, too, its presets stay as it needs them.
        taken = _registered(store, path)
        for name, preset in presets.items():
            if f"{name}.yaml" not in taken:
                # Open, so that the command line may add arguments: their class says whether it
                # knows them. The grid would not say.
                node = OmegaConf.create(preset, flags={"struct": False} if name != "grid" else {})
                store.store(group=path, name=name, node=node, provider="sinesweep")


def _registered(store: ConfigStore, path: str) -> list[str]:
    try:
        return store.list(path)
    except OSError:  # no such group yet
        return []
