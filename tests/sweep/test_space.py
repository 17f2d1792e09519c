import json
import math
import re
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from sinesweep.errors import InputError
from sinesweep.sweep import space
from sinesweep.sweep.space import Choice, Interval, Space, Steps


def read(*arguments: str) -> Space:
    return space.read({}, arguments)


def dimension(argument: str) -> Any:
    (found,) = read(argument).dimensions.values()
    return found


def listed(argument: str) -> tuple[Any, ...]:
    found = dimension(argument)
    return tuple(found.at(index) for index in range(found.count))


def points(found: Space) -> list[tuple[Any, ...]]:
    assert found.size is not None
    return [tuple(found.point(index).values()) for index in range(found.size)]


@pytest.mark.parametrize("text", ["1,2,3", "choice(1,2,3)", "choice(1, 2, 3)"])
def test_choices(text: str) -> None:
    """A list with commas and choice() are the same choices, in their order."""
    assert dimension(f"a={text}") == Choice((1, 2, 3), ("1", "2", "3"))


def test_choices_of_every_type() -> None:
    """Integers, floats, booleans, null and words are choices of their own type."""
    found = dimension("a=1,1.5,true,null,word")
    assert [(type(value), value) for value in found.values] == [
        (int, 1),
        (float, 1.5),
        (bool, True),
        (type(None), None),
        (str, "word"),
    ]


def test_equal_values_of_different_types_are_different_choices() -> None:
    """1, 1.0 and true are equal in Python, and each keeps its own text."""
    found = dimension("a=1,1.0,true")
    assert [found.text(value) for value in found.values] == ["1", "1.0", "True"]


def test_quoted_strings() -> None:
    """A quoted number is a string, and is quoted again in the trial's override."""
    found = read("name='1','x, y'")
    assert dimension("name='1','x, y'").values == ("1", "x, y")
    assert [found.overrides(found.point(i)) for i in (0, 1)] == [("name='1'",), ("name='x, y'",)]


def test_lists_as_choices() -> None:
    """A list or a mapping is a choice, written as an override writes it."""
    found = dimension("a=[1,2],[3],{k:1}")
    assert found.values == ("[1,2]", "[3]", "{k:1}")
    assert found.texts == ("[1,2]", "[3]", "{k:1}")


def test_choices_for_optuna() -> None:
    """Optuna sees choices as a categorical distribution of the values themselves."""
    assert dimension("a=1,b,null").distribution() == CategoricalDistribution((1, "b", None))


def test_choices_from_a_file_of_yaml() -> None:
    """A list of YAML is one value, as it is in an override: only the grammar makes choices."""
    found = space.read({"a": [1, 2], "b": None, "c": 3}, [])
    assert found.dimensions == {}
    assert found.fixed == ("a=[1,2]", "b=null", "c=3")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(3)", (0, 1, 2)),
        ("range(1,4)", (1, 2, 3)),
        ("range(1,8,3)", (1, 4, 7)),
        ("range(1,7,3)", (1, 4)),
        ("range(3,0,-1)", (3, 2, 1)),
        ("range(-2,1)", (-2, -1, 0)),
        ("range(start=2,stop=8,step=2)", (2, 4, 6)),
        ("range(0,1,0.25)", (0.0, 0.25, 0.5, 0.75)),
        ("range(1.0,0,-0.5)", (1.0, 0.5)),
    ],
)
def test_range(text: str, values: tuple[float, ...]) -> None:
    """A range lists what Hydra's does: the stop is excluded, steps may be negative or floats."""
    found = listed(f"a={text}")
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_range_for_optuna() -> None:
    """Optuna sees a range of integers with the last value included, whatever its direction."""
    assert dimension("a=range(1,8,3)").distribution() == IntDistribution(1, 7, step=3)
    assert dimension("a=range(7,0,-3)").distribution() == IntDistribution(1, 7, step=3)


def test_range_of_floats_for_optuna() -> None:
    """Optuna sees a range of floats with its step."""
    assert dimension("a=range(0,1,0.25)").distribution() == FloatDistribution(0, 0.75, step=0.25)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("range(0.1,0.5,0.1)", (0.1, 0.2, 0.3, 0.4)),
        ("range(0.1,0.8,0.1)", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("range(0.5,0.1,-0.1)", (0.5, 0.4, 0.3, 0.2)),
        ("range(1e-4,4e-4,1e-4)", (1e-4, 2e-4, 3e-4)),
    ],
)
def test_decimal_steps(text: str, values: tuple[float, ...]) -> None:
    """Decimals count as they are written: the stop is excluded, the values have no binary tail."""
    assert listed(f"a={text}") == values


