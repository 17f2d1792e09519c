"""The command line of one run: Hydra composes, this checks, trains, and says what went wrong."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sinesweep import command_line, distributed, fairness, preflight, refusal, runs
from sinesweep import config as schema
from sinesweep.errors import (
    EXIT_FAILED,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    ForecastFault,
    InputError,
    Interrupted,
)
from sinesweep.files import refused_number, unwritable
from sinesweep.fused.reference import is_trained_together
from sinesweep.interruption import interruptible
from sinesweep.modules import add_folders
from sinesweep.output import protect_log_files, protect_output
from sinesweep.redaction import (
    HIDDEN,
    learn_overrides,
    redact,
    redact_error,
    redact_override,
    redact_overrides,
    redact_traceback,
    redacted_command,
    refuse_placeholders,
    user_rules,
)
from sinesweep.redaction.hydra import hide_in_folder_names, prepare_redaction, redacted_files
from sinesweep.sweep.rerun import SINGLE, config_flags
from sinesweep.sweep.trial import current_trial
from sinesweep.tracking import spool
from sinesweep.tracking.location import locate

if TYPE_CHECKING:
    pass

_PACKAGE = Path(__file__).parent
# In a wheel conf/ lies inside the package, in a checkout at its top.
CONFIG_DIRECTORY = (
    _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent.parent / "conf"
)
_FULL_ERROR = "HYDRA_FULL_ERROR"
_NO_NAME = re.compile(r"\s*(null|true|false|[-+.\d][\w.+-]*)\s*", re.IGNORECASE)
_SHOW = {"--cfg", "-c"}  # show the configuration, and run nothing
_MOST_DIGITS = sys.get_int_max_str_digits() or 4300  # that Python reads as a number
_LONG_NUMBER = re.compile(rf"\d{{{_MOST_DIGITS + 1}}}")
_OVERRIDE = re.compile(r"\w+(\.\w+)+=")


class Preflight(Callback):
    """Checks a run before Hydra makes its folder."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a wrong configuration; Hydra swallows exceptions here, but not SystemExit."""
        try:
            prepare_redaction(config, sys.argv[1:])
            hide_in_folder_names(config)
            if distributed.rank() > 0:
                return  # the first process has looked
            checked = _read(config, list(config.hydra.overrides.task))
            fairness.refuse_contradiction(checked, _sweeps_directions(config))
            preflight.check(checked)
            preflight.check_run_folder(config)
        except Exception as error:  # noqa: BLE001 # nothing has begun: it is about the input
            sys.exit(_refuse(error))


def _sweeps_directions(config: DictConfig) -> list[str]:
    """Return what a sweep of the same command would be judged by; none with another sweeper."""
    keys = ("hydra.sweeper.directions", "hydra.sweeper.direction")
    found = next((said for key in keys if (said := OmegaConf.select(config, key))), [])
    return [found] if isinstance(found, str) else list(found)


