"""Rule that decides which keys name a secret.

A dotted key is split into parts (``db``, ``apiToken``) and each part into lower-case words
(``api``, ``token``). A key is secret if one of its parts is: everything below is hidden, too.

- ``password``, ``secret``, ``credential`` and similar words make a part secret wherever they
  stand, unless its last word describes them: ``password_file`` and ``secret_name`` are ordinary.
- ``token``, ``signature``, ``cookie`` and similar words make a part secret only as its last word:
  ``token_dim`` and ``tokenizer`` are ordinary. ``token`` and ``tokens`` are ordinary, too, after
  a word that counts (``max_tokens``) or names tokens of a text (``pad_token``, ``vocab.tokens``).
- Pairs such as ``api key``, ``pass phrase`` or ``db pass`` are secret. ``key`` alone is ordinary,
  and so are other passes, such as ``forward_pass``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

_SEPARATORS = re.compile(r"[./@:\[\]]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# As the end of a word, too, as in sslpassword: no ordinary word ends so.
_ENDINGS = (
    "password", "passwords", "passwd", "passphrase", "passphrases", "passcode", "pwd", "apikey",
    "apikeys", "apitoken", "accesskey", "accesstoken", "authkey", "authtoken", "bearertoken",
    "clientsecret", "encryptionkey", "pgpass", "privatekey", "privatekeys", "refreshtoken",
    "secretkey", "sessiontoken", "signingkey", "sshkey", "userpass",
)  # fmt: skip
_ANYWHERE = frozenset(("credential", "credentials", "creds", "secret", "secrets"))
_AT_THE_END = frozenset(
    ("authorization", "bearer", "cookie", "cookies", "jwt", "signature", "signatures", "token",
     "tokens")
)  # fmt: skip
_PAIRS = frozenset(
    [
        *((word, key) for key in ("key", "keys") for word in (
            "access", "account", "api", "auth", "authentication", "consumer", "decryption",
            "deploy", "encryption", "gpg", "license", "master", "pgp", "private", "rsa", "service",
            "signing", "ssh", "storage", "subscription",
        )),
        *(("auth", word) for word in ("code", "cookie", "data", "header", "headers", "value")),
        *((word, "auth") for word in ("basic", "http", "proxy")),
        *(("pass", word) for word in ("code", "phrase", "phrases", "word", "words")),
        *((word, "pass") for word in (
            "admin", "db", "email", "ftp", "imap", "login", "mail", "mongo", "mysql", "pg",
            "postgres", "proxy", "redis", "root", "smtp", "sudo", "user",
        )),
        ("token", "value"),
    ]
)  # fmt: skip
# What a part is about if it ends so: a place, a name or a number, and not the secret itself.
_DESCRIPTIONS = frozenset(
    (
        "age", "algorithm", "backend", "column", "count", "dim", "dims", "dir", "directory",
        "dropout", "enabled", "env", "expiration", "expires", "expiry", "field", "file",
        "filename", "files", "folder", "host", "id", "ids", "kind", "len", "length", "limit",
        "loss", "manager", "max", "min", "name", "names", "num", "number", "path", "paths",
        "policy", "port", "prob", "provider", "rate", "ratio", "required", "scale", "size", "store",
        "timeout", "ttl", "type", "var", "variable", "weight",
    )
)  # fmt: skip
_COUNTING = frozenset(
    ("average", "avg", "count", "max", "maximum", "mean", "min", "minimum", "n", "nb", "num",
     "number", "per", "total")
)  # fmt: skip
_OF_TEXTS = frozenset(
    ("batch", "block", "bos", "budget", "chunk", "class", "cls", "completion", "context", "decay",
     "dist", "distillation", "drop", "end", "eos", "eval", "generated", "image", "input", "latent",
     "mask", "masked", "memory", "new", "output", "pad", "padding", "patch", "prompt", "query",
     "register", "sep", "seq", "sequence", "special", "start", "stop", "text", "tokenizer",
     "train", "training", "unk", "unknown", "visual", "vocab", "vocabulary", "warmup", "word")
)  # fmt: skip
_SECTIONS_OF_TEXTS = frozenset(("tokenizer", "vocab", "vocabulary")) | _COUNTING

Parts = tuple[str, ...]


class _Rules:
    """Keys that the user adds to the rule, or exempts from it."""

    def __init__(self) -> None:
        self.secret: frozenset[Parts] = frozenset()
        self.plain: frozenset[Parts] = frozenset()


_rules = _Rules()


def add_rules(redacted_keys: Iterable[str] = (), visible_keys: Iterable[str] = ()) -> None:
    """Add keys to the rule of this process.

    A key stands for every key that ends with its parts, and for all that is below it.

    Args:
        redacted_keys: hidden, whatever they are called.
        visible_keys: shown although the rule hides them; a key that is in both is hidden.
    """
    _rules.secret |= {_parts(key) for key in redacted_keys}
    _rules.plain |= {_parts(key) for key in visible_keys}
    is_secret.cache_clear()


def user_rules() -> dict[str, list[str]]:
    """Return the keys that :func:`add_rules` has added, as its arguments."""
    lists = {"redacted_keys": _rules.secret, "visible_keys": _rules.plain}
    return {name: sorted(map(".".join, keys)) for name, keys in lists.items() if keys}


def reset_rules() -> None:
    """Remove the keys that :func:`add_rules` has added."""
    _rules.secret = _rules.plain = frozenset()
    is_secret.cache_clear()


@lru_cache(maxsize=4096)
def is_secret(key: str) -> bool:
    """Return whether what is stored under a dotted key is hidden.

    Args:
        key: with or without the marks of an override, such as ``+db.password``.
    """
    parts = _parts(key)
    return any(_is_secret_part(parts[:end]) for end in range(1, len(parts) + 1))


def _parts(key: str) -> Parts:
    return tuple(part for part in _SEPARATORS.split(key.lstrip("+~").strip("'\"")) if part)


def _is_secret_part(path: Parts) -> bool:
    if _ends_with_any(path, _rules.secret):
        return True
    if _ends_with_any(path, _rules.plain):
        return False
    words = _words(path[-1])
    if not words:
        return False
    before = _words(path[-2])[-1:] if len(path) > 1 else []
    return _names_secret(words, before)


def _ends_with_any(path: Parts, endings: frozenset[Parts]) -> bool:
    return any(path[-count:] in endings for count in range(1, len(path) + 1))


def _words(part: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(part)]


def _names_secret(words: list[str], before: list[str]) -> bool:
    """Decide on the words of a part, with the last word of the part above it."""
    last = words[-1]
    if words == ["pass"]:
        return True
    if last in _AT_THE_END:
        return not (last in ("token", "tokens") and _is_of_text(words, before))
    if last in _DESCRIPTIONS and len(words) > 1:
        return False
    if any(word.endswith(_ENDINGS) or word in _ANYWHERE for word in words):
        return True
    joined = [*before, *words] if len(words) == 1 else words
    return any(pair in _PAIRS for pair in pairwise(joined))


def _is_of_text(words: list[str], before: list[str]) -> bool:
    if len(words) > 1:
        return words[-2] in _COUNTING | _OF_TEXTS
    return bool(before) and before[0] in _SECTIONS_OF_TEXTS