@pytest.mark.parametrize("text", ["range(0,1,0.1)", "range(0.1,0.8,0.1)", "range(1,0,-0.1)"])
def test_steps_that_binary_numbers_cannot_hold(text: str) -> None:
    """Optuna's distribution of decimal steps holds each value that the range lists."""
    distribution = dimension(f"a={text}").distribution()
    assert all(distribution._contains(value) for value in listed(f"a={text}"))


def test_interval() -> None:
    """An interval includes both ends and is of floats, however it is written."""
    found = dimension("x=interval(0,1)")
    assert found == Interval(0.0, 1.0, log=False)
    assert found.distribution() == FloatDistribution(0.0, 1.0)


def test_integer_interval() -> None:
    """int(interval()) includes both ends and is of integers."""
    assert dimension("a=int(interval(1,9))").distribution() == IntDistribution(1, 9)


def test_float_interval() -> None:
    """float(interval()) is of floats."""
    assert dimension("x=float(interval(1,9))").distribution() == FloatDistribution(1, 9)


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("int(tag(log,interval(1,100)))", IntDistribution(1, 100, log=True)),
    ],
)
def test_logarithmic_interval(text: str, distribution: Any) -> None:
    """tag(log, ...) makes an interval logarithmic."""
    assert dimension(f"x={text}").distribution() == distribution


def test_group_choices() -> None:
    """The choices of a configuration group are swept like any other."""
    found = read("optimizer=adam,sgd", "optimizer@other=adam,sgd")
    assert list(found.dimensions) == ["optimizer", "optimizer@other"]
    assert points(found)[1] == ("adam", "sgd")


def test_glob(config_loader: ConfigLoader) -> None:
    """glob() is every configuration of a group that it matches."""
    found = space.read({}, ["optimizer=glob(*)"], config_loader)
    assert found.dimensions["optimizer"] == Choice(("adam", "sgd"), ("adam", "sgd"))


def test_glob_without_a_group(config_loader: ConfigLoader) -> None:
    """glob() on a key that is no configuration group is refused as such."""
    message = r"^a=glob\(\*\): a glob stands for .* but there is no group a: list the values"
    with pytest.raises(InputError, match=message):
        space.read({}, ["a=glob(*)"], config_loader)


def test_glob_that_matches_nothing(config_loader: ConfigLoader) -> None:
    """glob() that finds no configuration is refused."""
    message = r"^optimizer=glob\(z\*\): must match one .* but matches none of adam, sgd$"
    with pytest.raises(InputError, match=message):
        space.read({}, ["optimizer=glob(z*)"], config_loader)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("sort(3,1,2)", (1, 2, 3)),
        ("sort(3,1,2,reverse=true)", (3, 2, 1)),
        ("sort(choice(3,1,2))", (1, 2, 3)),
        ("sort(range(1,4),reverse=true)", (3, 2, 1)),
    ],
)
def test_sort(text: str, values: tuple[int, ...]) -> None:
    """sort() gives the order in which the values are tried."""
    assert listed(f"a={text}") == values


@pytest.mark.parametrize(
    "text", ["shuffle(range(0,20))", f"shuffle({','.join(map(str, range(20)))})"]
)
def test_shuffle(text: str) -> None:
    """shuffle() mixes the values, into the same order each time: a sweep can be continued."""
    found = dimension(f"a={text}").values
    assert sorted(found) == list(range(20))
    assert found != tuple(range(20))
    assert dimension(f"a={text}").values == found


def test_fixed_overrides() -> None:
    """What is not swept is fixed: every trial gets it, deletions and additions among it."""
    found = read("b=1,2", "a=3", "~name", "~x=0.0", "+new=1", "++seed=4", "optimizer=sgd")
    assert list(found.dimensions) == ["b"]
    fixed = ("a=3", "~name", "~x=0.0", "+new=1", "++seed=4", "optimizer=sgd")
    assert found.fixed == fixed
    assert found.overrides({"b": 2}) == ("b=2", *fixed)


@pytest.mark.parametrize("plus", ["+", "++"])
def test_added_keys_can_be_swept(plus: str) -> None:
    """A key with a plus is swept with its plus."""
    found = read(f"{plus}new=1,2")
    assert found.overrides(found.point(1)) == (f"{plus}new=2",)


def test_command_line_replaces_the_files_key_in_its_place() -> None:
    """A key that is typed again keeps its place among the file's."""
    found = space.read({"a": "1,2", "b": "3,4"}, ["c=5,6", "a=7,8"])
    assert list(found.dimensions) == ["a", "b", "c"]
    assert found.dimensions["a"].ends() == (7, 8)


