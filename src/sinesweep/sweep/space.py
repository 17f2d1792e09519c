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
from functools import cached_property
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

_LARGEST_INTEGER = 2**53
_MOST_SHUFFLED = 1_000_000
# Past so many steps, a float is too coarse for Optuna to see that it is one of them.
_MOST_DECIMAL_STEPS = 1_000_000


@dataclass(frozen=True)
class Choice:
    """A finite list of values, tried in their order when all are.

    Attributes:
        values: what trials are recorded with; a list or a mapping is written as an override
            writes it, and so is a quoted text that looks like one of those beside it. A secret is
            numbered: ``***1``, ``***2``.
        texts: the same as an override's right-hand side, secrets included.
    """

    values: tuple[Value, ...]
    texts: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of values."""
        return len(self.values)

    def at(self, index: int) -> Value:
        """Return a value by its place."""
        return self.values[index]

    @cached_property
    def labels(self) -> tuple[Value, ...]:
        """The values as the study keeps them: the texts, if some values are equal in Python.

        Optuna compares choices with ``==`` and would merge 0, false and -0.0.
        """
        has_nan = any(value != value for value in self.values)
        return self.texts if has_nan or len(set(self.values)) < self.count else self.values

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.labels)

    def encoded(self, value: Value) -> Value:
        """Return a value as the study keeps it."""
        return self.labels[self._places[_identity(value)]]

    def decoded(self, label: Any) -> Value:
        """Return the value that the study keeps in this form."""
        return label if self.labels is self.values else self.values[self.labels.index(label)]

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        return self.texts[self._places[_identity(value)]]

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

    @cached_property
    def _places(self) -> dict[str, int]:
        return {_identity(value): place for place, value in enumerate(self.values)}


def _identity(value: Value) -> str:
    """Return a text that differs where values differ as written: 1, 1.0, true, 0.0 and -0.0."""
    return json.dumps(value)


@dataclass(frozen=True)
class Steps:
    """Evenly spaced numbers, of which none is computed before it is needed.

    Attributes:
        start: the first number.
        step: the difference between two neighbours; negative if the numbers fall.
        count: how many numbers there are, at least 1.
    """

    start: int | float
    step: int | float
    count: int

    def at(self, index: int) -> int | float:
        """Return a number by its place."""
        if self._is_integer:
            return self.start + index * self.step
        # By decimals, as they were written: in binary, 0.1 + 2 * 0.1 has a tail.
        return float(Decimal(str(self.start)) + index * Decimal(str(self.step)))

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        low, high = self.ends()
        if self._is_integer:
            return IntDistribution(int(low), int(high), step=abs(int(self.step)))
        step = abs(self.step) if self.count <= _MOST_DECIMAL_STEPS else None
        return FloatDistribution(low, high, step=step)

    def encoded(self, value: Value) -> Value:
        """Return a value as the study keeps it."""
        return value

    def decoded(self, label: Any) -> int | float:
        """Return the number of the range that the study keeps in this form."""
        if self._is_integer:
            return int(label)
        place = round((Decimal(str(label)) - Decimal(str(self.start))) / Decimal(str(self.step)))
        return self.at(min(max(place, 0), self.count - 1))

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        return str(value)

    def ends(self) -> tuple[int | float, int | float]:
        """Return the lowest and the highest value."""
        first, last = self.at(0), self.at(self.count - 1)
        return min(first, last), max(first, last)

    @property
    def _is_integer(self) -> bool:
        return isinstance(self.start, int) and isinstance(self.step, int)


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high, both included; integers where both ends are."""

    low: int | float
    high: int | float
    log: bool

    @property
    def count(self) -> int | None:
        """The number of values, or None where there is no end of them."""
        if self.low == self.high:
            return 1
        return int(self.high) - int(self.low) + 1 if self._is_integer else None

    def at(self, index: int) -> int | float:
        """Return a value of an interval of integers by its place."""
        return self.low + index

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self._is_integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def encoded(self, value: Value) -> Value:
        """Return a value as the study keeps it."""
        return value

    def decoded(self, label: Any) -> int | float:
        """Return the value that the study keeps in this form."""
        return label

    def text(self, value: Value) -> str:
        """Return an override's right-hand side for a value."""
        return str(value)

    def ends(self) -> tuple[Value, ...]:
        """Return both ends."""
        return self.low, self.high

    @property
    def _is_integer(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


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
        """How many points a grid of the space has, or None where an interval is searched."""
        if any(isinstance(dimension, Interval) for dimension in self.dimensions.values()):
            return None
        return self.count

    @property
    def count(self) -> int | None:
        """How many points there are, integers of intervals included; None: there is no end."""
        counts = [dimension.count for dimension in self.dimensions.values()]
        known = [count for count in counts if count is not None]
        return math.prod(known) if len(known) == len(counts) else None  # 1 without any

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
        """Return one point of a space with a count, the last dimension changing fastest."""
        found: dict[str, Value] = {}
        for key, dimension in reversed(list(self.dimensions.items())):
            assert dimension.count is not None
            index, place = divmod(index, dimension.count)
            found[key] = dimension.at(place)
        return {key: found[key] for key in self.dimensions}

    def encoded(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return a point as the study keeps it."""
        return {
            key: self.dimensions[key].encoded(value) if key in self.dimensions else value
            for key, value in point.items()
        }

    def decoded(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a point of the study with its values as they were written."""
        return {
            key: self.dimensions[key].decoded(value) if key in self.dimensions else value
            for key, value in params.items()
        }

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


def point_key(point: Mapping[str, Any]) -> str:
    """Return a text that is the same for the same point, and differs where values differ."""
    return json.dumps(point, sort_keys=True)


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


def refuse_key_of_the_sweep(key: str) -> None:
    """Refuse a key of Hydra's that is one for all trials.

    Raises:
        InputError: naming the key.
    """
    plain = key.lstrip("+~")
    if plain.startswith(("hydra.", "hydra/")) and not plain.startswith(_PER_TRIAL):
        raise InputError(
            f"{_PARAMS}: must be keys that can differ from trial to trial, but {key} is the "
            f"sweep's own: set it once, outside of params, as in {plain}=..."
        )


def _params(params: Mapping[str, Any], config_loader: ConfigLoader | None) -> list[Override]:
    """Read the sweep file's part, whose keys YAML takes however they are written."""
    for key in params:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError(
                f"{_PARAMS}: a key must be that of an override, such as model.width, but one is "
                f"{shown(key)}"
            )
        refuse_key_of_the_sweep(key)
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
        if isinstance(number, int) and abs(number) > _LARGEST_INTEGER:
            raise InputError(
                f"{_shown(override)}: integers must be within +-{_LARGEST_INTEGER} (2**53), as far "
                f"as Optuna tells them apart, but its {name} is not"
            )
        if not (math.isfinite(number) and abs(number) <= LARGEST):
            raise InputError(
                f"{_shown(override)}: must have finite numbers of at most {LARGEST:g}, but its "
                f"{name} is {number}"
            )


def _choice(override: Override) -> Choice:
    sweep = override.value()
    shuffled = getattr(sweep, "shuffle", False)
    if shuffled:
        _refuse_large(override, sweep)
        sweep.shuffle = False  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    elements = list(override.sweep_iterator(lambda element: element))
    values = [_choice_value(element) for element in elements]
    texts = list(override.sweep_string_iterator())
    if not values:
        raise InputError(f"{_shown(override)}: must have at least one value, but has none")
    trees = [not _is_scalar(element) for element in elements]
    identities = [(tree, _identity(value)) for tree, value in zip(trees, values, strict=True)]
    _refuse_repeated(override, identities, texts)
    alike = {value for value, is_tree in zip(values, trees, strict=True) if is_tree}
    values = [
        text if value in alike and not is_tree else value
        for value, text, is_tree in zip(values, texts, trees, strict=True)
    ]
    # Hydra shuffles anew in each process; a continued sweep needs the order it began with.
    order = generator(0, "shuffle", override.get_key_element()).permutation(len(values))
    indices = order if shuffled else range(len(values))
    values = _without_secrets(override.get_key_element(), values, texts)
    return Choice(tuple(values[i] for i in indices), tuple(texts[i] for i in indices))


def _without_secrets(key: str, values: Sequence[Any], texts: Sequence[str]) -> list[Any]:
    """Return what the sampler, and so the study, is given in place of values that hold secrets."""
    hidden = [redact_override(f"{key}={text}").partition("=")[2] for text in texts]
    if not any(HIDDEN in text for text in hidden):
        return list(values)
    learn_overrides(f"{key}={text}" for text in texts)
    return [_NOT_NUMBERED.sub(f"{HIDDEN}{number}", text) for number, text in enumerate(hidden, 1)]


def _refuse_large(override: Override, sweep: Any) -> None:
    if isinstance(sweep, RangeSweep) and _steps(override, sweep).count > _MOST_SHUFFLED:
        raise InputError(
            f"{_shown(override)}: shuffle takes at most {_MOST_SHUFFLED:,} values, but the range "
            f"has {_steps(override, sweep).count:,}: leave shuffle out, and let a sampler choose: "
            "hydra/sweeper/sampler=random"
        )


def _refuse_repeated(override: Override, identities: Sequence[Any], texts: Sequence[str]) -> None:
    name, times = Counter(identities).most_common(1)[0]
    if times > 1:
        repeated = _shown_text(override, texts[identities.index(name)])
        raise InputError(
            f"{_shown(override)}: every value must be there once, but {repeated} is there {times} "
            "times: write it once; hydra.sweeper.repeats=2 evaluates each point under two seeds"
        )


def _is_scalar(element: Any) -> bool:
    return element is None or isinstance(element, (QuotedString, str, int, float, bool))


def _choice_value(element: Any) -> Value:
    if isinstance(element, QuotedString):
        return element.text
    return element if _is_scalar(element) else Transformer.str(element)


def _steps(override: Override, sweep: RangeSweep) -> Steps:
    start, stop, step = _numbers(sweep)
    if step == 0:
        raise InputError(f"{_shown(override)}: the step must not be 0")
    count = math.ceil((Decimal(str(stop)) - Decimal(str(start))) / Decimal(str(step)))
    if count < 1:
        raise InputError(
            f"{_shown(override)}: must hold at least one value, but holds none: the stop is "
            "excluded"
        )
    return Steps(start, step, count)


def _numbers(sweep: RangeSweep) -> tuple[Any, Any, Any]:
    """Return start, stop and step: integers if all are, and otherwise floats."""
    numbers = (sweep.start, sweep.stop, sweep.step)
    if all(isinstance(number, int) for number in numbers):
        return numbers  # pyright: ignore[reportReturnType]
    start, stop, step = (float(number) for number in numbers)  # pyright: ignore[reportArgumentType]
    return start, stop, step


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
