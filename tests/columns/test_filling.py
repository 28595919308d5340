"""A new encrypted column is filled from the old one, and no writer beside it loses anything."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet as Writer

from mycelium_fractal_net.columns import (
    EncryptedField,
    Fernet,
    MessageColumn,
    count_pairs,
    fill_column,
)
from mycelium_fractal_net.integrations.fields import EncryptedColumn
from mycelium_fractal_net.integrations.spelling import SPELLINGS
from mycelium_fractal_net.security.errors import InvalidInputError
from tests.support.columns import Application, on_sqlite

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

INDEX = "customers-index"
FIELD = EncryptedField("customers", "email", INDEX)  # what it is called once the old one is gone
LONG = "x" * 40_000
PLAIN = {1: "ada@example.com", 2: "", 3: "Ünïcode", 4: LONG, 5: None}


def filled(application: Application, keyring: Keyring, kind: str = "TEXT") -> EncryptedColumn:
    """Customers in plaintext, with an empty column beside it, and what reads that one."""
    keyring.provider.keys.create(INDEX, "index")
    application.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, email {kind},"
        f" sealed {application.bytes_type})"
    )
    if kind == "TEXT":
        rows = [{"id": number, "v": value} for number, value in PLAIN.items()]
        application.run("INSERT INTO customers (id, email) VALUES (:id, :v)", *rows)
    return EncryptedColumn(keyring, "customers", "email", key_id="orders", index=INDEX)


def fill(keyring: Keyring, application: Application, **how: Any) -> Any:
    column = MessageColumn(application.url, "customers", "sealed", field=how.pop("field", FIELD))
    how.setdefault("workers", 1)
    return fill_column(keyring, column, "orders", how.pop("old", "email"), **how)


def values(application: Application) -> dict[int, Any]:
    return {
        number: bytes(value) if isinstance(value, memoryview) else value
        for number, value in application.all("SELECT id, sealed FROM customers")
    }


def opened(application: Application, column: EncryptedColumn) -> dict[int, Any]:
    """What the new column has."""
    return {
        number: None if value is None else column.open(value).decode()
        for number, value in values(application).items()
    }


def test_every_value_is_in_the_new_column_and_the_old_one_stays(
    application: Application, keyring: Keyring
) -> None:
    """With its tag; NULL stays NULL, and a second run compares what is there."""
    column = filled(application, keyring)
    tried = fill(keyring, application, dry_run=True)
    assert (tried.done, tried.failed) == (4, 0)
    assert set(values(application).values()) == {None}
    found = fill(keyring, application)
    assert (found.done, found.skipped, found.failed) == (4, 0, 0)
    assert opened(application, column) == PLAIN
    assert values(application)[1].startswith(column.tag(b"ada@example.com"))
    assert dict(application.all("SELECT id, email FROM customers")) == PLAIN
    again = fill(keyring, application)
    assert (again.done, again.skipped, again.failed) == (0, 4, 0)
    where = MessageColumn(application.url, "customers", "sealed", field=FIELD)
    assert count_pairs(where, "email") == 4


def test_what_was_written_by_one_who_knows_the_old_column_alone_is_reported(
    application: Application, keyring: Keyring
) -> None:
    """Nothing is written over: set the new one to NULL, and it is filled again."""
    column = filled(application, keyring)
    fill(keyring, application)
    application.run("UPDATE customers SET email = 'new@example.com' WHERE id = 1")
    application.run("UPDATE customers SET email = NULL WHERE id = 2")
    application.run("UPDATE customers SET sealed = :v WHERE id = 3", {"v": b"MFN"})
    before = values(application)
    found = fill(keyring, application)
    assert (found.done, found.failed) == (0, 3)
    assert {each.key["id"]: each.reason for each in found.failures} == {
        1: "the new column has another value than the old one",
        2: "the old column has no value any more, and the new one has",
        3: "the new column has a value that is not sealed",
    }
    assert values(application) == before
    application.run("UPDATE customers SET sealed = NULL WHERE id <= 3")
    assert (fill(keyring, application).done, fill(keyring, application).failed) == (2, 0)
    assert opened(application, column)[1] == "new@example.com"


def test_a_writer_beside_the_run_loses_nothing(application: Application, keyring: Keyring) -> None:
    """It writes both columns in one statement, all the time, and each row is what it wrote last."""
    column = filled(application, keyring)
    rows: list[dict[str, Any]] = [
        {"id": number, "v": f"{number}@old"} for number in range(100, 400)
    ]
    application.run("INSERT INTO customers (id, email) VALUES (:id, :v)", *rows)
    wrote: dict[int, str] = {}
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set() and number < 400:
            number += 1
            key, value = 100 + number * 7 % 300, f"{number}@new"
            application.run(
                "UPDATE customers SET email = :v, sealed = :s WHERE id = :id",
                {"id": key, "v": value, "s": column.store(value.encode())},
            )
            wrote[key] = value

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = fill(keyring, application)
    finally:
        ended.set()
        writer.join()
    assert found.failed == 0
    assert fill(keyring, application).failed == 0
    assert opened(application, column) == {
        **PLAIN, **{row["id"]: wrote.get(row["id"], row["v"]) for row in rows}
    }  # fmt: skip


# What SQLite, PostgreSQL and MariaDB have for a kind, what is put there, and what is sealed.
KINDS: dict[str, tuple[tuple[str, str, str], Any, bytes]] = {
    "integer": (("INTEGER",) * 3, -17, b"-17"),
    "decimal": (("TEXT", "NUMERIC(9,2)", "NUMERIC(9,2)"), "12.50", b"125E-1"),
    "float": (("REAL", "REAL", "DOUBLE"), 0.5, b"\x3f\xe0" + bytes(6)),
    "boolean": (("BOOLEAN",) * 3, True, b"\x01"),
    "date": (("DATE",) * 3, "2026-02-28", b"2026-02-28"),
    "datetime-utc": (
        ("TIMESTAMP", "TIMESTAMP", "DATETIME"), "2026-02-28 13:37:01",
        b"2026-02-28T13:37:01+00:00",
    ),
    "uuid": (("TEXT", "UUID", "CHAR(36)"), f"{1:032x}", bytes(15) + b"\x01"),
    "json": (("TEXT", "JSON", "JSON"), '{"b": "x",  "a": 1}', b'{"a":1,"b":"x"}'),
}  # fmt: skip


def test_values_of_each_kind_are_sealed_as_their_field_does(
    application: Application, keyring: Keyring
) -> None:
    """Whatever the driver gives for them; what is none of its kind is reported, without it."""
    column = filled(application, keyring, "TEXT")
    which = ["sqlite", "postgresql", "mariadb"].index(application.engine.dialect.name)
    for kind, (types, given, sealed) in KINDS.items():
        name = kind.replace("-", "_")
        application.run(f"ALTER TABLE customers ADD COLUMN a_{name} {types[which]}")
        application.run(f"UPDATE customers SET sealed = NULL, a_{name} = :v", {"v": given})
        found = fill(keyring, application, old=f"a_{name}", spell=SPELLINGS[kind])
        assert (found.done, found.failures) == (5, []), kind
        assert column.open(values(application)[1]) == sealed, kind
        again = fill(keyring, application, old=f"a_{name}", spell=SPELLINGS[kind])
        assert (again.skipped, again.failed) == (5, 0), kind
    application.run("UPDATE customers SET sealed = NULL")
    found = fill(keyring, application, spell=SPELLINGS["date"])
    assert found.failures[0].reason == "the value is not of the kind date"
    assert found.failed == 4


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("boolean", "True"), ("boolean", "false"), ("datetime", "2026-02-28 13:37:01+02:00"),
        ("float", "0.1"), ("decimal", "1.10"), ("bytes", "x"), ("time", "13:37:00"),
    ],
)  # fmt: skip
def test_what_a_package_spelled_in_a_token_is_sealed_as_a_field_does(
    tmp_path: Path, keyring: Keyring, kind: str, written: str
) -> None:
    """So that booleans, times and floats of tokens are taken too, by a new column."""
    application = on_sqlite(tmp_path)
    column = filled(application, keyring)
    key = Writer.generate_key()
    token = Writer(key).encrypt(written.encode()).decode()
    application.run("DELETE FROM customers WHERE id > 1")
    application.run("UPDATE customers SET email = :v", {"v": token})
    source = Fernet([key], until="2020-01-01")
    assert fill(keyring, application, source=source, spell=SPELLINGS[kind]).done == 1
    assert column.open(values(application)[1]) == SPELLINGS[kind](written)
    application.run("UPDATE customers SET sealed = NULL, email = 17")
    assert fill(keyring, application, source=source, spell=SPELLINGS[kind]).failed == 1


def test_a_composite_key_and_a_column_of_text_are_filled(
    application: Application, keyring: Keyring
) -> None:
    """Text gets base64, and has no index."""
    keyring.provider.keys.create(INDEX, "index")
    application.run(
        "CREATE TABLE customers (a INTEGER, b VARCHAR(9), email DATE, sealed TEXT,"
        " PRIMARY KEY (a, b))"
    )
    rows = [{"a": n % 3, "b": f"k{n}", "v": f"2026-01-{n + 1:02}"} for n in range(9)]
    application.run("INSERT INTO customers (a, b, email) VALUES (:a, :b, :v)", *rows)
    plain = EncryptedField("customers", "email")
    found = fill(keyring, application, field=plain, spell=SPELLINGS["date"])
    assert (found.done, found.failures) == (9, [])
    column = EncryptedColumn(keyring, "customers", "email", key_id="orders")
    stored = application.all("SELECT email, sealed FROM customers")
    assert {column.open_either(value).decode() == str(day) for day, value in stored} == {True}
    assert all(isinstance(value, str) for _, value in stored) is (
        application.engine.dialect.name != "sqlite"
    )
    if application.engine.dialect.name != "sqlite":
        with pytest.raises(InvalidInputError, match="without an index"):
            fill(keyring, application)


def test_what_the_database_does_not_take_is_reported_by_row(
    application: Application, keyring: Keyring
) -> None:
    """A constraint refuses one row, and the others are filled."""
    filled(application, keyring)
    application.run(
        "INSERT INTO customers (id, email) VALUES (:id, :v)",
        *({"id": number, "v": "same"} for number in range(10, 20)),
    )
    application.run(
        "ALTER TABLE customers ADD COLUMN other INTEGER"
        if application.engine.dialect.name == "sqlite"
        else "ALTER TABLE customers ADD CONSTRAINT short CHECK (sealed IS NULL OR id <> 15)"
    )
    if application.engine.dialect.name == "sqlite":
        application.run(
            "CREATE TRIGGER short BEFORE UPDATE ON customers WHEN NEW.id = 15"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    found = fill(keyring, application)
    assert (found.done, found.failed) == (13, 1)
    assert found.failures[0].key == {"id": 15}
    assert "does not take the new value" in found.failures[0].reason


@pytest.mark.parametrize("application", ["postgresql"], indirect=True)
def test_a_row_that_is_held_is_reported_and_the_others_are_filled(
    application: Application, keyring: Keyring
) -> None:
    """Nobody waits for it; the next run takes it."""
    filled(application, keyring)
    with application.engine.begin() as holding:
        holding.exec_driver_sql("UPDATE customers SET email = 'late' WHERE id = 1")
        found = fill(keyring, application)
        assert (found.done, found.failed) == (3, 1)
        assert "held by another transaction" in found.failures[0].reason
    assert fill(keyring, application).done == 1


def test_a_column_is_filled_as_a_field_and_from_another(tmp_path: Path, keyring: Keyring) -> None:
    """Else nothing says what values are bound to; and in place is another command's."""
    application = on_sqlite(tmp_path)
    filled(application, keyring)
    with pytest.raises(InvalidInputError, match="none is named"):
        fill(keyring, application, field=None)
    with pytest.raises(InvalidInputError, match="in place"):
        fill(keyring, application, old="sealed")
    with pytest.raises(InvalidInputError, match="no column nothing"):
        fill(keyring, application, old="nothing")
    application.run("UPDATE customers SET email = 17")
    assert fill(keyring, application, spell=lambda _: b"x").done == 5
