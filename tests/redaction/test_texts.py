import re
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import make_url

from sinesweep.errors import InputError
from sinesweep.redaction import (
    LONGEST_ERROR,
    hidden_keys,
    redact,
    redact_address,
    redact_error,
    redact_traceback,
    redact_tree,
    refuse_cut_password,
    texts,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ann:hunter2@db.example/x", "postgresql://***@db.example/x"),
        ("http://hunter2@db.example:5000", "http://***@db.example:5000"),
        ("mysql+pymysql://ann:hun@ter2@db/x", "mysql+pymysql://***@db/x"),
        ("from https://a:b@one to https://c:d@two", "from https://***@one to https://***@two"),
    ],
)
def test_user_info(text: str, expected: str) -> None:
    """What stands before the host of a URI is hidden, wherever the URI stands."""
    assert redact(text) == expected


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "pwd",
        "token",
        "secret",
        "api_key",
        "apikey",
        "access_key",
        "access_token",
        "auth_token",
        "client_secret",
        "sig",
    ],
)
def test_query_value(name: str) -> None:
    """The value of a secret's name in a query is hidden, and the rest of the query kept."""
    text = f"http://db.example/x?a=1&{name}=hunter2&b=2"
    assert redact(text) == f"http://db.example/x?a=1&{name}=***&b=2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.api_token=hunter2", "model.api_token=***"),
        ("+model.api_token='hunter 2'", "+model.api_token=***"),
        ('model.api_token="it\'s hunter2" seed=1', "model.api_token=*** seed=1"),
        (r"model.api_token='it\'s hunter2' seed=1", "model.api_token=*** seed=1"),
        ("model.db={user: bob, password: hunter2}", "model.db={user: bob, password: ***}"),
        ("model.db={db_password:'hunter 2',user:bob}", "model.db={db_password:***,user:bob}"),
        ("{'api_token': 'hunter2', 'width': 3}", "{'api_token': ***, 'width': 3}"),
    ],
)
def test_override(text: str, expected: str) -> None:
    """A secret's value in an override or a dictionary is hidden, quoted or not."""
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "no secret here",
        "model.api_token: this key is missing",
        "ann@example.org",
        "sqlite:////tmp/mlflow.db",
        "http://db.example:5000/path?page=2",
        "/runs/user@host/x",
        "",
    ],
)
def test_harmless_text(text: str) -> None:
    """Text without credentials stays as it is."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "variable", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"]
)
def test_secret_variable(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """The value of a secret environment variable is hidden wherever it appears."""
    monkeypatch.setenv(variable, "hunter2")
    assert redact("login with hunter2 refused") == "login with *** refused"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("sweep", "the sweep failed"),
        ("postgres", "sinesweep sync --uri postgresql://postgres@host/postgres"),
        ("x=1", "x=1"),
        ("study1", "study12 and my_study1"),
    ],
)
def test_a_secret_that_is_in_texts_by_chance(
    monkeypatch: pytest.MonkeyPatch, value: str, text: str
) -> None:
    """A short value, an ordinary word, and a part of a longer word are left as they are."""
    monkeypatch.setenv("PGPASSWORD", value)
    assert redact(text) == text


@pytest.mark.parametrize("value", ["sweep", "x=1", "hunter2", "correcthorsebatterystaple"])
def test_a_secret_where_it_is_expected(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """In an address and under a secret's name any value is hidden, whatever it looks like."""
    monkeypatch.setenv("PGPASSWORD", value)
    assert redact(f"to postgresql://me:{value}@host/s") == "to postgresql://***@host/s"
    assert redact(f"postgresql://me@host/s?password={value}") == (
        "postgresql://me@host/s?password=***"
    )


