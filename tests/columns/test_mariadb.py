"""What MariaDB does otherwise than others: equality of text, cut values, comparisons of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.columns import MessageColumn, rewrap_column
from mycelium_fractal_net.columns.column_database import (
    ColumnDatabase,
    NotWrittenError,
    Why,
    dialect_of,
)
from mycelium_fractal_net.columns.located_column import LocatedColumn, Span
from mycelium_fractal_net.security.errors import DatabaseUnavailableError, InvalidInputError
from tests.support.columns import Application, Beside, rotate

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


def test_associated_data_that_is_equal_only_as_text_is_another(
    mariadb_url: str, keyring: Keyring
) -> None:
    """Its collation takes "a" for "A "; a message bound to the one is lost beside the other."""
    application = Application(mariadb_url)
    application.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, iban BLOB, d VARCHAR(9))")
    before = keyring.encrypt(b"data", key_id="orders", associated_data=b"a")
    application.run("INSERT INTO customers VALUES (1, :m, 'a')", {"m": before})
    rotate(keyring)
    assert application.one("SELECT 'a' = 'A '") == 1
    change = iter(["UPDATE customers SET d = 'A '"])

    def write() -> None:
        for statement in change:
            application.run(statement)

    column = MessageColumn(mariadb_url, "customers", "iban", "d")
    report = rewrap_column(Beside(keyring, write), column, workers=1)
    assert (report.done, report.failed) == (0, 1)
    assert application.one("SELECT iban FROM customers") == before


def test_a_value_that_is_too_long_is_refused_and_not_cut(mariadb_url: str) -> None:
    """Whatever the server's own sql_mode is."""
    application = Application(mariadb_url)
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body VARBINARY(8))")
    application.run("INSERT INTO notes VALUES (1, 'short')")
    before = application.one("SELECT @@GLOBAL.sql_mode")
    application.run("SET GLOBAL sql_mode = ''")
    try:
        database = ColumnDatabase(mariadb_url)
        with database.connection() as connection:
            with pytest.raises(NotWrittenError) as caught, database.writing(connection):
                connection.exec_driver_sql("UPDATE notes SET body = 'much too long'").close()
            assert caught.value.why is Why.REFUSED
    finally:
        application.run("SET GLOBAL sql_mode = :m", {"m": before})
    assert application.one("SELECT body FROM notes") == b"short"


def test_a_key_of_several_columns_is_looked_up_in_its_index(mariadb_url: str) -> None:
    """A comparison of rows alone has it read the whole table for each stretch."""
    application = Application(mariadb_url)
    application.run(
        "CREATE TABLE items (a INTEGER, b INTEGER, c INTEGER, m BLOB, PRIMARY KEY (a, b, c))"
    )
    keys = [(a, b, c) for a in range(8) for b in range(8) for c in range(8)]
    application.run(
        "INSERT INTO items VALUES (:a, :b, :c, 'x')",
        *({"a": a, "b": b, "c": c} for a, b, c in keys),
    )
    database = ColumnDatabase(mariadb_url)
    with database.connection() as connection, database.reading(connection):
        place = LocatedColumn.find(connection, "items", "m")
        for after, upto in (((1, 7, 3), (2, 0, 7)), (None, (0, 0, 1)), ((7, 7, 6), None)):
            rows = place.rows(connection, Span(after, upto))
            wanted = [
                key
                for key in keys
                if (after is None or key > after) and (upto is None or key <= upto)
            ]
            assert [row.key for row in rows] == wanted
        connection.exec_driver_sql("ANALYZE TABLE items").close()
        connection.exec_driver_sql("FLUSH STATUS").close()
        place.rows(connection, Span((1, 7, 3), (2, 0, 7)))
        read = dict(
            tuple(each)
            for each in connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'")
        )
    assert int(read["Handler_read_next"]) + int(read["Handler_read_rnd_next"]) < 130


def test_a_key_that_finds_no_row_again_is_refused(mariadb_url: str, keyring: Keyring) -> None:
    """What a FLOAT is read as, it is not equal to; a DOUBLE is."""
    application = Application(mariadb_url)
    message = keyring.encrypt(b"data", key_id="orders")
    for kind in ("FLOAT", "DOUBLE"):
        application.run(f"CREATE TABLE t_{kind} (id {kind} PRIMARY KEY, m BLOB)")
        application.run(f"INSERT INTO t_{kind} VALUES (0.1, :m)", {"m": message})
    rotate(keyring)
    assert rewrap_column(keyring, MessageColumn(mariadb_url, "t_DOUBLE", "m"), workers=1).done == 1
    with pytest.raises(InvalidInputError, match="FLOAT"):
        rewrap_column(keyring, MessageColumn(mariadb_url, "t_FLOAT", "m"), workers=1)


@pytest.mark.parametrize("kind", ["VARBINARY(400)", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB"])
def test_a_column_may_be_of_any_type_of_bytes(
    mariadb_url: str, keyring: Keyring, kind: str
) -> None:
    """Whatever its longest length."""
    application = Application(mariadb_url)
    application.run(f"CREATE TABLE customers (id INTEGER PRIMARY KEY, m {kind})")
    message = keyring.encrypt(b"data", key_id="orders")
    application.run("INSERT INTO customers VALUES (1, :m)", {"m": message})
    rotate(keyring)
    column = MessageColumn(mariadb_url, "customers", "m")
    assert rewrap_column(keyring, column, workers=1).done == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("BIGINT", [-(2**63), 0, 2**63 - 1]),
        ("VARCHAR(9)", ["a", "b'", "ä\\"]),
        ("VARBINARY(9)", [b"", b"\x00'", b"\xff"]),
        ("DECIMAL(9, 3)", ["0.125", "7"]),
        ("DATETIME(6)", ["2026-01-01 00:00:00.000001", "2026-01-02"]),
        ("UUID", ["00000000-0000-4000-8000-000000000001", "f0000000-0000-4000-8000-00000000000f"]),
        ("ENUM('x', 'a')", ["x", "a"]),
    ],
)
def test_a_primary_key_may_be_of_many_types(
    mariadb_url: str, keyring: Keyring, kind: str, values: list[object]
) -> None:
    """Each value finds its row again."""
    application = Application(mariadb_url)
    application.run(f"CREATE TABLE customers (id {kind} PRIMARY KEY, m BLOB)")
    message = keyring.encrypt(b"data", key_id="orders")
    rows = [{"id": each, "m": message} for each in values]
    application.run("INSERT INTO customers VALUES (:id, :m)", *rows)
    rotate(keyring)
    column = MessageColumn(mariadb_url, "customers", "m")
    report = rewrap_column(keyring, column, workers=1)
    assert (report.done, report.failed) == (len(values), 0)


def test_a_server_out_of_reach_is_an_error_without_its_url(keyring: Keyring) -> None:
    """As of the other databases."""
    url = "mysql://someone:hunter2@127.0.0.1:1/secret"
    with pytest.raises(DatabaseUnavailableError) as caught:
        rewrap_column(keyring, MessageColumn(url, "t", "c"))
    assert not {"hunter2", "secret", "someone"} & set(str(caught.value).split())


def test_both_names_are_of_one_dialect(mariadb_url: str) -> None:
    """SQLAlchemy has a name for each."""
    for name in ("mysql", "mariadb"):
        database = ColumnDatabase(mariadb_url.replace("mariadb+pymysql", name))
        with database.connection() as connection:
            assert database.dialect == dialect_of(connection) == "mysql"
            assert database.rows_at_once(connection) > 1