def test_command_line_fixes_a_key_of_the_file() -> None:
    """A swept key of the file that is typed with one value is no longer swept."""
    found = space.read({"a": "1,2", "b": "3,4"}, ["a=7"])
    assert list(found.dimensions) == ["b"]
    assert found.fixed == ("a=7",)


def test_what_was_written_is_kept() -> None:
    """The text of each dimension is kept for tables and for the comparison with a later command."""
    written = read("a=range(1,4)", "x=tag(log,interval(1,2))", "b=1").written
    assert written == {"a": "range(1,4)", "x": "tag(log,interval(1,2))"}


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ((), 1),
        (("a=1",), 1),
        (("a=1,2,3",), 3),
        (("a=1,2,3", "b=range(0,4)"), 12),
        (("a=1,2", "x=interval(0,1)"), None),
    ],
)
def test_size(arguments: tuple[str, ...], size: int | None) -> None:
    """The size is the product of the dimensions', and there is none beside an interval."""
    assert read(*arguments).size == size


def test_order_of_points() -> None:
    """The last dimension changes fastest, and each keeps the order it was written in."""
    found = read("a=2,1", "b=range(3,0,-1)")
    assert points(found) == [(2, 3), (2, 2), (2, 1), (1, 3), (1, 2), (1, 1)]


def test_points_keep_the_order_of_the_keys() -> None:
    """A point lists its keys in the order in which they were given."""
    assert list(read("b=1,2", "a=1,2").point(3)) == ["b", "a"]


def test_corners_keep_low_below_high() -> None:
    """All dimensions go to their next end at once, so that ranges that meet stay in order."""
    found = read("low=interval(0,5)", "high=interval(5,9)")
    assert list(found.corners()) == [{"low": 0, "high": 5}, {"low": 5, "high": 9}]


def test_corners_show_every_choice() -> None:
    """Each choice is in a corner, and of a range both ends."""
    found = read("name=u,v,w", "a=range(1,9)")
    assert [tuple(corner.values()) for corner in found.corners()] == [("u", 1), ("v", 8), ("w", 8)]


def test_no_dimension_has_one_corner() -> None:
    """Without anything to sweep there is one corner: what is fixed."""
    assert list(read("a=1").corners()) == [{}]


@pytest.mark.parametrize(
    "argument",
    [
        "a=1,2.5,true,null,word,1e-3",
        "a='1','true','null','','a b','x,y','it\\'s'",
        'a="double","dou\\"ble"',
        "a=[1,[2,'3']],{k:{l:1}}",
        "a=a/b,a.b,a-b,${b}",
        "a=range(0,1,0.25)",
        "a=range(3,0,-1)",
        "a=shuffle('1',2)",
    ],
)
def test_overrides_round_trip(argument: str) -> None:
    """A trial's override is read by Hydra's parser as the very element that was swept."""
    found = read(argument)
    written = OverridesParser.create().parse_override(argument)
    elements = [OverridesParser.create().parse_override(f"a={text}").value()
                for text in written.sweep_string_iterator()]  # fmt: skip
    read_again = []
    for index in range(found.size or 0):
        (override,) = found.overrides(found.point(index))
        parsed = OverridesParser.create().parse_override(override)
        assert not parsed.is_sweep_override()
        read_again.append(parsed.value())
    assert sorted(map(repr, read_again)) == sorted(map(repr, elements))


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-05, 1e22, -3, 123456789.123])
def test_sampled_numbers_round_trip(value: float) -> None:
    """A number that a sampler proposed reaches the trial with all its digits."""
    low, high = -10, 10**23
    (override,) = read(f"x=interval({low},{high})").overrides({"x": value})
    assert OverridesParser.create().parse_override(override).value() == value


def test_points_survive_json() -> None:
    """The values of choices can be kept in a study, which writes them as JSON."""
    values = dimension("a=1,1.5,true,null,word,[1,2]").values
    assert tuple(json.loads(json.dumps(values))) == values