@pytest.mark.parametrize("value", ["s3cret!", "$2b$10$ab", "qWxZkLpR", "correcthorsebatterystaple"])
def test_a_secret_anywhere(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """One that no text holds by chance is hidden wherever it stands."""
    monkeypatch.setenv("PGPASSWORD", value)
    assert redact(f"'{value}', or {value}.") == "'***', or ***."


def test_a_long_secret_within_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is hidden there, too: before it may stand what a line's end became, quoted."""
    monkeypatch.setenv("PGPASSWORD", "correct-h0rse")
    assert redact(r"login\ncorrect-h0rse1") == r"login\n***1"


def test_an_address_that_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses its password, and nothing that is only spelt like it."""
    monkeypatch.setenv("PGPASSWORD", "study1")
    assert redact_address("postgresql://me@host/study1") == "postgresql://me@host/study1"
    assert redact_address("postgresql://me:study1@host/study1") == "postgresql://***@host/study1"


def test_empty_secret_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret variable that is set to nothing hides nothing."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "")
    assert redact("as it was") == "as it was"


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"db_password": "hunter2"}, {"db_password": "***"}),
        ({"api_key": ["a", "b"]}, {"api_key": "***"}),
        ({"outer": {"TOKEN": "3"}}, {"outer": {"TOKEN": "***"}}),
        ({"credentials": {"user": "ann", "pass": "x"}}, {"credentials": "***"}),
    ],
)
def test_secret_key(tree: dict[str, Any], expected: dict[str, Any]) -> None:
    """Whatever stands under a secret's name is hidden."""
    assert redact_tree(tree) == expected


def test_strings_inside_a_tree() -> None:
    """Every string of a nested structure is redacted."""
    tree = {"uris": ["http://a:b@host", ("https://c:d@host",)]}
    assert redact_tree(tree) == {"uris": ["http://***@host", ["https://***@host"]]}


def test_harmless_tree() -> None:
    """Numbers, flags, nothing and harmless names stay as they are."""
    tree = {"token": None, "tokens_seen": 3, "rate": 0.5, "on": True, "list": [1, None]}
    assert redact_tree(tree) == tree


@pytest.mark.parametrize(
    ("tree", "keys"),
    [
        ({"a": "***", "b": {"c": "http://***@host", "d": 1}}, ["a", "b.c"]),
        ({"a": {"b": ["x", "http://***@host", "***"]}}, ["a.b"]),
        ({"a": None, "b": "** *", "c": [1, "x"]}, []),
    ],
)
def test_hidden_keys(tree: dict[str, Any], keys: list[str]) -> None:
    """What was hidden is found again by its key."""
    assert list(hidden_keys(tree)) == keys


def test_accounts_of_a_database() -> None:
    """Who opens a database is kept, so that its address can be used again; a password is not."""
    assert redact("postgresql://me@host/study") == "postgresql://me@host/study"
    assert redact("postgresql+psycopg://me:hunter2@host/s") == "postgresql+psycopg://***@host/s"
    assert redact("postgresql://me@hunter2@host/s") == "postgresql://***@host/s"
    assert redact("postgresql://me:p/ss?w#rd@host/s") == "postgresql://***@host/s"
    assert redact("postgresql://host:5432/s") == "postgresql://host:5432/s"
    assert redact("postgresql://me@host:5432/s") == "postgresql://me@host:5432/s"
    assert (
        redact("postgresql://me@host/s?sslpassword=x1") == "postgresql://me@host/s?sslpassword=***"
    )
    assert redact("https://token@host/s") == "https://***@host/s"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hun@ter2@db.example/x",
        "postgresql+psycopg://me:hun@te/r2@db.example/x",
        "mysql+pymysql://me:hun@te:r2@db.example/x",
        "postgresql://me:hun@te?r2@db.example/x",
        "postgresql://db.example:5432/x?password=hun@ter2",
        "postgresql://me@db.example:5432/x?user=me&password=hun@ter2",
    ],
)
def test_a_password_that_drivers_would_cut(address: str) -> None:
    """It is refused, with nothing of it in the message, where SQLAlchemy finds another host."""
    with suppress(ValueError):  # a piece is taken for the port
        assert make_url(address).host != "db.example"
    with pytest.raises(InputError, match=r"^some.key: .*percent-encode") as caught:
        refuse_cut_password("some.key", address)
    for piece in ("hun@", "hunter", "ter2", "r2"):
        assert piece not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:hun%40ter2@db.example/x",
        "postgresql://me:h/u?n#ter2@db.example/x",
        "postgresql://me@corp:hunter2@db.example/x",
        "postgresql://me@db.example/x?password=hun@ter2",
        "postgresql://db.example:5432/x",
        "postgresql:///x?host=/var/run&user=me@corp",
        "sqlite:////home/me@work/a:b@c@d.db",
    ],
)
def test_a_password_that_is_whole(address: str) -> None:
    """Where SQLAlchemy finds the host, the address is let through."""
    assert make_url(address).host in ("db.example", None, "")
    refuse_cut_password("some.key", address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://user:pass word@h is wrong", "http://***@h is wrong"),
        ("'http://user:pa/ss@h'", "'http://***@h'"),
        (
            "http://host:80 is down, write to ann@h.org",
            "http://host:80 is down, write to ann@h.org",
        ),
        ('{"password": "a, b", "x": 1}', '{"password": ***, "x": 1}'),
        ("{'tokens': ['a', 'b'], 'x': 1}", "{'tokens': ***, 'x': 1}"),
        ("password=[a, {b: c}] x=1", "password=*** x=1"),
        ('[\n    "password": "a b",\n    "x": 1', '[\n    "password": ***,\n    "x": 1'),
        ("a: wrong\nmodel.token: wrong", "a: wrong\nmodel.token: wrong"),
        ("'password': must be an override", "'password': must be an override"),
        ("Authorization=Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Authorization=***"),
        ("header Bearer abcdefghijklmnop1234", "header ***"),
        ("noise.sig=0.1 max_tokens=5 x?sig=abc", "noise.sig=0.1 max_tokens=5 x?sig=***"),
        ("give model.api_token=...", "give model.api_token=..."),
    ],
)
def test_running_text(text: str, expected: str) -> None:
    """Secrets whose values are not known are hidden by their form, and ordinary text is not."""
    assert redact(text) == expected


