import csv
import io

import pytest
import yaml

from sinesweep.redaction import is_storable, redact, sanitize, sanitize_tree, shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes \udcff", r"bytes \udcff"),
        ("a\x00b\x1f", r"a\x00b\x1f"),
        ("bell\x07 \x7f\x9b", r"bell\x07 \x7f\x9b"),
        ("\x1b[31mred\x1b[0m \x1b]", r"red \x1b]"),
        ("tab\tand\nline\rkept ü 漢 🙂", "tab\tand\nline\rkept ü 漢 🙂"),
    ],
)
def test_what_cannot_be_stored_is_escaped(text: str, expected: str) -> None:
    """Undecodable bytes and control characters become escapes, colours vanish, the rest stays."""
    assert sanitize(text) == expected
    assert is_storable(expected)


def test_sanitised_text_survives_every_format() -> None:
    """YAML, CSV and UTF-8 take what is left of every character of the first planes."""
    text = sanitize("".join(map(chr, range(0x3000))) + "\ud800\udfff\ufffe\uffff")
    assert yaml.safe_load(yaml.safe_dump({"a": text}, allow_unicode=True))["a"] == text
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow([text])
    assert next(csv.reader(io.StringIO(buffer.getvalue(), newline=""))) == [text]
    assert text.encode().decode() == text


def test_keys_of_a_tree() -> None:
    """Keys and values at every depth are sanitised."""
    assert sanitize_tree({"\udc80": [("\x00", 1)]}) == {r"\udc80": [[r"\x00", 1]]}


def test_redacted_text_is_sanitised() -> None:
    """What is redacted can be stored."""
    assert redact("a\udcff password=x") == r"a\udcff password=***"


def test_a_long_text_keeps_head_and_tail() -> None:
    """The middle of a long text gives way to how much was cut, once."""
    text = "head" + "x" * 10_000 + "tail"
    short = shortened(text, 1_000)
    assert len(short) <= 1_000
    assert short.startswith("headx")
    assert short.endswith("xtail")
    assert "[9,068 characters cut]" in short
    assert shortened(short, 1_000) == short
    assert shortened("whole", 1_000) == "whole"
