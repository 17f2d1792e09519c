import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from sinesweep.errors import InputError
from sinesweep.redaction import (
    learn_overrides,
    redact,
    redact_override,
    redacted_command,
    refuse_placeholders,
    without_notice,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("db.password=hunter2", "db.password=***"),
        ("db.password='hunter2 x'", "db.password=***"),
        ("++db.password=[aaa, bbb]", "++db.password=***"),
        ("db.passwords={a: {b: hunter2}}", "db.passwords=***"),
        ("api.tokens=12345", "api.tokens=***"),
        ("db.password=a,b", "db.password=***"),
        ("~db.password=hunter2", "~db.password=***"),
        ("db={user: bob, password: 'x y'}", "db={user:bob,password:***}"),
        ("+a=[1,{b: [{token: 3}]}]", "+a=[1,{b:[{token:***}]}]"),
        ("db={password: a},{password: b}", "db={password:***},{password:***}"),
        ("tracking.uri='http://user:pass word@h'", "tracking.uri='http://***@h'"),
        ("tracking.uri='http://user:12 34@h'", "tracking.uri='http://***@h'"),
        ("uri=http://user:pa/ss@h/x", "uri=http://***@h/x"),
        ("--uri=http://a:b@c", "--uri=http://***@c"),
    ],
)
def test_secrets_of_an_override(word: str, expected: str) -> None:
    """A secret value is hidden as a whole, in every form, and the rest stays."""
    assert redact_override(word) == expected
    assert redact_override(expected).replace("\\", "") == expected.replace("\\", "")


@pytest.mark.parametrize(
    "word",
    [
        "noise.sig=0.1,0.2",
        "max_tokens=512",
        "db.password=",
        "db.password=null",
        "+db={password:'',token:null,secret:true,key:1}",
        "+db={password: '', secrets: []},{password: null}",
        "x='a b'",
        "db={user: bob}",
        "a=range(1,4)",
        "src/train.py",
        "-m",
    ],
)
def test_ordinary_words_stay(word: str) -> None:
    """A word without a secret is not changed by a letter."""
    assert redact_override(word) == word


@pytest.mark.parametrize("word", ["db.password='x y", "db={password: 'x y", "+db.tokens=[1,"])
def test_words_that_hydra_cannot_read(word: str) -> None:
    """A malformed override is redacted, too: it stands in the message that refuses it."""
    assert "***" in redact_override(word)
    assert "x y" not in redact_override(word)


def test_a_redacted_override_can_be_read() -> None:
    """Hydra reads every redacted override."""
    words = ["++db.password=[aaa, bbb]", "db={user: 'b b', password: 'x y'}", "u='http://a:b c@h'"]
    parsed = OverridesParser.create().parse_overrides([redact_override(word) for word in words])
    assert [each.value() for each in parsed] == [
        "***",
        {"user": "b b", "password": "***"},
        "http://***@h",
    ]


def test_a_command_says_what_is_missing() -> None:
    """A command with a hidden value says so behind a mark that a shell passes over."""
    command = redacted_command(["python", "app.py", "db.password='a b'", "x=1"])
    assert command == "python app.py 'db.password=***' x=1  # replace ***: secrets are not stored"
    assert shlex.split(command, comments=True) == ["python", "app.py", "db.password=***", "x=1"]
    assert without_notice(command)[0] == "python app.py 'db.password=***' x=1"
    assert redacted_command(["python", "app.py", "x=1"]) == "python app.py x=1"


@pytest.mark.parametrize("word", ["db.password=***", "a={token:***}", "u=http://***@h", "p=***2"])
def test_a_copied_placeholder_is_refused(word: str) -> None:
    """A command that was copied without the secrets does not run with *** in their place."""
    with pytest.raises(InputError, match=r"must be a value of its own, but \*\*\* stands for"):
        refuse_placeholders(["x=1", word])


@pytest.mark.parametrize(
    "word",
    ["db.password='hunter2 x'", "db={token: [hunter2 x]}", "uri='http://me:hunter2 x@host'"],
)
def test_values_of_a_command_line_are_learned(word: str) -> None:
    """A secret that was typed is hidden in every text of the process."""
    learn_overrides([word])
    assert redact("login with hunter2 x failed") == "login with *** failed"