def test_values_of_a_custom_search_space_round_trip() -> None:
    """A text of a key that only the custom search space knows is read back as that text."""
    overrides = read().overrides({"name": "a, b", "c": None})
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    assert {o.key_or_group: o.value() for o in parsed} == {"name": "a, b", "c": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a=range(3,3)"], r"^a=range\(3,3\): must hold at least one value, but holds none: the"),
        (
            ["a=range(1,nan)"],
            r"^a=range\(1,nan\): must have finite numbers of at most 1e\+300, ",
        ),
        (["a=range(1,inf)"], r"but its stop is inf$"),
        (["a=range(0,1,nan)"], r"but its step is nan$"),
        (["a=interval(0,nan)"], r"but its end is nan$"),
        (["a=tag(log,interval(1,1e400))"], r"but its end is inf$"),
        (["a=range(1,4,0)"], r"^a=range\(1,4,0\): the step must not be 0$"),
        (["x=interval(2,1)"], r"^x=interval\(2,1\): low <= high must hold, but 2.0 > 1.0$"),
        (["x=tag(log,interval(0,1))"], r"low > 0 must hold for tag\(log\), but low is 0.0$"),
        (["a=1,u,u"], r"^a=1,u,u: every value must be there once, but u is there 2 times: write"),
        (["a=1,2", "+a=3,4"], r"^a: must be swept or fixed once, but is given as a and \+a: leave"),
        (["~a", "a=3,4"], r"^a: must be swept or fixed once, but is given as ~a and a: leave one"),
        (["a=range(0,10000000000000000000)"], r"integers must be within \+-9007199254740992"),
        (["a=int(interval(0,1e17))"], r"but its end is not$"),
        (["a=shuffle(range(0,100000000000))"], r"shuffle takes at most 1,000,000 values, but"),
        (["a=choice("], r"^a=choice\(: must be in Hydra's override grammar, but is not: "),
        (["a"], r"(?s)^a: must be in Hydra's override grammar, but is not: .*missing EQUAL"),
    ],
)
def test_refusals(arguments: list[str], message: str) -> None:
    """What cannot be read, or spans nothing, is refused with the rule and the text."""
    with pytest.raises(InputError, match=message):
        read(*arguments)


@pytest.mark.parametrize("key", ["", " ", "a=1\nb", "a b", 1, None, "~", "a,b"])
def test_keys_of_params_that_are_none(key: Any) -> None:
    """A key of the sweep file that no override could have is refused."""
    with pytest.raises(InputError, match=r"^hydra.sweeper.params: a key must be that of an overri"):
        space.read({key: "1,2"}, ())


@pytest.mark.parametrize("key", ["hydra.sweeper.n_trials", "+hydra.launcher.x", "hydra/sweeper"])
@pytest.mark.parametrize("value", ["range(1,3)", 3])
def test_keys_of_params_that_are_the_sweeps_own(key: str, value: Any) -> None:
    """A key of Hydra's that is one for the whole sweep has no place among its parameters."""
    message = rf"^hydra.sweeper.params: must be keys that can differ .*, but {re.escape(key)} is"
    with pytest.raises(InputError, match=message):
        space.read({key: value}, ())


@pytest.mark.parametrize("key", ["a/b@c.d", "+a.b", "++a", "hydra.job.env_set.X", "a-b"])
def test_keys_of_params_that_differ_from_trial_to_trial(key: str) -> None:
    """Keys of groups, added keys and those that Hydra reads for each job are swept."""
    assert list(space.read({key: "1,2"}, ()).dimensions) == [key]


def test_steps_show_their_ends_whatever_their_direction() -> None:
    """The ends of a falling range are its lowest and its highest value, in this order."""
    found = dimension("a=range(9,0,-2)")
    assert isinstance(found, Steps)
    assert found.ends() == (1, 9)


EQUAL_CHOICES = {
    "zero, false and null": ("0,false,null", (0, False, None)),
    "numbers and a boolean": ("1,1.0,true", (1, 1.0, True)),
    "two zeros": ("0.0,-0.0", (0.0, -0.0)),
    "an integer and a float": ("1e3,1000", (1000.0, 1000)),
    "not a number": ("nan,1", (math.nan, 1)),
    "infinities": ("inf,-inf,nan", (math.inf, -math.inf, math.nan)),
    "a text and a number": ("'1',1,1.0", ("1", 1, 1.0)),
    "a list and its text": ("[1],'[1]'", ("[1]", "'[1]'")),
    "a mapping and its text": ("{k:1},'{k:1}'", ("{k:1}", "'{k:1}'")),
    "texts of other types": ("'null',null,'true',true,1", ("null", None, "true", True, 1)),
}


@pytest.mark.parametrize(("text", "values"), EQUAL_CHOICES.values(), ids=EQUAL_CHOICES)
def test_choices_that_are_equal_in_python_stay_distinct(text: str, values: Any) -> None:
    """Each choice has its own place in Optuna's distribution, and comes back as written."""
    found = dimension(f"a={text}")
    assert [repr(value) for value in found.values] == [repr(value) for value in values]
    distribution = found.distribution()
    labels = [found.encoded(value) for value in found.values]
    places = [distribution.to_internal_repr(label) for label in labels]
    assert places == list(range(len(values)))
    written = json_to_distribution(distribution_to_json(distribution))  # as a journal keeps it
    assert [repr(found.decoded(written.to_external_repr(place))) for place in places] == [
        repr(value) for value in values
    ]


