"""Columns as the field types of SQLAlchemy and Django write them: a tag and a message in one."""

from __future__ import annotations

import base64
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.columns import EncryptedField, MessageColumn, beginnings, rewrap_column
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
)
from mycelium_fractal_net.security.records.keys import Verb
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.columns import Beside, rotate

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.columns import Application

EMAIL = EncryptedField("customers", "email", "customers-index")
PLAIN = {number: b"user%d@example.com" % number for number in range(30)}


def store(keyring: Keyring, field: EncryptedField, value: bytes) -> bytes:
    """What an application stores: the tag of the version in use, and the sealed message."""
    sealed = keyring.encrypt(value, key_id="orders", associated_data=field.binding)
    if field.index is None:
        return sealed
    tag = keyring.index_tag(
        value,
        key_id=field.index,
        context=field.binding,
        bits=field.bits,
        normalisation=field.normalisation,
    )
    return bytes(tag) + sealed


def fill(
    application: Application, keyring: Keyring, field: EncryptedField, *, text: bool = False
) -> None:
    """A table of customers, the column of bytes or of base64 text."""
    if field.index is not None:
        keyring.provider.keys.create(field.index, "index")
    kind = "TEXT" if text else application.bytes_type
    application.run(f"CREATE TABLE customers (id INTEGER PRIMARY KEY, email {kind})")
    rows = []
    for number, value in PLAIN.items():
        stored = store(keyring, field, value)
        rows.append({"id": number, "m": base64.b64encode(stored).decode() if text else stored})
    application.run("INSERT INTO customers VALUES (:id, :m)", *rows)


def sweep(keyring: Keyring, application: Application, field: EncryptedField, **how: Any) -> Any:
    """Rewrap the field in this process."""
    how.setdefault("workers", 1)
    column = MessageColumn(application.url, "customers", "email", field=field)
    return rewrap_column(keyring, column, **how)


def parts(application: Application, field: EncryptedField) -> dict[int, tuple[bytes, bytes]]:
    """Tag and message of each row."""
    found = {}
    for number, value in application.all("SELECT id, email FROM customers"):
        stored = base64.b64decode(value) if isinstance(value, str) else bytes(value)
        found[number] = stored[: field.tag_bytes], stored[field.tag_bytes :]
    return found


def newest(keyring: Keyring, field: EncryptedField, value: bytes) -> bytes:
    """The tag of the newest version, one that waits included."""
    index = keyring.index(
        key_id=field.index or "",
        context=field.binding,
        bits=field.bits,
        normalisation=field.normalisation,
    )
    return bytes(index.tags(value)[0])


FIELDS = [
    EMAIL,
    EncryptedField("customers", "email", "customers-index", 12, "caseless"),
    EncryptedField("customers", "email"),
]


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("field", FIELDS, ids=["whole", "short", "no index"])
def test_message_and_tag_are_both_moved(
    application: Application, keyring: Keyring, field: EncryptedField, text: bool
) -> None:
    """To the newest version of the key, and to that of the index key although it still waits."""
    fill(application, keyring, field, text=text)
    rotate(keyring)
    if field.index is not None:
        rotate(keyring, field.index)
    report = sweep(keyring, application, field)
    assert (report.done, report.failed) == (len(PLAIN), 0)
    for number, (tag, message) in parts(application, field).items():
        assert keyring.describe(message).newest
        assert keyring.decrypt(message, associated_data=field.binding) == PLAIN[number]
        if field.index is not None:
            assert tag == newest(keyring, field, PLAIN[number])
    again = sweep(keyring, application, field)
    assert (again.done, again.skipped, again.failed) == (0, len(PLAIN), 0)


def test_where_only_the_index_key_was_rotated_the_message_stays(
    application: Application, keyring: Keyring
) -> None:
    """It is under the newest version already, and is not sealed anew for nothing."""
    fill(application, keyring, EMAIL)
    before = parts(application, EMAIL)
    rotate(keyring, "customers-index")
    assert sweep(keyring, application, EMAIL).done == len(PLAIN)
    for number, (tag, message) in parts(application, EMAIL).items():
        assert message == before[number][1]
        assert tag == newest(keyring, EMAIL, PLAIN[number])


