"""Two fixed lists of trials, and the reference task under a sweep that goes through one of them.

python benchmarks/listed.py -m seed=range(0,256) overrides...

``seed`` is a trial's place in the list and its own seed; the keys of :data:`KEYS` follow from it
through :func:`overrides`. So any sweeper can go through a list, in any order and in parts.
"""

from __future__ import annotations

from functools import cache

from omegaconf import DictConfig, OmegaConf

from sinesweep import cli
from sinesweep.seeds import generator

SEED = 0
LAYERS = (1, 3)
WIDTHS = {"narrow": (8, 24), "wide": (8, 64)}
RATES = (1e-3, 3e-2)
KEYS = {"layers": "model.layers", "width": "model.width", "lr": "optimizer.lr"}


@cache
def trial(name: str, index: int) -> dict[str, float]:
    """Return a trial of a list.

    Args:
        name: ``narrow`` or ``wide``.
        index: its place, from 0; a longer list begins as a shorter one does.

    Returns:
        ``layers`` and ``width``, uniform among the integers, and ``lr``, log-uniform.
    """
    drawn = generator(SEED, name, index)
    low, high = RATES
    return {
        "layers": int(drawn.integers(*LAYERS, endpoint=True)),
        "width": int(drawn.integers(*WIDTHS[name], endpoint=True)),
        "lr": low * (high / low) ** float(drawn.random()),
    }


def overrides(name: str) -> list[str]:
    """Return what makes the task's keys follow from the seed."""
    return [f"{key}='${{listed:{name},{short},${{seed}}}}'" for short, key in KEYS.items()]


def run(cfg: DictConfig) -> float | tuple[float, ...] | None:
    """Train one trial, in a process that has imported this."""
    return cli._run(cfg)


OmegaConf.register_new_resolver("listed", lambda name, key, index: trial(name, index)[key])

if __name__ == "__main__":
    cli.main()
