"""One sweep before it begins: its name, folder, search space, and what makes it the same sweep."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import yaml
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sinesweep import command_line
from sinesweep.errors import InputError
from sinesweep.files import write_atomically
from sinesweep.redaction import (
    HIDDEN,
    redact,
    redact_address,
    redact_overrides,
    redact_tree,
)
from sinesweep.redaction.hydra import hide_in_folder_names
from sinesweep.sweep import space
from sinesweep.sweep.entry import run_name
from sinesweep.sweep.pins import Pin, find_pins, with_overrides
from sinesweep.sweep.repeats import Repeats
from sinesweep.sweep.rerun import SweepCommand, single_overrides
from sinesweep.sweep.settings import DEFAULT_TRIALS, GRID, Settings, Target
from sinesweep.sweep.space import Space
from sinesweep.sweep.together import FusedForm, find_form, overrides_of
from sinesweep.sweep.wording import error_text, one_line
from sinesweep.tracking.location import OF_A_RUN, OF_A_SWEEPER, Location, locate

if TYPE_CHECKING:
    from sinesweep.sweep.composing import Composer

DEFINITION_FILE = "sweep.yaml"
SWEEP_LOCK = "sweep.lock"
JOINED = "joined"  # in a sweep's folder: those of others that run it on the same file system
# Where a sweep is recorded, and what is made of a trial besides its value, may change.
_NOT_COMPARED = ("hydra", "tracking", "artifacts", "resume")
# Hydra's default: a folder that the same command would not find again.
_HYDRAS_OWN_FOLDER = "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}"
# Of the definition file.
_SECTIONS = {"study": dict, "command": dict, "values": list, "definition": dict}
_LONGEST_DIFFERENCE = 12
_ROOT_KEY = "tracking.root"
_SWEEPS = "sweeps"  # the group of files that say what is swept
_PACKAGE = re.compile(r"#\s*@package\b")  # Hydra's, not the reader's


@dataclass(frozen=True)
class Plan:
    """A sweep, checked.

    Attributes:
        settings: the keys of ``hydra.sweeper``.
        space: what is searched, what is fixed.
        name: the study's name.
        folder: where everything about the sweep is.
        context: Hydra's configuration loader and callbacks.
        config: the composed configuration of the command.
    """

    settings: Settings
    space: Space
    name: str
    folder: Path
    context: HydraContext
    config: DictConfig

    def with_workers(self, count: int) -> Plan:
        """Return the plan with so many workers."""
        return replace(self, settings=self.settings.model_copy(update={"workers": count}))

    @property
    def is_enumeration(self) -> bool:
        """Whether every combination is run once, in order, if the time for that is given."""
        settings = self.settings
        chosen = settings.n_trials or settings.custom_search_space
        return not chosen and self.space.size is not None

    @property
    def total(self) -> int | None:
        """How many trials the sweep has in all, or None where another budget ends it."""
        if self.is_enumeration:
            return self.space.size
        settings = self.settings
        has_other = settings.timeout or settings.terminator
        budget = settings.n_trials or (None if has_other else DEFAULT_TRIALS)
        limits = [limit for limit in (budget, self.points) if limit is not None]
        return min(limits, default=None)

    @property
    def points(self) -> int | None:
        """How many points there are, if each is evaluated once, or None: there is no such limit."""
        settings = self.settings
        once = settings.sampler.is_grid or settings.deduplicate
        return self.space.count if once and not settings.custom_search_space else None

    @property
    def is_distinct(self) -> bool:
        """Whether the sampler is made to propose each point of a finite space once."""
        return self.settings.deduplicate and self.points is not None

    @property
    def sampler(self) -> Target:
        """The sampler that proposes: every combination, in order, where nothing else is said."""
        return Target(_target_=GRID) if self.is_enumeration else self.settings.sampler

    @cached_property
    def unfused(self) -> Sequence[str | None]:
        """Why samples of the search space cannot be trained together with others; None: they can.

        Raises:
            InputError: nothing that could train them together was named, or it is none.
        """
        if self.settings.fused is None:
            return ["hydra.sweeper.fused names nothing that could"]
        form = find_form(self.settings.fused)
        points: list[Mapping[str, Any]] = [*self.space.corners()]
        if self.settings.custom_search_space:
            from sinesweep.sweep.custom_space import samples  # imports Optuna, as the function does

            points = [*samples(self)]  # a corner has not all keys
        return [self._refusal(form, self.sample(point)) for point in points]

    def _refusal(self, form: FusedForm, config: DictConfig) -> str | None:
        try:
            return form.refusal(config)
        except InputError:
            raise
        except Exception as error:  # the form's own
            raise InputError(
                f"hydra.sweeper.fused: {self.settings.fused} must say of any configuration whether "
                f"it can train it, but raises {one_line(error_text(error))}: mend its refusal()"
            ) from error

    @cached_property
    def slots(self) -> int:
        """How many trials a worker has at once: one, where none can be trained together."""
        slots = self.settings.slots
        return slots if slots == 1 or None in self.unfused else 1

    @property
    def places(self) -> int:
        """How many trials run at once."""
        return self.settings.processes * self.slots

    def directory(self, number: int) -> Path:
        """Return the folder of a trial."""
        return self.folder / "trials" / str(number)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the configuration that overrides make.

        Raises:
            hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: they make none.
        """
        return self.context.config_loader.load_sweep_config(self.config, list(overrides))

    def sample(self, point: Mapping[str, Any]) -> DictConfig:
        """Compose what a trial at a point would have, once, to be looked at beforehand.

        Raises:
            hydra.errors.HydraException, omegaconf.errors.OmegaConfBaseException: it makes none.
        """
        overrides = self.space.overrides(point)
        if overrides not in self._samples:
            self._samples[overrides] = self.job(
                self._composer.compose(overrides), 0, self.directory(0)
            )
        return self._samples[overrides]

    @cached_property
    def _composer(self) -> Composer:
        from sinesweep.sweep.composing import Composer  # it composes for a plan

        return Composer(self)

    @cached_property
    def _samples(self) -> dict[tuple[str, ...], DictConfig]:
        return {}

    def job(self, config: DictConfig, number: int, directory: Path) -> DictConfig:
        """Give a trial's composed configuration Hydra's keys for its job, without credentials.

        Hydra writes them into the trial's folder; the trial itself needs neither study nor tracker.
        """
        with open_dict(config):
            _hide_credentials(config)
            config.hydra.job.id = run_name(number)
            config.hydra.job.num = number
            config.hydra.sweep.dir = str(self.folder)
            config.hydra.sweep.subdir = str(directory.relative_to(self.folder))
        return config

    @cached_property
    def command(self) -> SweepCommand:
        """The command that continues the sweep, with credentials: as typed, with the pins."""
        typed = command_line.typed()
        arguments = with_overrides(typed.arguments, [pin.override for pin in self.pins])
        return SweepCommand(arguments, typed.interpreter, single_overrides(self))

    @cached_property
    def pins(self) -> Sequence[Pin]:
        """What a command that continues the sweep says of its place, in addition."""
        # What Hydra composed has lost interpolations that hydra.sweeper refers to.
        return find_pins(self.base, self.settings, self.name, self.folder)

    @cached_property
    def base(self) -> DictConfig:
        """The configuration with what is fixed and nothing of what is swept."""
        choices = self.config.hydra.runtime.choices
        if not any(OmegaConf.is_missing(choices, key) for key in self.space.dimensions):
            return self.compose(self.space.fixed)
        # A group that has no default (db: ???) is left out, as Hydra does for a multirun's own.
        found = self.context.config_loader.load_configuration(
            config_name=self.config.hydra.job.config_name,
            overrides=[*self.config.hydra.overrides.hydra, *self.space.fixed],
            run_mode=RunMode.MULTIRUN,
        )
        OmegaConf.copy_cache(from_config=self.config, to_config=found)
        return found

    @cached_property
    def repeats(self) -> Repeats | None:
        """The seeds that each point is evaluated under, or None where there is one."""
        key, count = self.settings.seed_key, self.settings.repeats
        if count == 1:
            return None
        first = int(OmegaConf.select(self.base, key))
        return Repeats(key, tuple(range(first, first + count)))

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What makes this sweep the same sweep, without credentials."""
        # A sweep may be continued with slots, or without.
        how = overrides_of(self.settings.fused) if self.settings.fused else ()
        ignored = {*_NOT_COMPARED, *(each.lstrip("+~").partition("=")[0] for each in how)}
        plain = OmegaConf.to_container(self.base, resolve=False, enum_to_str=True)
        assert isinstance(plain, dict)
        found = {
            "objectives": list(self.settings.objectives),
            "space": dict(self.space.written),
            "custom_search_space": self.settings.custom_search_space,
            "repeats": self.settings.repeats,
            "config": {str(k): v for k, v in plain.items() if k not in ignored},
        }
        return redact_tree(_plain(found))

    def refuse_change(self) -> None:
        """Refuse to go on with a folder that holds another sweep.

        Raises:
            InputError: showing what differs.
        """
        path = self.folder / DEFINITION_FILE
        if path.exists():
            self.refuse_other(read_definition(path)["definition"])

    def refuse_other(self, definition: Mapping[str, Any]) -> None:
        """Refuse to go on with a sweep that was begun with another definition.

        Raises:
            InputError: showing what differs.
        """
        before = dict(_flat(definition))
        now = dict(_flat(self.definition))
        changed = [key for key in {**before, **now} if not _is_same(before.get(key), now.get(key))]
        if not changed:
            return
        lines = [f"  {key}: {_shown(before, key)} -> {_shown(now, key)}" for key in changed]
        more = len(lines) - _LONGEST_DIFFERENCE
        raise InputError(
            f"sweep {self.name}: must be continued as it was begun, but differs:\n"
            + "\n".join(lines[:_LONGEST_DIFFERENCE] + [f"  and {more} more"] * (more > 0))
            + f"\ncontinue it with the old values, or begin another: {other_name(self.name)}"
        )

    def save_definition(self) -> None:
        """Write the definition, and the command that began it, into the sweep's folder, once."""
        path = self.folder / DEFINITION_FILE
        if not path.exists():
            storage = self.settings.storage
            kept = storage.target if isinstance(storage, Target) else storage
            content = {
                "study": {"name": self.name, "storage": kept and redact_address(kept)},
                "command": {
                    "interpreter": list(self.command.interpreter),
                    "arguments": list(self.command.redacted.arguments),
                    "single": redact_overrides(self.command.single),
                    "directory": str(Path.cwd()),
                    "fixed": redact_overrides(self.space.fixed),
                    "seed_key": self.settings.seed_key,
                },
                "tracking": self._tracking(),
                "redaction": {
                    "redacted_keys": self.settings.redacted_keys,
                    "visible_keys": self.settings.visible_keys,
                },
                "values": self.objective_names,
                "question": question(self.config),
                "definition": self.definition,
            }
            write_atomically(path, yaml.safe_dump(content, sort_keys=False).encode())

    @property
    def location(self) -> Location | None:
        """The tracker, or None if the sweep has none."""
        tracking = self.settings.tracking
        if tracking is None or not self.settings.is_tracked:
            return None
        # The fix "tracking=none" needs that group.
        has_group = "none" in self.context.config_loader.get_group_options("tracking")
        keys = OF_A_RUN if has_group else OF_A_SWEEPER
        return locate(tracking.uri, Path(tracking.root), keys)

    def _tracking(self) -> dict[str, Any] | None:
        """Return where the sweep is recorded, without credentials, and the key that says so."""
        tracking = self.settings.tracking
        if tracking is None:
            return None
        is_own = OmegaConf.select(self.base, _ROOT_KEY, default=None) == tracking.root
        return {
            "root": str(Path(tracking.root).absolute()),
            "root_key": _ROOT_KEY if is_own else f"hydra.sweeper.{_ROOT_KEY}",
            "uri": tracking.uri and redact_address(tracking.uri),
        }

    @property
    def objective_names(self) -> list[str]:
        """What a trial's values are called."""
        return objective_names(self.base, len(self.settings.objectives))


