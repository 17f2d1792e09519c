"""The search space: Hydra's override grammar as dimensions, without importing Optuna.

``a=1,2`` and ``choice(1,2)`` are choices; ``range(1,4)`` is 1, 2, 3 (the stop is excluded, as
Hydra does); ``interval(0,1)`` and ``int(interval(1,9))`` include both ends; ``tag(log, ...)``
makes an interval logarithmic. Everything else on the command line is fixed for the whole sweep.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
    Transformer,
)
from hydra.errors import HydraException, OverrideParseException

from sinesweep.config import shown
from sinesweep.errors import InputError
from sinesweep.redaction import (
    HIDDEN,
    is_secret,
    is_storable,
    learn_overrides,
    redact,
    redact_override,
    sanitize,
)
from sinesweep.seeds import generator

if TYPE_CHECKING:
    from hydra.core.config_loader import ConfigLoader
    from optuna.distributions import BaseDistribution

_NOT_NUMBERED = re.compile(r"\*{3}(?!\d)")

Value = str | int | float | bool | None
LARGEST = 1e300  # in absolute value: the distance of two such numbers is finite
_PARAMS = "hydra.sweeper.params"
_KEY = re.compile(r"(\+\+?|~)?[\w$][\w$/.:@-]*")
# Of Hydra's own keys, those that it reads anew for each job.
_PER_TRIAL = ("hydra.job.", "hydra.job_logging", "hydra/job_logging", "hydra.verbose")


@dataclass(frozen=True)
class Choice:
    """A finite list of values, tried in their order when all are.

    Attributes:
        values: what the sampler sees; what is not a number or a text (a list, a mapping) is
            written as an override writes it. A secret is numbered: ``***1``, ``***2``.
        texts: the same as an override's right-hand side, secrets included.
    """

    values: tuple[Value, ...]
    texts: tuple[str, ...]

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        # By type, too: 1, 1.0 and true are equal in Python and differ in a configuration.
        wanted = (type(value), value)
        return self.texts[[(type(v), v) for v in self.values].index(wanted)]

    def ends(self) -> tuple[Value, ...]:
        """Return every value: each may be wrong in a way of its own."""
        return self.values

    @property
    def holds_secrets(self) -> bool:
        """Whether the sampler sees numbers in place of some values."""
        return any(isinstance(value, str) and HIDDEN in value for value in self.values)

    @property
    def without_secrets(self) -> Choice:
        """The same list as it can be stored."""
        return Choice(self.values, tuple(map(str, self.values))) if self.holds_secrets else self


@dataclass(frozen=True)
class Steps:
    """Evenly spaced numbers ``low, low + step, ... high``, listed in the order of ``values``."""

    values: tuple[int, ...] | tuple[float, ...]
    step: int | float

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        low, high = min(self.values), max(self.values)
        if all(isinstance(value, int) for value in self.values):
            return IntDistribution(int(low), int(high), step=int(self.step))
        return FloatDistribution(low, high, step=self.step)

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        return str(value)

    def ends(self) -> tuple[Value, ...]:
        """Return the lowest and the highest value."""
        return min(self.values), max(self.values)


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high, both included; integers where both ends are."""

    low: int | float
    high: int | float
    log: bool

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        return str(value)

    def ends(self) -> tuple[Value, ...]:
        """Return both ends."""
        return self.low, self.high


Dimension = Choice | Steps | Interval


