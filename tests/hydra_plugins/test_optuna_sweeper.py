from __future__ import annotations

from pathlib import Path

import pytest
from runner import Runner

TARGET = "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"
APP = """
import hydra

@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg):
    return cfg.x

if __name__ == "__main__":
    main()
"""
# As templates have it, once under the name of hydra-optuna-sweeper and once under the new one.
CONFIG = f"""
defaults:
  - override hydra/sweeper: NAME
x: 0
hydra:
  sweeper:
    _target_: {TARGET}
    n_trials: 3
    n_jobs: 1
    sampler:
      _target_: optuna.samplers.TPESampler
      seed: 3
    params:
      x: interval(0, 1)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    path = tmp_path / "app.py"
    path.write_text(APP)
    return path


def sweep(app: Path, runner: Runner, config: str, *arguments: str) -> str:
    """Run the application; return the only message, after checking that nothing was created."""
    (app.parent / "conf" / "config.yaml").write_text(config)
    done = runner.evaluate(
        f"import runpy, sys; sys.argv[:] = [{str(app)!r}, '-m', *{arguments!r}]; "
        f"runpy.run_path({str(app)!r}, run_name='__main__')"
    )
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    assert done.err.count("sinesweep: ") == 1
    assert sorted(path.name for path in app.parent.iterdir()) == ["app.py", "conf"]
    return done.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sinesweep", "hydra.sweeper._target_: must be left to hydra/sweeper=sinesweep, but is"),
        ("optuna", "hydra/sweeper: must be sinesweep, but is optuna, whose package"),
    ],
)
def test_class_of_another_sweeper_is_refused_with_the_fix(
    app: Path, runner: Runner, name: str, message: str
) -> None:
    """A file that names hydra-optuna-sweeper ends the command with what to change in it."""
    said = sweep(app, runner, CONFIG.replace("NAME", name))
    assert message in said
    if name == "sinesweep":
        assert f"remove the line from {app.parent / 'conf' / 'config.yaml'}" in said


def test_key_of_an_old_release_is_refused_with_its_new_name(app: Path, runner: Runner) -> None:
    """A search_space of hydra-optuna-sweeper 1.1 is refused with the key that replaced it."""
    config = CONFIG.replace("NAME", "sinesweep").replace("params", "search_space")
    config = "\n".join(line for line in config.splitlines() if TARGET not in line)
    said = sweep(app, runner, config)
    assert "hydra.sweeper.search_space: is a key of an older hydra-optuna-sweeper" in said
    assert "call params" in said