def _hide_credentials(config: DictConfig) -> None:
    hide_in_folder_names(config)
    hydra = config.hydra
    hydra.overrides.hydra = redact_overrides(hydra.overrides.hydra)
    for section, key in (("sweeper", "storage"), ("sweeper", "tracking"), ("sweeper", "params")):
        written = OmegaConf.to_container(hydra[section], resolve=False)
        assert isinstance(written, dict)
        shown = redact_tree(written.get(key))
        if shown != written.get(key):
            hydra[section][key] = shown


def read_definition(path: Path) -> Mapping[str, Any]:
    """Read a sweep's definition file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section, kind in _SECTIONS.items():
            if not isinstance(content[section], kind):
                raise TypeError(f"{section} is {content[section]!r}")
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        # The name of a key alone says nothing; the repr of the others can hold the whole file.
        detail = repr(error) if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: must be what this version writes of a sweep, but is not "
            f"({one_line(detail)}): no trial is lost; delete the file and repeat the command "
            "that began the sweep, which writes it again"
        ) from error
    return content


def other_name(name: str) -> str:
    """Return an override that makes another sweep of a command."""
    return f"hydra.sweeper.study_name={name}-2"


def make(
    settings: Settings, arguments: Sequence[str], config: DictConfig, context: HydraContext
) -> Plan:
    """Make the plan of a command.

    Raises:
        InputError: the search space cannot be read, or sweeps over sweeps.
    """
    found = space.read(settings.params or {}, arguments, context.config_loader)
    _refuse_sweep_of_sweeps(found, config)
    name = settings.study_name or _sweep_file(config) or _drawn_name(found, settings, config)
    found = _with_overrides_of_form(found, settings)
    return Plan(settings, found, name, _folder(name, settings, config), context, config)


def _with_overrides_of_form(found: Space, settings: Settings) -> Space:
    """Have trials say that they are trained together, unless the command says otherwise."""
    if settings.slots == 1 or settings.fused is None:
        return found
    said = {line.lstrip("+~").partition("=")[0] for line in (*found.fixed, *found.written)}
    more = [o for o in overrides_of(settings.fused) if o.lstrip("+~").partition("=")[0] not in said]
    return replace(found, fixed=(*found.fixed, *more))


def _refuse_sweep_of_sweeps(found: Space, config: DictConfig) -> None:
    key = next((key for key in found.written if key.lstrip("+").split("@")[0] == _SWEEPS), None)
    if key is not None and _SWEEPS in config.hydra.runtime.choices:
        raise InputError(
            f"{_SWEEPS}: must name one sweep, but is {found.written[key]}: a sweep's file says "
            "what is swept, so run a command for each"
        )


def _sweep_file(config: DictConfig) -> str | None:
    chosen = config.hydra.runtime.choices.get(_SWEEPS)
    return str(chosen).replace("/", "-") if chosen else None


def question(config: DictConfig) -> str | None:
    """Return the comment at the top of the sweep's file, as one paragraph, if it has one."""
    chosen = config.hydra.runtime.choices.get(_SWEEPS)
    for source in config.hydra.runtime.config_sources if chosen else ():
        path = Path(source.path) / _SWEEPS / f"{chosen}.yaml"
        if source.schema == "file" and path.is_file():
            return _top_comment(path.read_text(encoding="utf-8"))
    return None


