import math
from typing import Any

import pytest

from sinesweep.sweep.wording import (
    brief,
    counted,
    error_text,
    figure,
    one_line,
    params_text,
    seconds_text,
    short_names,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0123456, "0.01235"),
        (6.3e-6, "6.3e-06"),
        (21157.0, "21,157"),
        (123456.7, "123,457"),
        (0.0, "0"),
        (1e20, "1e+20"),
    ],
)
def test_figure(value: float, text: str) -> None:
    """A value has the digits that a reader compares."""
    assert figure(value) == text


def test_short_names() -> None:
    """A key is cut to the last parts that tell it from the others."""
    keys = ["model.width", "data.decay.low", "data.period.low", "+a.b", "width_of"]
    assert list(short_names(keys).values()) == ["width", "decay.low", "period.low", "b", "width_of"]


def test_short_names_that_end_another() -> None:
    """A key that is the end of another is still told from it."""
    assert list(short_names(["low", "data.low"]).values()) == ["low", "data.low"]


def test_params() -> None:
    """Parameters read as on the command line, without passwords."""
    params = {"a.lr": 0.00123456, "a.none": None, "db.password": "hunter2"}
    assert params_text(params) == "a.lr=0.001235 a.none=null db.password=***"
    assert params_text(params, short=True) == "lr=0.001235 none=null password=***"


def test_counted() -> None:
    """One is not called many."""
    assert [counted(number, "trial") for number in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


def test_error() -> None:
    """An exception without a message leaves no dangling colon."""
    assert error_text(ValueError("no luck")) == "ValueError: no luck"
    assert error_text(ValueError()) == "ValueError"


def test_one_line() -> None:
    """A cause loses line ends, colours, credentials, and its end where it is very long."""
    assert (
        one_line("a\n  b\x1b[31mred\x1b[0m\x07 http://me:hunter2@host") == "a bred http://***@host"
    )
    assert len(one_line("x" * 1000)) == 400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.1, "4.1 s"), (59.97, "1 min 0 s"), (125, "2 min 5 s"), (12000, "3 h 20 min")],
)
def test_seconds(seconds: float, text: str) -> None:
    """Times have units."""
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (1.0, "1.0"), (True, "true"), ("1", "'1'"), ("1e3", "'1e3'"), (None, "null"),
     ("null", "'null'"), (0.12345678, "0.1235"), (-0.0, "-0.0"), (math.nan, "nan"), ("a1", "a1")],
)  # fmt: skip
def test_brief_values_differ_as_written(value: Any, text: str) -> None:
    """Values that are equal in Python, or look alike, are shown as they are written."""
    assert brief(value) == text
