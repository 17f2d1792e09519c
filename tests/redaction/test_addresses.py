import pytest

from sinesweep.errors import InputError
from sinesweep.redaction import refuse_malformed


@pytest.mark.parametrize(
    "address",
    [
        "http://user:pass word@host",
        "https://user:pa/ss@host",
        "http://user:p@ss@host",
        "http://user:pa?ss@host:5000",
        "postgresql://us er@host/x",
    ],
)
def test_a_malformed_address_is_refused_without_its_parts(address: str) -> None:
    """The message says which characters to encode and nothing of user, password and host."""
    with pytest.raises(
        InputError, match=r"^some.key: .* percent-encoded.*a space as %20"
    ) as caught:
        refuse_malformed("some.key", address)
    for piece in ("user", "pass word", "host", "p@ss", "us er"):
        assert f"{piece}@" not in str(caught.value)
        assert f":{piece}" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:pass%20word@host:5000/path",
        "http://host:5000/a@b",
        "http://[::1]:5000",
        "sqlite:////home/me@work/a:b.db",
        "databricks",
        "postgresql:///x?host=/var/run&user=me@corp",
    ],
)
def test_a_well_formed_address_is_let_through(address: str) -> None:
    """An @ or a colon elsewhere is no part of a password."""
    refuse_malformed("some.key", address)