def _top_comment(text: str) -> str | None:
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    words = [line.lstrip("# ").strip() for line in lines if not _PACKAGE.match(line)]
    return redact(" ".join(words).strip()) or None


def _drawn_name(found: Space, settings: Settings, config: DictConfig) -> str:
    """Draw a name from the command, so that the same command finds its sweep again."""
    fixed = [
        line
        for line in redact_overrides(found.fixed)
        if not line.lstrip("+~").startswith(_NOT_COMPARED)
    ]
    command = [config.hydra.job.config_name, dict(found.written), fixed, settings.objectives]
    if settings.custom_search_space:
        command.append(settings.custom_search_space)
    digest = hashlib.sha256(json.dumps(command).encode()).hexdigest()[:6]
    words = [key.split("@")[0].replace("/", ".").rpartition(".")[2] for key in found.dimensions]
    return "-".join([*(word.lstrip("+") for word in words[:4] or ["sweep"]), digest])


def _folder(name: str, settings: Settings, config: DictConfig) -> Path:
    raw = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(raw, dict)
    if raw["dir"] != _HYDRAS_OWN_FOLDER:
        return Path(config.hydra.sweep.dir)
    return Path(settings.root) / name


def objective_names(config: DictConfig, count: int) -> list[str]:
    """Return what that many values are called: metrics, where the configuration names them."""
    for key in ("returns", "objective"):
        names = _names(config, key)
        if len(names) == count:
            return names
    return ["value"] if count == 1 else [f"value_{index}" for index in range(count)]


