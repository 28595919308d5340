"""A column of plaintext is sealed in place, and nothing of it is lost, hidden or sealed twice."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest

from mycelium_fractal_net.columns import (
    EncryptedField,
    MessageColumn,
    Plaintext,
    take_over_column,
)
from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.security.errors import InvalidInputError, KeyNotFoundError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support.columns import Application

FIELD = EncryptedField("customers", "email")
INDEXED = EncryptedField("customers", "email", "customers-index")
LONG = "x" * 40_000  # is read by itself
PLAIN = {1: "ada@example.com", 2: "", 3: "Ünïcode", 4: LONG, 5: "TUZOAQ==", 6: "MFN"}


def fill(application: Application, keyring: Keyring, kind: str) -> None:
    """Customers in plaintext, and one without an e-mail."""
    keyring.provider.keys.create("customers-index", "index")
    application.run(f"CREATE TABLE customers (id INTEGER PRIMARY KEY, email {kind})")
    as_text = kind == "TEXT"
    rows = [{"id": n, "v": v if as_text else v.encode()} for n, v in PLAIN.items()]
    application.run("INSERT INTO customers VALUES (:id, :v)", *rows, {"id": 9, "v": None})


def take_over(
    keyring: Keyring, application: Application, field: EncryptedField = FIELD, **how: Any
) -> Any:
    column = MessageColumn(application.url, "customers", "email", field=field)
    return take_over_column(keyring, column, "orders", workers=1, **how)


def values(application: Application) -> dict[int, Any]:
    return {
        number: bytes(value) if isinstance(value, memoryview) else value
        for number, value in application.all("SELECT id, email FROM customers")
    }


@pytest.mark.parametrize("kind", ["TEXT", "bytes"])
@pytest.mark.parametrize("field", [FIELD, INDEXED], ids=["no index", "index"])
def test_every_value_is_sealed_as_its_field_stores_it(
    application: Application, keyring: Keyring, kind: str, field: EncryptedField
) -> None:
    """Texts of no length and long ones too; NULL stays, and a second run has nothing to do."""
    fill(application, keyring, application.bytes_type if kind == "bytes" else kind)
    before = values(application)
    on_sqlite = application.engine.dialect.name == "sqlite"
    if kind == "TEXT" and field.index is not None and not on_sqlite:
        with pytest.raises(InvalidInputError, match="without an index"):
            take_over(keyring, application, field)
        return
    tried = take_over(keyring, application, field, dry_run=True)
    assert (tried.done, tried.failed) == (len(PLAIN), 0)
    assert values(application) == before
    found = take_over(keyring, application, field)
    assert (found.done, found.failed) == (len(PLAIN), 0)
    size = field.tag_bytes
    for number, value in values(application).items():
        if number == 9:
            assert value is None
            continue
        assert isinstance(value, str) is (kind == "TEXT" and field.index is None)
        stored = base64.b64decode(value) if isinstance(value, str) else value
        plain = PLAIN[number].encode()
        assert keyring.decrypt(stored[size:], associated_data=field.binding) == plain
        if size:
            tag = keyring.index_tag(plain, key_id="customers-index", context=field.binding)
            assert stored[:size] == bytes(tag)
    again = take_over(keyring, application, field)
    assert (again.done, again.skipped, again.failed) == (0, len(PLAIN), 0)


def test_what_is_written_meanwhile_is_taken_by_the_next_run(
    application: Application, keyring: Keyring
) -> None:
    """As an instance of the application does that does not know of the field yet."""
    fill(application, keyring, "TEXT")
    take_over(keyring, application)
    application.run("UPDATE customers SET email = 'new@example.com' WHERE id IN (1, 9)")
    found = take_over(keyring, application)
    assert (found.done, found.skipped) == (2, len(PLAIN) - 1)


def test_a_sealed_value_that_does_not_open_is_not_sealed_again(
    application: Application, keyring: Keyring
) -> None:
    """What begins as a message is one: sealing it anew would make it authentic."""
    fill(application, keyring, "TEXT")
    forged = base64.b64encode(b"MFN\x01" + bytes(90)).decode()
    application.run("UPDATE customers SET email = :v WHERE id = 1", {"v": forged})
    assert take_over(keyring, application).done == len(PLAIN) - 1
    assert values(application)[1] == forged


def test_a_column_is_taken_over_as_a_field(application: Application, keyring: Keyring) -> None:
    """Nothing else says what its values are bound to."""
    fill(application, keyring, "TEXT")
    with pytest.raises(InvalidInputError):
        take_over_column(keyring, MessageColumn(application.url, "customers", "email"), "orders")
    with pytest.raises(KeyNotFoundError):
        take_over(keyring, application, EncryptedField("customers", "email", "nothing"))
    bound = MessageColumn(application.url, "customers", "email", "id", FIELD)
    with pytest.raises(InvalidInputError):
        take_over_column(keyring, bound, "orders")


def test_plaintext_is_taken_up_to_its_last_day() -> None:
    """A day of UTC, wherever the clock is read."""
    taken = Plaintext("2027-03-01")
    assert taken == Plaintext(datetime.date(2027, 3, 1))
    last = datetime.datetime(2027, 3, 1, 23, 59, tzinfo=datetime.UTC)
    assert taken.is_taken(last)
    assert not taken.is_taken(last + datetime.timedelta(minutes=1))
    west = datetime.timezone(datetime.timedelta(hours=-8))
    assert not taken.is_taken((last + datetime.timedelta(minutes=1)).astimezone(west))
    assert Plaintext("9999-12-31").is_taken()
    assert not Plaintext("2020-01-01").is_taken()
    with pytest.raises(InvalidInputError):
        Plaintext("tomorrow")


@pytest.mark.parametrize(
    "value",
    [
        "ada",
        "",
        "TUZO",
        b"",
        b"MFN",
        b"MFN\x01",
        "Ü",
        bytes(36),
        bytes(32) + b"MFN\x01" + bytes(79),
    ],
)
def test_what_has_no_message_behind_its_tag_is_plaintext(value: str | bytes) -> None:
    """Also what begins with one where a tag should be."""
    assert sealed_in(value, 32) is None


def test_the_shortest_message_is_sealed(keyring: Keyring) -> None:
    """That of a value of no length."""
    stored = bytes(32) + keyring.encrypt(b"", key_id="orders")
    assert sealed_in(stored, 32) == stored
    assert sealed_in(base64.b64encode(stored).decode(), 32) == stored