@dataclass(frozen=True)
class Space:
    """What a sweep searches and what it holds fixed.

    Attributes:
        dimensions: override key (with its ``+``, ``++`` or ``@package``) to dimension, in order.
        fixed: overrides that every trial gets, ``~key`` deletions among them.
        written: override key to the right-hand side as the user wrote it.
    """

    dimensions: Mapping[str, Dimension]
    fixed: tuple[str, ...]
    written: Mapping[str, str]

    @property
    def size(self) -> int | None:
        """How many points there are, or None where there is no end of them."""
        if any(isinstance(dimension, Interval) for dimension in self.dimensions.values()):
            return None
        return math.prod(len(dimension.values) for dimension in self._finite())  # 1 without any

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return Optuna's form of every dimension."""
        return {key: dimension.distribution() for key, dimension in self.dimensions.items()}

    @property
    def without_secrets(self) -> Space:
        """The dimensions alone, as they can be stored."""
        dimensions = {
            key: each.without_secrets if isinstance(each, Choice) else each
            for key, each in self.dimensions.items()
        }
        return Space(dimensions, (), self.written)

    def point(self, index: int) -> dict[str, Value]:
        """Return one point of a finite space, the last dimension changing fastest."""
        found: dict[str, Value] = {}
        for key, dimension in zip(
            reversed(list(self.dimensions)), reversed(list(self._finite())), strict=True
        ):
            index, place = divmod(index, len(dimension.values))
            found[key] = dimension.values[place]
        return {key: found[key] for key in self.dimensions}

    def corners(self) -> Iterator[dict[str, Value]]:
        """Yield points that together show every choice and both ends of every range.

        All dimensions go to their next end at once: ``low`` and ``high`` of a range that are swept
        together stay in order.
        """
        ends = {key: dimension.ends() for key, dimension in self.dimensions.items()}
        for index in range(max((len(values) for values in ends.values()), default=1)):
            yield {key: values[min(index, len(values) - 1)] for key, values in ends.items()}

    def overrides(self, point: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the overrides of a trial: its point, then what is fixed.

        Args:
            point: key to value; keys of a custom search space may be among them.
        """
        return (
            *(f"{key}={self._text(key, value)}" for key, value in point.items()),
            *self.fixed,
        )

    def _text(self, key: str, value: Value) -> str:
        if key in self.dimensions:
            return self.dimensions[key].text(value)
        return value_text(value)

    def _finite(self) -> Iterator[Choice | Steps]:
        for dimension in self.dimensions.values():
            assert not isinstance(dimension, Interval)
            yield dimension


def value_text(value: Any) -> str:
    """Return a value as an override's right-hand side."""
    return Transformer.str(value)


def read(
    params: Mapping[str, Any], arguments: Sequence[str], config_loader: ConfigLoader | None = None
) -> Space:
    """Read the sweep file's ``params`` and the command line, which has the last word.

    Args:
        params: key to a value in the override grammar.
        arguments: overrides as typed.
        config_loader: resolves ``optimizer=glob(*)``.

    Raises:
        InputError: an override cannot be read, or spans nothing.
    """
    parsed: dict[str, Override] = {}
    for override in [*_params(params, config_loader), *_parse(arguments, config_loader)]:
        # A key of the sweep file that is typed again is replaced, in its old place.
        parsed[override.get_key_element()] = override
    _refuse_twice(parsed)
    _refuse_unstorable(parsed.values())
    for override in parsed.values():
        _check_glob(override, config_loader)
    dimensions = {key: _dimension(o) for key, o in parsed.items() if o.is_sweep_override()}
    fixed = [str(o.input_line) for o in parsed.values() if not o.is_sweep_override()]
    written = {key: _written(parsed[key], dimension) for key, dimension in dimensions.items()}
    return Space(dimensions, tuple(fixed), written)


def _params(params: Mapping[str, Any], config_loader: ConfigLoader | None) -> list[Override]:
    """Read the sweep file's part, whose keys YAML takes however they are written."""
    for key in params:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError(
                f"{_PARAMS}: a key must be that of an override, such as model.width, but one is "
                f"{shown(key)}"
            )
        plain = key.lstrip("+~")
        if plain.startswith(("hydra.", "hydra/")) and not plain.startswith(_PER_TRIAL):
            raise InputError(
                f"{_PARAMS}: must be keys that can differ from trial to trial, but {key} is the "
                f"sweep's own: set it once, outside of params, as in {plain}=..."
            )
    return _parse([f"{key}={_param(value)}" for key, value in params.items()], config_loader)


def _written(override: Override, dimension: Dimension) -> str:
    # What a glob stands for is what is searched: a new file in the group makes another sweep.
    if isinstance(override.value(), Glob) and isinstance(dimension, Choice):
        return ",".join(dimension.texts)
    if isinstance(dimension, Choice) and dimension.holds_secrets:
        text = ",".join(dimension.without_secrets.texts)
        return text if len(dimension.texts) > 1 else f"choice({text})"
    return override.get_value_string()


def _param(value: Any) -> str:
    # YAML has made lists and null of what the grammar writes as [1,2] and null.
    return value if isinstance(value, str) else value_text(value)


def _parse(lines: Iterable[str], config_loader: ConfigLoader | None) -> list[Override]:
    try:
        return OverridesParser.create(config_loader=config_loader).parse_overrides(list(lines))
    except OverrideParseException as error:
        raise InputError(
            f"{redact_override(str(error.override))}: must be in Hydra's override grammar, but is "
            f"not: {redact(str(error))}"
        ) from error
    except HydraException as error:
        raise InputError(str(error).strip()) from error


def _refuse_twice(parsed: Mapping[str, Override]) -> None:
    seen: dict[str, str] = {}
    for key, override in parsed.items():
        plain = key.lstrip("+~")
        if plain in seen and override.is_sweep_override():
            raise InputError(
                f"{plain}: must be swept or fixed once, but is given as {seen[plain]} and {key}: "
                "leave one out"
            )
        seen[plain] = key


def _refuse_unstorable(parsed: Iterable[Override]) -> None:
    """Refuse what no table and no command line can show: it could not be run again."""
    for override in parsed:
        line = str(override.input_line)
        if not is_storable(line):
            raise InputError(
                f"{redact_override(sanitize(line))}: must be UTF-8 text without control "
                "characters, since tables and commands repeat it: pass such a value by a file or "
                "by an environment variable"
            )


def _check_glob(override: Override, config_loader: ConfigLoader | None) -> None:
    glob = override.value()
    if not isinstance(glob, Glob) or config_loader is None:
        return
    group = override.key_or_group
    options = config_loader.get_group_options(group)
    if not options:
        raise InputError(
            f"{_shown(override)}: a glob stands for the files of a configuration group, but there "
            f"is no group {group}: list the values, as in {group}=1,2"
        )
    if not glob.filter(options):
        raise InputError(
            f"{_shown(override)}: must match one of the group's files at least, but matches none "
            f"of {', '.join(options)}"
        )


def _dimension(override: Override) -> Dimension:
    value = override.value()
    _check_finite(override, value)
    if isinstance(value, (IntervalSweep, RangeSweep)) and is_secret(override.get_key_element()):
        raise InputError(
            f"{override.get_key_element().lstrip('+')}: must not be a range of numbers, since the "
            "key is called like a secret, whose values are hidden: add the key to "
            "hydra.sweeper.visible_keys if it is none"
        )
    if isinstance(value, IntervalSweep):
        return _interval(override, value)
    # Hydra 1.4 keeps sort() and the like for later, 1.3 has applied them.
    if isinstance(value, RangeSweep) and not (value.shuffle or getattr(value, "transformers", ())):
        return _steps(override, value)
    return _choice(override)


def _check_finite(override: Override, value: Any) -> None:
    names = {RangeSweep: ("start", "stop", "step"), IntervalSweep: ("start", "end")}
    for name in names.get(type(value), ()):
        number = getattr(value, name)
        if not (math.isfinite(number) and abs(number) <= LARGEST):
            raise InputError(
                f"{_shown(override)}: must have finite numbers of at most {LARGEST:g}, but its "
                f"{name} is {number}"
            )


def _choice(override: Override) -> Choice:
    sweep = override.value()
    shuffled = getattr(sweep, "shuffle", False)
    if shuffled:
        sweep.shuffle = False  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    values = list(override.sweep_iterator(_choice_value))
    texts = list(override.sweep_string_iterator())
    if not values:
        raise InputError(f"{_shown(override)}: must have at least one value, but has none")
    if any(value != value for value in values):  # so is nan known
        raise InputError(f"{_shown(override)}: must not be nan: quote it where the text is meant")
    # 1, 1.0 and true are equal in Python, and different choices.
    names = [json.dumps(value) for value in values]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise InputError(
            f"{_shown(override)}: every value must be there once, but "
            f"{_shown_text(override, texts[names.index(name)])} is there {times} times"
        )
    # Hydra shuffles anew in each process; a continued sweep needs the order it began with.
    order = generator(0, "shuffle", override.get_key_element()).permutation(len(values))
    indices = order if shuffled else range(len(values))
    shown = _without_secrets(override.get_key_element(), values, texts)
    return Choice(tuple(shown[i] for i in indices), tuple(texts[i] for i in indices))  # pyright: ignore[reportArgumentType]


def _without_secrets(key: str, values: Sequence[Any], texts: Sequence[str]) -> list[Any]:
    """Return what the sampler, and so the study, is given in place of values that hold secrets."""
    shown = [redact_override(f"{key}={text}").partition("=")[2] for text in texts]
    if not any(HIDDEN in text for text in shown):
        return list(values)
    learn_overrides(f"{key}={text}" for text in texts)
    return [_NOT_NUMBERED.sub(f"{HIDDEN}{number}", text) for number, text in enumerate(shown, 1)]


def _choice_value(element: Any) -> Any:
    if isinstance(element, QuotedString):
        return element.text
    if element is None or isinstance(element, (str, int, float, bool)):
        return element
    return Transformer.str(element)


def _steps(override: Override, sweep: RangeSweep) -> Steps:
    if sweep.step == 0:
        raise InputError(f"{_shown(override)}: the step must not be 0")
    values = tuple(_numbers(sweep))
    if not values:
        raise InputError(
            f"{_shown(override)}: must hold at least one value, but holds none: the stop is "
            "excluded"
        )
    return Steps(values, abs(sweep.step))


def _numbers(sweep: RangeSweep) -> Iterator[Any]:
    if all(isinstance(number, int) for number in (sweep.start, sweep.stop, sweep.step)):
        yield from sweep.range()
        return
    # By decimals, as they were written: in binary, range(0.1, 0.8, 0.1) would reach 0.8.
    start, stop, step = (Decimal(str(n)) for n in (sweep.start, sweep.stop, sweep.step))
    for index in range(math.ceil((stop - start) / step)):
        yield float(start + index * step)


def _interval(override: Override, sweep: IntervalSweep) -> Interval:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    log = "log" in sweep.tags
    if low > high:
        raise InputError(f"{_shown(override)}: low <= high must hold, but {low} > {high}")
    if log and low <= 0:
        raise InputError(f"{_shown(override)}: low > 0 must hold for tag(log), but low is {low}")
    return Interval(low, high, log)


def _shown(override: Override) -> str:
    return f"{override.get_key_element()}={_shown_text(override, override.get_value_string())}"


def _shown_text(override: Override, text: str) -> str:
    return redact_override(f"{override.get_key_element()}={text}").partition("=")[2]