def test_a_unique_column_refuses_duplicates_at_every_step(
    application: Application, keyring: Keyring
) -> None:
    """An application that looks for the tags of all versions before it stores accepts none."""
    fill(application, keyring, EMAIL)
    on_mariadb = application.engine.dialect.name == "mariadb"  # has no index of an expression
    tag_of = "email(32)" if on_mariadb else "substr(email, 1, 32)"
    application.run(f"CREATE UNIQUE INDEX one_each ON customers ({tag_of})")

    def is_there(value: bytes) -> bool:
        found = keyring.index_tags(value, key_id="customers-index", context=EMAIL.binding)
        tags = [bytes(each) for each in found]
        return any(
            application.one("SELECT count(*) FROM customers WHERE substr(email, 1, 32) = :t", t=t)
            for t in tags
        )

    def step() -> None:
        assert all(is_there(value) for value in PLAIN.values())
        assert not is_there(b"nobody@example.com")

    step()
    rotate(keyring, "customers-index")
    step()
    half = iter(range(100))

    def stop() -> None:
        if next(half) == 15:
            raise KeyStateError("as one does in the middle")

    beside = Beside(keyring, stop)
    rotate(keyring)
    report = sweep(beside, application, EMAIL)
    assert report.failed == 1
    step()
    assert sweep(keyring, application, EMAIL).failed == 0
    step()
    keyring.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    keyring.refresh()
    step()
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        row = {"id": 99, "m": store(keyring, EMAIL, PLAIN[3])}
        application.run("INSERT INTO customers VALUES (:id, :m)", row)
    assert sweep(keyring, application, EMAIL).done == 0


def test_a_field_is_bound_to_its_names(application: Application, keyring: Keyring) -> None:
    """The values of another field do not open, and stay; nor does what is too short for a tag."""
    fill(application, keyring, EMAIL)
    rotate(keyring)
    application.run("UPDATE customers SET email = :m WHERE id = 4", {"m": b"short"})
    other = EncryptedField("customers", "phone", "customers-index")
    report = sweep(keyring, application, other)
    assert (report.done, report.failed) == (0, len(PLAIN))
    assert {each.reason for each in report.failures} == {DecryptionError.TEXT}
    assert sweep(keyring, application, EMAIL).failed == 1


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("field", FIELDS, ids=["whole", "short", "no index"])
def test_versions_are_counted_behind_the_tag(
    application: Application, keyring: Keyring, field: EncryptedField, text: bool
) -> None:
    """So that the audit record says what is moved, and a count does not grow with the rows."""
    fill(application, keyring, field, text=text)
    handle = keyring.provider.keys.get("orders").latest.handle
    column = MessageColumn(application.url, "customers", "email", field=field)
    assert beginnings(column) == {b"MFN\x01" + handle: len(PLAIN)}


def test_a_tag_of_another_index_stays_unless_that_is_asked_for(
    application: Application, keyring: Keyring
) -> None:
    """Who mistypes the index of a field would else have no row found any more."""
    fill(application, keyring, EMAIL)
    rotate(keyring)
    keyring.provider.keys.create("others-index", "index")
    before = parts(application, EMAIL)
    other = dataclasses.replace(EMAIL, index="others-index")
    for wrong in (other, dataclasses.replace(EMAIL, normalisation="caseless")):
        found = sweep(keyring, application, wrong)
        assert (found.done, found.failed) == (0, len(PLAIN))
        assert "its tag is of no version of this index" in found.failures[0].reason
    assert parts(application, EMAIL) == before
    found = sweep(keyring, application, dataclasses.replace(other, new_tags=True))
    assert (found.done, found.failed) == (len(PLAIN), 0)
    assert sweep(keyring, application, other).skipped == len(PLAIN)


def test_what_forbids_every_tag_ends_the_run_at_once(
    application: Application, keyring: Keyring
) -> None:
    """An index key that is not there, or a version that is suspended, is no fault of a value."""
    fill(application, keyring, EMAIL)
    rotate(keyring)
    with pytest.raises(KeyNotFoundError):
        sweep(keyring, application, EncryptedField("customers", "email", "nothing"))
    rotate(keyring, "customers-index")
    keyring.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    keyring.provider.states.apply(Verb.SUSPEND, "customers-index:v1")
    keyring.refresh()
    with pytest.raises(KeyStateError):
        sweep(keyring, application, EMAIL)


def test_what_does_not_go_together_is_refused(application: Application, keyring: Keyring) -> None:
    """A field says by itself what its values are bound to."""
    fill(application, keyring, EMAIL)
    with pytest.raises(InvalidInputError):
        sweep(keyring, application, EMAIL, options=OpenOptions(b"more"))
    with pytest.raises(InvalidInputError):
        rewrap_column(
            keyring, MessageColumn(application.url, "customers", "email", "id", EMAIL), workers=1
        )


@pytest.mark.parametrize(
    "named",
    [("", "email"), ("customers", ""), ("t", "c", None, 8), ("t", "c", None, None, "nfc"),
     ("t", "c", "index", 3), ("t", "c", "index", None, "upper")],
)  # fmt: skip
def test_a_field_is_named_in_full(named: tuple[Any, ...]) -> None:
    """What is of an index needs one, and is what an index knows."""
    with pytest.raises(InvalidInputError):
        EncryptedField(*named)