def _names(config: DictConfig, key: str) -> list[str]:
    """Return the names under a key; another application may mean anything by it."""
    try:
        found = OmegaConf.select(config, key)
    except OmegaConfBaseException:
        return []  # each trial says what is wrong with it, if it needs it
    names = list(found) if isinstance(found, ListConfig) else [found]
    return names if all(isinstance(name, str) and name for name in names) else []


def _plain(tree: Any) -> Any:
    """Return a tree as JSON and YAML hold it; other values, such as bytes, as their texts."""
    if isinstance(tree, Mapping):
        return {_plain_text(key): _plain(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_plain(value) for value in tree]
    return tree if tree is None or type(tree) in (str, int, float, bool) else _plain_text(tree)


def _plain_text(value: Any) -> str:
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, (str, int, float, PurePath)):
        return str(value)
    # The text of any other object may hold its address, which differs from process to process.
    kind = type(value)
    return repr(value) if kind is bytes else f"{kind.__module__}.{kind.__qualname__}"


def _flat(tree: Any, prefix: str = "") -> Sequence[tuple[str, Any]]:
    if not isinstance(tree, Mapping) or not tree:
        return [(prefix.removesuffix("."), tree)]
    return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}{key}.")]


def _is_same(before: Any, now: Any) -> bool:
    """Whether two values are one; what is hidden in them depends on who runs the sweep where."""
    if before == now:
        return True
    if not (isinstance(before, str) and isinstance(now, str)):
        return False
    return _is_hidden(before, now) or _is_hidden(now, before)


def _is_hidden(shown: str, whole: str) -> bool:
    parts = map(re.escape, shown.split(HIDDEN))
    return HIDDEN in shown and re.fullmatch(".*".join(parts), whole, re.DOTALL) is not None


def _shown(flat: Mapping[str, Any], key: str) -> str:
    return repr(flat[key]) if key in flat else "(not there)"