def test_distinct_choices_are_kept_as_they_are() -> None:
    """The study keeps plain values, which a dashboard shows, if all of them differ."""
    found = dimension("a=1,2.5,'1',true_,null")
    assert found.labels == (1, 2.5, "1", "true_", None)


@pytest.mark.parametrize(
    ("text", "count", "last"),
    [
        ("range(1,100000000000)", 99_999_999_999, 99_999_999_999),
        ("range(100000000000,0,-1)", 100_000_000_000, 1),
        ("range(0,1,1e-12)", 10**12, 0.999999999999),
        ("range(1,0,-1e-9)", 10**9, 1e-9),
        ("int(range(0,100000000000))", 10**11, 10**11 - 1),
        ("sort(range(0,100000000000),reverse=true)", 10**11, 0),
    ],
)
def test_long_ranges_are_not_listed(text: str, count: int, last: float) -> None:
    """A range of any length is read at once and its values are computed one by one."""
    found = read(f"a={text}", "b=1,2")
    assert found.size == 2 * count
    assert found.point(2 * count - 1) == {"a": last, "b": 2}
    assert len(list(found.corners())) == 2


@pytest.mark.parametrize("text", ["range(0,1,1e-12)", "range(1,0,-1e-9)", "range(0.1,0.4,0.1)"])
@pytest.mark.parametrize("index", [0, 1, 2, -1])
def test_numbers_of_long_ranges_come_back_from_a_study(text: str, index: int) -> None:
    """A number of a range is within Optuna's distribution and is read back without a tail."""
    found = dimension(f"a={text}")
    value = found.at(index % found.count)
    distribution = found.distribution()
    assert distribution._contains(value)
    assert found.decoded(distribution.to_external_repr(value)) == value


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (("a=int(interval(1,3))",), 3),
        (("a=tag(log,int(interval(1,8)))", "b=1,2"), 16),
        (("a=interval(2,2)",), 1),
        (("a=interval(0,1)", "b=1,2"), None),
    ],
)
def test_count(arguments: tuple[str, ...], count: int | None) -> None:
    """Intervals of integers have a count of points although they are no grid."""
    assert read(*arguments).count == count


@pytest.mark.parametrize(
    ("argument", "values"),
    [
        ("db.password='a b',c", ("***1", "***2")),
        ("db.password=choice(a)", ("***1",)),
        ("api.tokens=1,2,null", ("***1", "***2", "null")),
        ("db={password:a,u:1},{password:b,u:1}", ("{password:***1,u:1}", "{password:***2,u:1}")),
        ("u=http://a:b@h,http://c:d@h", (r"http\://***1@h", r"http\://***2@h")),
        ("db.password=shuffle(a,b,c)", ("***1", "***2", "***3")),
    ],
)
def test_secrets_are_numbered_in_the_study(argument: str, values: tuple[str, ...]) -> None:
    """A sampler is given a number for each secret, a trial the secret, a file the number."""
    found = read(argument)
    (key, choice), *_ = found.dimensions.items()
    assert isinstance(choice, Choice)
    assert sorted(map(str, choice.values)) == sorted(values)
    assert [found.overrides({key: v}) for v in choice.values] == [
        (f"{key}={text}",) for text in choice.texts
    ]
    again = space.read(dict(found.written), [])
    assert again.dimensions[key] == found.without_secrets.dimensions[key]
    assert again.written == found.written


@pytest.mark.parametrize("argument", ["api.tokens=range(1,5)", "db.password=interval(0,1)"])
def test_a_range_under_a_secret_key_is_refused(argument: str) -> None:
    """Numbers of a range are no secrets: their key has to be exempted, or the best is unknown."""
    with pytest.raises(InputError, match=r"must not be a range.*hydra.sweeper.visible_keys"):
        read(argument)


@pytest.mark.parametrize("argument", ["a='x\x01y'", "a=b,'\x1b[31m'", "+db.password='\x7f'"])
def test_text_that_no_table_can_show_is_refused(argument: str) -> None:
    """A control character is refused before anything begins, and escaped in the message."""
    with pytest.raises(InputError, match="must be UTF-8 text without control") as caught:
        read(argument)
    assert str(caught.value).isprintable()


def test_the_message_of_a_repeated_secret_does_not_show_it() -> None:
    """What is wrong with the values of a secret key is said without them."""
    with pytest.raises(InputError, match=r"db.password=\*\*\*: every value.*\*\*\* is there 2"):
        read("db.password=hunter2,hunter2")