def test_names_of_folders_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell's PWD is a folder, and no password."""
    monkeypatch.setenv("PWD", "/home/ann/project")
    assert redact("in /home/ann/project/x") == "in /home/ann/project/x"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "WANDB_API_KEY", "DB_PASSWORD", "GH_TOKEN"])
def test_any_variable_with_the_name_of_a_secret(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The rule for keys holds for environment variables, too."""
    monkeypatch.setenv(name, "swordfish7")
    assert redact("with swordfish7") == "with ***"


@pytest.mark.parametrize(
    "text",
    [
        "QUJD" * 1_250_000,
        "://" * 20_000,
        "postgresql://a:" * 4_000,
        "http://a:b " * 4_000,
        "password='\\" * 20_000,
        "x='" * 20_000,
        "password=[" * 20_000,
        "{password:" * 20_000,
        "a:b@" * 20_000,
        "bearer " * 20_000,
        "\x1b[" * 20_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_patterns_do_not_backtrack(text: str) -> None:
    """Texts on which backtracking would take hours are redacted."""
    assert len(redact_error(text)) <= LONGEST_ERROR


def test_no_pattern_can_give_back_what_it_took() -> None:
    """Every unbounded repetition of the patterns is possessive."""
    for pattern in (texts._NAME, texts._AUTHORIZATION, texts._WORD, texts._ENTRY):
        outside = re.sub(r"\\.|\[[^\]]*\]", "c", pattern.pattern)
        repetitions = re.findall(r"[*+]\+?", outside)
        assert set(repetitions) <= {"*+", "++"}
        assert repetitions


def test_the_text_of_an_error_is_bounded() -> None:
    """A secret in the part that is kept is hidden, and head and tail are kept."""
    text = redact_error("password='hunter2 x' " + "Q" * 100_000 + " token=abc end")
    assert text.startswith("password=*** QQQ")
    assert text.endswith("QQQ token=*** end")
    assert "characters cut]" in text


def test_a_traceback_is_longer_than_the_text_of_an_error() -> None:
    """It is kept whole where libraries call each other fifty times, and cut far above that."""

    def call(depth: int, text: str) -> None:
        if depth == 0:
            raise ValueError(f"{text} password='hunter2 x'")
        (call if depth % 2 else lambda *given: call(*given))(depth - 1, text)

    for text, is_cut in (("short", False), ("Q" * 100_000, True)):
        with pytest.raises(ValueError, match="hunter2") as caught:
            call(50, text)
        shown = redact_traceback(caught.value)
        assert len(shown) > LONGEST_ERROR
        assert shown.endswith("password=***\n")
        assert ("characters cut]" in shown) == is_cut


def test_a_traceback_that_cannot_be_formatted() -> None:
    """Code with a file name that is no text raises while its source is looked up."""
    with pytest.raises(ZeroDivisionError) as caught:
        exec(compile("1 / 0", "\ud83d", "exec"))
    assert redact_traceback(caught.value) == (
        "ZeroDivisionError: (its traceback raises UnicodeEncodeError)\n"
    )
