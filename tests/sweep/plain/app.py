"""A plain Hydra application, as the tests sweep it: a function that can be told to misbehave."""

import os
import signal
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import sinesweep
from sinesweep.interruption import interruptible

sys.path.insert(0, str(Path(__file__).parent))  # some tests run this file from another script
import hostile


def _raise() -> None:
    raise ValueError("it broke at https://bob:hunter2@example.org/")


def _hang() -> None:
    while True:
        time.sleep(60)


def _prune() -> None:
    raise sinesweep.TrialPruned


def _stop() -> None:
    with interruptible():  # as a training under Lightning is
        os.kill(os.getpid(), signal.SIGTERM)


def _scribble() -> None:
    folder = Path(HydraConfig.get().runtime.output_dir).parents[1]
    with (folder / "study.journal").open("ab") as journal:
        journal.write(b"garbage\nhalf a line")
    for name in ("sampler.pickle", "sweep.lock", "state.json"):
        (folder / name).write_bytes(b"garbage\xff")


def _truncate() -> None:
    folder = Path(HydraConfig.get().runtime.output_dir).parents[1]
    os.truncate(folder / "study.journal", 10)


MISDEEDS = {
    "scribble": _scribble,
    "truncate": _truncate,
    "raise": _raise,
    "exit": lambda: sys.exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "stop": _stop,
    "hang": _hang,
    "prune": _prune,
    "breakpoint": breakpoint,
    "input": input,
    **hostile.MISDEEDS,
}
RETURNED = {
    "not_a_number": float("nan"),
    "infinite": float("inf"),
    "nothing": None,
    "two": (1.0, 2.0),
}


def wait_for(gate: Path) -> None:
    """Report until a file is there."""
    step = 0
    trial = sinesweep.current_trial()
    while not gate.exists():
        trial.report(0.0, step)
        step += 1
        time.sleep(0.005)


def value_of(cfg: DictConfig) -> object:
    """Return what a trial comes to that does not misbehave."""
    value = (cfg.x - 1) ** 2 + cfg.y + cfg.seed
    return (value, -cfg.x) if cfg.objectives == 2 else value


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> object:
    """Return ``(x - 1) ** 2 + y``, or misbehave where ``x`` is ``when``."""
    print(f"trial {sinesweep.current_trial().number} x={cfg.x}")  # noqa: T201 # to its log
    print("threads", os.environ.get("OMP_NUM_THREADS"), os.environ.get("MKL_NUM_THREADS"))  # noqa: T201
    with Path(cfg.calls).open("a") as file:
        file.write(f"{cfg.x} {cfg.y} {cfg.seed} {os.getpid()}\n")
    if cfg.check_state:
        hostile.check_state()
    if cfg.gate and cfg.x >= cfg.gated_from:
        wait_for(Path(cfg.gate))
    for step in range(cfg.steps):
        sinesweep.current_trial().report(abs(cfg.x - 1) + 1 / (1 + step), step)
        if sinesweep.current_trial().should_prune() and not cfg.heedless:
            raise sinesweep.TrialPruned
        time.sleep(cfg.pause)
    if cfg.misbehave and cfg.x == cfg.when:
        if cfg.misbehave in RETURNED:
            return RETURNED[cfg.misbehave]
        MISDEEDS[cfg.misbehave]()
    return value_of(cfg)


if __name__ == "__main__":
    main()
