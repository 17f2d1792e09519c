from typing import Any

import pytest
import yaml

from sinesweep.redaction import hidden_keys, learn_tree, redact, redact_tree


@pytest.mark.parametrize(
    "value",
    ["hunter2 x", 'it\'s "quoted"', 12345, 0.5, ["a", 2], {"a": {"b": "c"}}, ("x",), b"bytes"],
)
@pytest.mark.parametrize("key", ["password", "tokens", "apiToken", "private_key"])
def test_every_form_of_a_value_is_hidden(key: str, value: Any) -> None:
    """Below a secret key no value stays, whatever its form."""
    tree = {"db": [{"inner": {key: value, "port": 1}}]}
    assert redact_tree(tree) == {"db": [{"inner": {key: "***", "port": 1}}]}


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_values_that_tell_nothing_stay(value: Any) -> None:
    """What is empty, null or a switch below a secret key is no secret."""
    assert redact_tree({"password": value}) == {"password": value}


def test_flat_keys() -> None:
    """A dotted key is secret if a part of it is."""
    tree = {"credentials.user": "ann", "auth.bearer": "x", "noise.sig": 0.1}
    assert redact_tree(tree) == {"credentials.user": "***", "auth.bearer": "***", "noise.sig": 0.1}


def test_a_redacted_tree_can_be_read_back() -> None:
    """Redaction is idempotent and survives YAML."""
    shown = redact_tree({"db": {"password": "[aaa, bbb]", "url": "http://u:p w@h", "n": [1]}})
    assert yaml.safe_load(yaml.safe_dump(shown)) == shown
    assert redact_tree(shown) == shown
    assert list(hidden_keys(shown)) == ["db.password", "db.url"]


def test_a_known_value_is_hidden_in_other_texts() -> None:
    """What is learned of a configuration is hidden in texts in the form in which they repeat it."""
    learn_tree(
        {
            "db": {"password": "hunter2 x", "passwords": ["swordfish", 987654321]},
            "url": "http://user:open sesame@host",
        }
    )
    text = (
        "no hunter2 x, 'hunter2%20x', hunter2+x; swordfish/987654321 with open sesame "
        "and password 'open%20sesame'"
    )
    assert redact(text) == "no ***, '***', ***; ***/*** with *** and password '***'"


def test_a_known_key_of_several_lines() -> None:
    """Each line of a private key is hidden, for tracebacks indent them."""
    learn_tree({"private_key": "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASC\n"})
    assert "MIIEvQ" not in redact("    MIIEvQIBADANBgkqhkiG9w0B\n")
    assert "MIIEvQ" not in redact(repr("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASC"))