def main() -> None:
    """Run ``python src/train.py``."""
    protect_output()
    learn_overrides(sys.argv[1:])
    add_folders(sys.argv[1:])
    OmegaConf.register_new_resolver("sinesweep.run_directory", runs.directory, replace=True)
    OmegaConf.register_new_resolver(
        "sinesweep.new_name", runs.new_name, use_cache=True, replace=True
    )
    sys.argv[1:] = _with_secrets(sys.argv[1:])
    hydra_prints = os.environ.get(_FULL_ERROR) == "1"
    os.environ[_FULL_ERROR] = "1"  # have Hydra raise its errors instead of printing them
    # Hydra 1.4 warns of an argument that 1.3 asks for.
    version: dict[str, Any] = {}
    if metadata.version("hydra-core").startswith("1.3"):
        version["version_base"] = "1.3"
    try:
        refuse_placeholders(sys.argv[1:])
        with interruptible(), redacted_files():
            hydra.main(config_path=str(CONFIG_DIRECTORY), config_name="train", **version)(_run)()
    except SystemExit as leaving:
        # Hydra's own end of --cfg with a package that is not there.
        sys.exit(EXIT_INPUT if leaving.code == 1 and _SHOW & set(sys.argv) else leaving.code)
    except Exception as error:  # whatever the task raises ends in SystemExit: this is composition
        if hydra_prints:
            raise
        _remove_folder_of_refused_run()
        sys.exit(_refuse(_explained(error)))
    except KeyboardInterrupt:  # before anything began
        print("sinesweep: interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INTERRUPTED)
    finally:
        if not hydra_prints:
            os.environ.pop(_FULL_ERROR, None)


def _remove_folder_of_refused_run() -> None:
    """Remove the folder that Hydra made for a run before it refused a part of its own."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN:
        runtime = HydraConfig.get().runtime
        if not OmegaConf.is_missing(runtime, "output_dir") and Path(runtime.output_dir).is_dir():
            _remove_unused(Path(runtime.output_dir))


def _explained(error: Exception) -> Exception:
    """Name the override at fault if Hydra's own error does not."""
    if isinstance(error, (HydraException, OmegaConfBaseException, InputError)):
        return error
    for word in sys.argv[1:]:
        key, _, value = word.lstrip("+").partition("=")
        folder = CONFIG_DIRECTORY / key.partition("@")[0]
        if key and folder.is_dir() and _NO_NAME.fullmatch(value):
            names = " or ".join(sorted(path.stem for path in folder.glob("*.yaml")))
            return InputError(
                f"{key}: must name a file of the group{names and f', {names}'}, but is "
                f"{schema.shown(value)}: give a name"
            )
        if _LONG_NUMBER.search(value):
            return InputError(f"{key}: must have at most {_MOST_DIGITS} digits, but has more")
    return error


def _with_secrets(arguments: list[str]) -> list[str]:
    """Let the secrets of a continued run be given by their plain keys.

    Its model need not be the one that is composed beside them, and may have keys of its own.
    """
    if not any(argument.startswith("resume=") for argument in arguments):
        return arguments
    return [
        f"++{argument}" if _OVERRIDE.match(argument) and _holds_secret(argument) else argument
        for argument in arguments
    ]


def _holds_secret(word: str) -> bool:
    return HIDDEN in redact_override(word)


def _run(cfg: DictConfig) -> float | tuple[float, ...] | None:
    """Train one run; leave by SystemExit, since Hydra would print overrides with credentials."""
    protect_log_files()
    hydra_config = HydraConfig.get()
    directory = Path(hydra_config.runtime.output_dir)
    if hydra_config.job.chdir:  # paths of the command line are of the folder that it was typed in
        typed_in = Path(hydra_config.runtime.cwd)
        directory = typed_in / directory
        cfg.tracking.root = str(typed_in / cfg.tracking.root)
    overrides = list(hydra_config.overrides.task)
    if current_trial().is_managed:
        return _train(cfg, directory, overrides)  # the sweep says how it ended
    try:
        return _train(cfg, directory, overrides)
    except InputError as error:
        _remove_unused(directory)
        sys.exit(_refuse(error))
    except Interrupted as interrupted:
        whole = not is_trained_together(_read(cfg, overrides))
        sys.exit(_say_how_to_continue(interrupted, directory, overrides, is_kept=whole))
    except Exception as error:  # noqa: BLE001 # whatever the user's training raised
        if fault := refused_number(error) and unwritable(error):
            whole = not is_trained_together(_read(cfg, overrides))
            _say_how_to_continue(redact_error(fault), directory, overrides, is_kept=whole)
            sys.exit(EXIT_FAILED)
        said = (
            f"sinesweep: {redact(str(error))}"
            if isinstance(error, ForecastFault)
            else redact_traceback(error)
        )
        print(said, file=sys.stderr)  # noqa: T201
        _remove_unused(directory)
        where = f"; its folder is {directory}" if directory.exists() else " before it began"
        print(f"sinesweep: the run failed{where}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_FAILED)


def _train(
    cfg: DictConfig, directory: Path, overrides: list[str]
) -> float | tuple[float, ...] | None:
    config = _read(cfg, overrides)
    from sinesweep.training.result import returned, show
    from sinesweep.training.serial import train

    name = config.tracking.run_name or ", ".join(
        override
        for override in redact_overrides(overrides)
        if not override.startswith(("tracking.", "artifacts."))
    )
    result = train(config, directory, name=name[:200] or "defaults")
    if result is None:
        return None
    show(result, config.settings.objective, _ui_command(config))
    if not result.tracked:
        tracking = config.tracking
        print(spool.warning(directory, tracking.root, tracking.uri), file=sys.stderr)  # noqa: T201
    return returned(config, result)


def _read(cfg: DictConfig, overrides: list[str]) -> schema.Config:
    schema.refuse_without_effect(cfg, overrides)
    if cfg.get("resume") is not None:
        return schema.parse(runs.continued(cfg, overrides))
    return schema.parse(cfg)


def _ui_command(config: schema.Config) -> str | None:
    if config.tracking.backend == "none":
        return None
    location = locate(config.tracking.uri, Path(config.tracking.root))
    if location.uri.startswith("http"):
        return location.shown
    return "sinesweep ui" + spool.place(config.tracking.root, config.tracking.uri)


def _refuse(error: Exception) -> int:
    print(f"sinesweep: {refusal.message(error)}", file=sys.stderr)  # noqa: T201
    return EXIT_INPUT


def _say_how_to_continue(
    interrupted: Interrupted | str, directory: Path, overrides: list[str], *, is_kept: bool
) -> int:
    _remove_unused(directory)
    print(f"\nsinesweep: interrupted ({interrupted})", file=sys.stderr)  # noqa: T201
    if not is_kept:
        print(  # noqa: T201
            "it cannot be continued, since with together=true a run keeps its best epoch alone: "
            f"begin it again with\n  {command_line.typed().text}",
            file=sys.stderr,
        )
    elif directory.exists():
        run = directory.name.rpartition("-")[2]
        # Where to record, and what to make at the end, is not part of what was trained; secrets are
        # not kept.
        mark = "++" if user_rules() else ""  # not known before the run is read
        again = [
            f"{mark if _holds_secret(word) else ''}{word.lstrip('+')}"
            for word in overrides
            if word.startswith(("tracking", "artifacts")) or _holds_secret(word)
        ]
        again += [word for word in HydraConfig.get().overrides.hydra if word == SINGLE]
        typed = command_line.typed()
        flags = config_flags(typed.arguments[1:])  # modules of the user may be beside the files
        continuing = redacted_command([*typed.program, *flags, f"resume={run}", *again])
        print(f"continue with\n  {continuing}", file=sys.stderr)  # noqa: T201
    return EXIT_INTERRUPTED


def _remove_unused(directory: Path) -> None:
    """Remove the folder of a run that was refused before it began, and folders it alone was in."""
    from sinesweep.tracking import record

    if (directory / record.FILE_NAME).exists():
        return
    shutil.rmtree(directory)
    for folder in (directory.parent, directory.parent.parent):
        if any(folder.iterdir()):
            return
        folder.rmdir()
