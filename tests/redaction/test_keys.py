import pytest

from sinesweep.redaction import (
    add_rules,
    is_secret,
    redact_override,
    redact_tree,
    reset_rules,
    user_rules,
)


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "passwords",
        "db.passwd",
        "db.pass",
        "dbPassword",
        "db-password",
        "DB_PASSWORD",
        "sslpassword",
        "password2",
        "passphrase",
        "passPhrase",
        "pass_phrase",
        "pass-word",
        "db_pass",
        "smtp.pass",
        "userpass",
        "tokens",
        "apiToken",
        "access_tokens",
        "auth.bearer",
        "tokenValue",
        "encryptionkey",
        "ssh_key",
        "auth.key",
        "http.auth",
        "Authorization",
        "api_key",
        "APIKey",
        "apikey",
        "api.key",
        "private_key",
        "privateKeys",
        "client_secret",
        "secretAccessKey",
        "credentials.user",
        "db.secrets.of.any.depth",
        "+db.password",
        "++db/password@pkg",
        "~db.password",
    ],
)
def test_names_of_secrets(key: str) -> None:
    """A key is secret in any spelling, with any mark, and so is all that is below it."""
    assert is_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        "noise.sig",
        "model.token_dim",
        "tokens_seen",
        "num_tokens",
        "max_tokens",
        "batch_tokens",
        "warmup_tokens",
        "model.dist_token",
        "model.max_new_tokens",
        "vocab.tokens",
        "pad_token",
        "tokenizer",
        "tokenizer.name",
        "key",
        "keys",
        "seed_key",
        "public_key",
        "attention.key_dim",
        "secretary",
        "assigned",
        "high_pass",
        "forward_pass",
        "token_values_dim",
        "bypass",
        "password_file",
        "secret_name",
        "passwordLength",
        "auth",
        "author",
        "",
    ],
)
def test_ordinary_names(key: str) -> None:
    """A key that only resembles a secret's, counts, or describes a secret, stays visible."""
    assert not is_secret(key)


def test_added_keys_are_hidden() -> None:
    """A key that the user adds is hidden with all that ends with it or is below it."""
    add_rules(redacted_keys=["db.pin"])
    assert redact_tree({"a": {"db": {"pin": 4711}}, "pin": 3}) == {
        "a": {"db": {"pin": "***"}},
        "pin": 3,
    }
    assert redact_override("db.pin.code=x") == "db.pin.code=***"


def test_exempt_keys_are_shown() -> None:
    """A key that the user exempts is shown, and a secret below it is not."""
    add_rules(visible_keys=["model.tokens"])
    assert redact_tree({"model": {"tokens": 512}, "tokens": 3}) == {
        "model": {"tokens": 512},
        "tokens": "***",
    }
    assert is_secret("model.tokens.password")


def test_an_added_key_wins_over_an_exempt_one() -> None:
    """A key in both lists is hidden."""
    add_rules(redacted_keys=["tokens"], visible_keys=["tokens"])
    assert is_secret("model.tokens")


def test_rules_of_the_user_can_be_kept() -> None:
    """The added keys can be written to a file, and added again from it."""
    assert user_rules() == {}
    add_rules(redacted_keys=["db.pin", "a/code"], visible_keys=["tokens"])
    kept = user_rules()
    assert kept == {"redacted_keys": ["a.code", "db.pin"], "visible_keys": ["tokens"]}
    reset_rules()
    add_rules(**kept)
    assert user_rules() == kept
    assert [is_secret(key) for key in ("db.pin", "a.code", "tokens")] == [True, True, False]
