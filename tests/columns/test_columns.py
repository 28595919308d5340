"""A column of an application's database is rewrapped, and the application notices nothing."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.columns import (
    Failure,
    MessageColumn,
    beginnings,
    count_values,
    json_line,
    rewrap_column,
    shown_url,
)
from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.security.errors import (
    DatabaseUnavailableError,
    DecryptionError,
    InvalidInputError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.keyring.recorded import RecordedKeyring
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.columns import Application, Beside, customers, on_sqlite, opened, rotate

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.support.audit import Books

MANY = 1_100  # rows: more than are read, or written in one transaction, at once


def rewrap(keyring: Keyring, application: Application, **options: Any) -> Any:
    """Rewrap customers.iban in this process, unless the options say otherwise."""
    options.setdefault("workers", 1)
    bound_to = options.pop("associated_data_column", None)
    column = MessageColumn(application.url, "customers", "iban", bound_to)
    return rewrap_column(keyring, column, **options)


@pytest.mark.parametrize("workers", [1, 2, None])
def test_every_message_is_moved_to_the_newest_version(
    application: Application, keyring: Keyring, workers: int | None
) -> None:
    """In one process and in several; nothing is left for a second run."""
    plain = customers(application, keyring, MANY)
    rotate(keyring)
    seen: list[int] = []
    report = rewrap(keyring, application, workers=workers, progress=seen.append)
    assert (report.done, report.skipped, report.failed, sum(seen)) == (MANY, 0, 0, MANY)
    assert opened(application, keyring) == plain
    again = rewrap(keyring, application, workers=workers)
    assert (again.done, again.skipped, again.failed) == (0, MANY, 0)


def test_an_empty_table_is_done(application: Application, keyring: Keyring) -> None:
    """There is nothing to do, and that is no error."""
    customers(application, keyring, 0)
    assert rewrap(keyring, application, workers=2).done == 0


def test_null_stays_and_counts_as_nothing(application: Application, keyring: Keyring) -> None:
    """A row without a value has nothing to move."""
    customers(application, keyring, 3)
    application.run("UPDATE customers SET iban = NULL WHERE id = 1")
    rotate(keyring)
    report = rewrap(keyring, application)
    assert (report.done, report.skipped) == (2, 0)
    assert application.one("SELECT iban FROM customers WHERE id = 1") is None
    assert count_values(MessageColumn(application.url, "customers", "iban")) == 2


def test_an_empty_value_is_passed_over_as_null_is(
    application: Application, keyring: Keyring
) -> None:
    """Applications write '' where they have nothing; it is counted, and nothing fails."""
    customers(application, keyring, 5)
    application.run("UPDATE customers SET iban = '' WHERE id IN (1, 2)")
    application.run("UPDATE customers SET iban = NULL WHERE id = 3")
    rotate(keyring)
    column = MessageColumn(application.url, "customers", "iban")
    assert (count_values(column), beginnings(column)[b""]) == (2, 0)
    for done, skipped in ((2, 0), (0, 2)):
        report = rewrap(keyring, application, workers=1 + skipped)
        assert (report.done, report.skipped, report.failed, report.empty) == (done, skipped, 0, 2)
    assert [
        value in (b"", "", None)
        for (value,) in application.all("SELECT iban FROM customers ORDER BY id")
    ] == [False, True, True, True, False]


def test_white_space_around_and_in_base64_is_no_failure(
    application: Application, keyring: Keyring
) -> None:
    """Lines as tools wrap them: the message is moved, and written back as one line."""
    application.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
    plain = b"some words " * 20
    message = keyring.encrypt(plain, key_id="orders")
    texts = [
        base64.b64encode(message).decode() + "\n",
        base64.encodebytes(message).decode(),
        base64.encodebytes(message).decode().replace("\n", "\r\n"),
        " \n",
    ]
    application.run(
        "INSERT INTO notes VALUES (:id, :body)",
        *({"id": number, "body": body} for number, body in enumerate(texts)),
    )
    rotate(keyring)
    report = rewrap_column(keyring, MessageColumn(application.url, "notes", "body"), workers=1)
    assert (report.done, report.skipped, report.failed) == (3, 1, 0)
    for (body,) in application.all("SELECT body FROM notes WHERE id < 3"):
        assert keyring.decrypt(base64.b64decode(body, validate=True)) == plain


def test_names_are_quoted_and_keys_may_have_many_columns(
    application: Application, keyring: Keyring
) -> None:
    """A name is a name, however it reads as SQL."""
    name = 'odd "table"; DROP TABLE x'
    quoted = '"' + name.replace('"', '""') + '"'
    application.run(
        f'CREATE TABLE {quoted} ("select" VARCHAR(9), "a b" INTEGER, "va%lue \\:x"'
        f' {application.bytes_type}, PRIMARY KEY ("select", "a b"))'
    )
    rows = [
        {"s": s, "b": b, "v": keyring.encrypt(b"%d" % b, key_id="orders")}
        for s in ("", "a", "ä'", "b")
        for b in range(-300, 300)
    ]
    application.run(f"INSERT INTO {quoted} VALUES (:s, :b, :v)", *rows)
    rotate(keyring)
    report = rewrap_column(keyring, MessageColumn(application.url, name, "va%lue :x"), workers=1)
    assert (report.done, report.failed) == (2400, 0)
    for number, value in application.all(f'SELECT "a b", "va%lue \\:x" FROM {quoted}'):
        assert keyring.describe(value).newest
        assert keyring.decrypt(value) == b"%d" % number


def test_a_table_may_be_named_with_its_schema(postgres_url: str, keyring: Keyring) -> None:
    """And one of the same name in the default schema is left alone."""
    application = Application(postgres_url)
    plain = customers(application, keyring, 5)
    application.run("CREATE SCHEMA other", {})
    application.run("CREATE TABLE other.customers (LIKE customers INCLUDING ALL)")
    application.run("INSERT INTO other.customers SELECT * FROM customers")
    rotate(keyring)
    report = rewrap_column(
        keyring, MessageColumn(postgres_url, "other.customers", "iban"), workers=1
    )
    assert report.done == 5
    moved = application.all("SELECT id, iban FROM other.customers")
    assert {n: keyring.decrypt(v) for n, v in moved} == plain
    assert all(keyring.describe(v).newest for _, v in moved)
    assert not any(
        keyring.describe(v).newest for _, v in application.all("SELECT * FROM customers")
    )


@pytest.mark.parametrize("urlsafe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_text_keeps_its_alphabet_and_padding(
    application: Application, keyring: Keyring, urlsafe: bool, padded: bool
) -> None:
    """Of values that show neither, too: they take after the others."""
    application.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, iban TEXT)")
    write = base64.urlsafe_b64encode if urlsafe else base64.b64encode

    def written(message: bytes) -> str:
        text = write(message).decode()
        return text if padded else text.rstrip("=")

    while set(written(keyring.encrypt(b"", key_id="orders"))[:16]) & set("+/-_"):
        rotate(keyring)  # until the handle tells no alphabet
    values = [written(keyring.encrypt(os.urandom(n), key_id="orders")) for n in range(40)]
    while True:  # one that tells no alphabet
        plain = written(keyring.encrypt(b"", key_id="orders"))
        if not set(plain) & set("+/-_"):
            break
    values.append(plain)
    rows = [{"id": n, "iban": value} for n, value in enumerate(values)]
    application.run("INSERT INTO customers VALUES (:id, :iban)", *rows)
    rotate(keyring)
    assert rewrap(keyring, application).done == 41
    for _, value in application.all("SELECT * FROM customers"):
        message = base64.b64decode(value.replace("-", "+").replace("_", "/") + "==")
        assert value == written(message)
        assert keyring.describe(message).newest


def test_bytes_that_hold_base64_keep_it(application: Application, keyring: Keyring) -> None:
    """A column of bytes may hold text as well."""
    customers(application, keyring, 1)
    text = base64.b64encode(keyring.encrypt(b"data", key_id="orders"))
    application.run("UPDATE customers SET iban = :iban", {"iban": text})
    rotate(keyring)
    assert rewrap(keyring, application).done == 1
    assert (
        keyring.decrypt(base64.b64decode(application.one("SELECT iban FROM customers"))) == b"data"
    )


@pytest.mark.parametrize(
    ("kind", "value", "bound"),
    [
        ("TEXT", "row ä", "row ä".encode()),
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ("INTEGER", 17, b"17"),
        ("TEXT", None, b""),
        ("TEXT", "", b""),
    ],
)
def test_associated_data_may_come_from_a_column(
    application: Application, keyring: Keyring, kind: str, value: Any, bound: bytes
) -> None:
    """Bytes as they are, text as UTF-8, numbers in decimal, NULL as none."""
    kind = application.bytes_type if kind == "bytes" else kind
    application.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, iban {application.bytes_type}, d {kind})"
    )
    message = keyring.encrypt(b"data", key_id="orders", associated_data=bound)
    row = {"m": message, "d": value}
    application.run("INSERT INTO customers VALUES (1, :m, :d)", row)
    rotate(keyring)
    report = rewrap(keyring, application, associated_data_column="d")
    assert (report.done, report.failed) == (1, 0)
    moved = application.one("SELECT iban FROM customers")
    assert keyring.describe(moved).newest
    assert keyring.decrypt(moved, associated_data=bound) == b"data"


def test_a_uuid_is_bound_as_its_text(postgres_url: str, keyring: Keyring) -> None:
    """As applications write it."""
    application = Application(postgres_url)
    application.run("CREATE TABLE customers (id UUID PRIMARY KEY, iban BYTEA)")
    name = uuid.uuid4()
    message = keyring.encrypt(b"data", key_id="orders", associated_data=str(name).encode())
    application.run("INSERT INTO customers VALUES (:id, :m)", {"id": name, "m": message})
    rotate(keyring)
    assert rewrap(keyring, application, associated_data_column="id").done == 1


def test_associated_data_may_be_one_for_all(application: Application, keyring: Keyring) -> None:
    """And then not come from a column as well."""
    customers(application, keyring, 1)
    message = keyring.encrypt(b"data", key_id="orders", associated_data=b"ibans")
    application.run("UPDATE customers SET iban = :iban", {"iban": message})
    rotate(keyring)
    assert rewrap(keyring, application).failed == 1
    assert rewrap(keyring, application, options=OpenOptions(b"ibans")).done == 1
    with pytest.raises(InvalidInputError):
        rewrap(keyring, application, options=OpenOptions(b"ibans"), associated_data_column="id")


def test_a_column_that_binds_nothing_can_be_bound_to_is_reported(
    application: Application, keyring: Keyring
) -> None:
    """A number with a fraction has no one text."""
    application.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, iban {application.bytes_type},"
        " d DOUBLE PRECISION)"
    )
    message = keyring.encrypt(b"data", key_id="orders")
    application.run("INSERT INTO customers VALUES (1, :m, 1.5)", {"m": message})
    (failure,) = rewrap(keyring, application, associated_data_column="d").failures
    assert "neither bytes nor text" in failure.reason


def test_what_does_not_open_stays_and_is_reported(
    application: Application, keyring: Keyring
) -> None:
    """Each with its key, and one bad value stops no other."""
    customers(application, keyring, 10)
    changed = bytearray(application.one("SELECT iban FROM customers WHERE id = 3"))
    changed[-1] ^= 1
    application.run("UPDATE customers SET iban = :m WHERE id = 3", {"m": bytes(changed)})
    application.run("UPDATE customers SET iban = :m WHERE id = 5", {"m": b"rubbish"})
    rotate(keyring)
    failures: list[Failure] = []
    report = rewrap(keyring, application, report=failures.append)
    assert (report.done, report.failed, report.failures) == (8, 2, [])
    assert failures == [Failure({"id": n}, DecryptionError.TEXT) for n in (3, 5)]
    assert application.one("SELECT iban FROM customers WHERE id = 3") == bytes(changed)
    assert application.one("SELECT iban FROM customers WHERE id = 5") == b"rubbish"


def test_a_report_is_a_line_of_json() -> None:
    """Whatever the type of the key."""
    name = uuid.UUID(int=7)
    key = {
        "n": 1,
        "t": "a\n",
        "b": b"\x01\xff",
        "u": name,
        "d": Decimal("1.50"),
        "w": datetime(2026, 3, 1, tzinfo=UTC),
        "o": frozenset(),
        "z": None,
    }
    line = json_line(Failure(key, "why"))
    assert "\n" not in line
    assert json.loads(line) == {
        "key": {
            "n": 1,
            "t": "a\n",
            "b": "01ff",
            "u": str(name),
            "d": "1.50",
            "w": "2026-03-01T00:00:00+00:00",
            "o": "frozenset()",
            "z": None,
        },
        "reason": "why",
    }


def test_long_values_are_moved_one_by_one(application: Application, keyring: Keyring) -> None:
    """They are not read with others, so that a page of them fits in memory."""
    customers(application, keyring, 3)
    data = os.urandom(100_000)
    message = keyring.encrypt(data, key_id="orders")
    application.run("UPDATE customers SET iban = :m WHERE id = 1", {"m": message})
    rotate(keyring)
    assert rewrap(keyring, application).done == 3
    assert opened(application, keyring)[1] == data


def test_both_forms_become_the_first(application: Application, keyring: Keyring) -> None:
    """A message with a data key of its own gets shorter."""
    customers(application, keyring, 1)
    message = keyring.data_key(key_id="orders").sealer.seal(b"data")
    application.run("UPDATE customers SET iban = :m", {"m": message})
    rotate(keyring)
    assert rewrap(keyring, application).done == 1
    assert opened(application, keyring) == {0: b"data"}


def test_versions_are_counted_by_the_database(application: Application, keyring: Keyring) -> None:
    """Of both forms; what is no message stands under no bytes."""
    customers(application, keyring, 5)
    old = keyring.provider.keys.get("orders").latest.handle
    rotate(keyring)
    new = keyring.provider.keys.get("orders").latest.handle
    for number, value in (
        (1, keyring.encrypt(b"", key_id="orders")),
        (2, keyring.data_key(key_id="orders").sealer.seal(b"")),
        (3, b"rubbish"),
    ):
        application.run(f"UPDATE customers SET iban = :m WHERE id = {number}", {"m": value})
    found = beginnings(MessageColumn(application.url, "customers", "iban"))
    assert found == {b"MFN\x01" + old: 2, b"MFN\x01" + new: 2, b"": 1}


@pytest.mark.parametrize("kind", ["TEXT", "BLOB"])
def test_versions_are_counted_behind_white_space(
    application: Application, keyring: Keyring, kind: str
) -> None:
    """Text that begins with a line end or an indent is a message, as it is for a rewrap."""
    column = kind if kind == "TEXT" else application.bytes_type
    application.run(f"CREATE TABLE notes (id INTEGER PRIMARY KEY, note {column})")
    sealed = keyring.encrypt(b"data", key_id="orders")
    text = base64.b64encode(sealed).decode()
    values: list[str | bytes] = [text, f"\r\n  {text}", f"\t{text}\n"]
    if kind == "BLOB":
        values = [*(str(each).encode() for each in values), sealed]
    for number, value in enumerate(values):
        application.run("INSERT INTO notes VALUES (:i, :m)", {"i": number, "m": value})
    found = beginnings(MessageColumn(application.url, "notes", "note"))
    assert found == {sealed[:12]: len(values)}


# What is refused ----------------------------------------------------------------------------


def test_a_table_without_a_primary_key_is_refused(
    application: Application, keyring: Keyring
) -> None:
    """Its rows could not be found again. A view is such a table."""
    customers(application, keyring, 1)
    application.run(f"CREATE TABLE bare (iban {application.bytes_type})")
    application.run("CREATE VIEW seen AS SELECT * FROM customers")
    for name in ("bare", "seen"):
        with pytest.raises(InvalidInputError, match="has no primary key"):
            rewrap_column(keyring, MessageColumn(application.url, name, "iban"))


@pytest.mark.parametrize(
    ("table", "column", "match"),
    [
        ("nothing", "iban", "there is no table nothing"),
        ("no.thing", "iban", r"there is no table no\.thing"),
        ("customers", "nothing", "has no column nothing"),
        ("customers", "id", "part of the primary key"),
    ],
)
def test_what_is_not_there_is_named(
    application: Application, keyring: Keyring, table: str, column: str, match: str
) -> None:
    """Before anything is done."""
    customers(application, keyring, 1)
    with pytest.raises(InvalidInputError, match=match):
        rewrap_column(keyring, MessageColumn(application.url, table, column))
    with pytest.raises(InvalidInputError, match="has no column gone"):
        rewrap(keyring, application, associated_data_column="gone")


def test_a_column_of_neither_bytes_nor_text_is_refused(
    postgres_url: str, tmp_path: Path, keyring: Keyring
) -> None:
    """On PostgreSQL by its type, on SQLite by its values, which may be of any."""
    postgresql, sqlite = Application(postgres_url), on_sqlite(tmp_path)
    for each in (postgresql, sqlite):
        each.run("CREATE TABLE customers (id INTEGER PRIMARY KEY, iban INTEGER)")
        each.run("INSERT INTO customers VALUES (1, 17)")
    with pytest.raises(InvalidInputError, match="holds neither bytes nor text"):
        rewrap(keyring, postgresql)
    (failure,) = rewrap(keyring, sqlite).failures
    assert failure == Failure({"id": 1}, "the value is neither bytes nor text")


@pytest.mark.parametrize(
    "url",
    ["hunter2", "oracle://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:", "x://hunter2:y@:z/"],
)
def test_other_databases_are_refused_without_their_url(keyring: Keyring, url: str) -> None:
    """A URL may hold a password."""
    with pytest.raises(InvalidInputError) as caught:
        rewrap_column(keyring, MessageColumn(url, "t", "c"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_database_out_of_reach_is_an_error_without_its_url(
    keyring: Keyring, tmp_path: Path
) -> None:
    """The driver's own text has host, user and more; a file is not made."""
    for url in (
        "postgresql://someone:hunter2@127.0.0.1:1/secret?connect_timeout=1",
        f"sqlite:///{tmp_path / 'none.db'}",
    ):
        with pytest.raises(DatabaseUnavailableError) as caught:
            rewrap_column(keyring, MessageColumn(url, "t", "c"))
        assert not {"hunter2", "secret", "someone"} & set(str(caught.value).split())
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert not (tmp_path / "none.db").exists()


def test_a_database_is_shown_without_its_secrets() -> None:
    """Its file, or its host and name."""
    assert (
        shown_url("postgresql://u:hunter2@db.example:5433/shop?sslkey=k") == "db.example:5433/shop"
    )
    assert shown_url("postgresql:///shop") == "localhost/shop"
    assert shown_url("sqlite:////srv/shop.db") == "/srv/shop.db"
    with pytest.raises(InvalidInputError):
        shown_url("hunter2")


# Others who write -----------------------------------------------------------------------------


def test_a_row_that_is_written_meanwhile_keeps_what_was_written(
    application: Application, keyring: Keyring
) -> None:
    """It is read again, and moved if it needs to be."""
    customers(application, keyring, 4)
    messages = iter([keyring.encrypt(b"mine", key_id="orders"), b"rubbish", None])
    rotate(keyring)
    left = iter([1, 2, 3])

    def write() -> None:
        if (number := next(left, None)) is not None:
            row = {"m": next(messages), "id": number}
            application.run("UPDATE customers SET iban = :m WHERE id = :id", row)

    with Beside(keyring, write) as beside:
        report = rewrap(beside, application)
    assert [failure.key for failure in report.failures] == [{"id": 2}]
    assert application.one("SELECT iban FROM customers WHERE id = 2") == b"rubbish"
    assert application.one("SELECT iban FROM customers WHERE id = 3") is None
    moved = application.one("SELECT iban FROM customers WHERE id = 1")
    assert keyring.describe(moved).newest
    assert keyring.decrypt(moved) == b"mine"
    assert report.done == 2


@pytest.mark.parametrize("change", ["DELETE FROM customers", "UPDATE customers SET iban = NULL"])
def test_a_row_that_goes_away_meanwhile_stays_away(
    application: Application, keyring: Keyring, change: str
) -> None:
    """It is neither moved nor a failure."""
    customers(application, keyring, 1)
    rotate(keyring)
    with Beside(keyring, lambda: application.run(change)) as beside:
        report = rewrap(beside, application)
    assert (report.done, report.skipped, report.failed) == (0, 1, 0)


def test_a_row_that_changes_every_time_is_given_up(
    application: Application, keyring: Keyring
) -> None:
    """With its reason, and with the application's last word in it."""
    customers(application, keyring, 1)
    messages = [keyring.encrypt(b"%d" % n, key_id="orders") for n in range(30)]
    rotate(keyring)
    written: list[bytes] = []

    def write() -> None:
        written.append(messages.pop())
        application.run("UPDATE customers SET iban = :m", {"m": written[-1]})

    with Beside(keyring, write) as beside:
        report = rewrap(beside, application)
    (failure,) = report.failures
    assert failure == Failure({"id": 0}, "was changed each time that it was to be written")
    assert application.one("SELECT iban FROM customers") == written[-1]


def test_associated_data_that_changes_meanwhile_is_read_again(
    application: Application, keyring: Keyring
) -> None:
    """A message bound to what is there no more would never open again."""
    customers(application, keyring, 1)
    application.run("ALTER TABLE customers ADD COLUMN d TEXT")
    before = keyring.encrypt(b"data", key_id="orders", associated_data=b"before")
    after = keyring.encrypt(b"data", key_id="orders", associated_data=b"after")
    application.run("UPDATE customers SET iban = :m, d = 'before'", {"m": before})
    rotate(keyring)
    steps = iter(
        [
            ("UPDATE customers SET d = 'after'", {}),
            ("UPDATE customers SET iban = :m", {"m": after}),
        ]
    )

    def write() -> None:
        for statement, given in steps:
            application.run(statement, given)
            return

    with Beside(keyring, write) as beside:
        report = rewrap(beside, application, associated_data_column="d")
    assert (report.done, report.failed) == (1, 0)
    moved = application.one("SELECT iban FROM customers")
    assert keyring.describe(moved).newest
    assert keyring.decrypt(moved, associated_data=b"after") == b"data"


@pytest.mark.parametrize("row", [3, 19])
def test_what_the_database_refuses_is_reported(
    application: Application, keyring: Keyring, row: int
) -> None:
    """A constraint stops its own row and no other."""
    plain = customers(application, keyring, 0)
    application.run("DROP TABLE customers")
    application.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, iban {application.bytes_type},"
        f" fixed {application.bytes_type}, CHECK (id <> {row} OR iban = fixed))"
    )
    plain = {n: keyring.encrypt(b"x", key_id="orders") for n in range(20)}
    rows = [{"id": n, "m": m} for n, m in plain.items()]
    application.run("INSERT INTO customers VALUES (:id, :m, :m)", *rows)
    rotate(keyring)
    report = rewrap(keyring, application)
    assert report.done == 19
    (failure,) = report.failures
    assert failure.key == {"id": row}
    assert "the database does not take the new value" in failure.reason
    kept = application.one(f"SELECT iban FROM customers WHERE id = {row}")
    assert kept == plain[row]


_HOLD = """
import sys, time
from sqlalchemy import create_engine, text
with create_engine(sys.argv[1]).connect() as connection:
    change = text("UPDATE customers SET iban = :m WHERE id = 7")
    connection.execute(change, {"m": bytes.fromhex(sys.argv[2])})
    print("held", flush=True)
    time.sleep(0.5)
    connection.commit()
"""


def test_a_row_that_another_transaction_holds_is_waited_for(
    application: Application, keyring: Keyring
) -> None:
    """It is moved once it is free, and what the transaction wrote stays."""
    customers(application, keyring, 50)
    message = keyring.encrypt(b"mine", key_id="orders")
    rotate(keyring)
    command = [sys.executable, "-c", _HOLD, application.url, message.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        report = rewrap(keyring, application, workers=2)
    assert (report.done, report.failed) == (50, 0)
    assert opened(application, keyring)[7] == b"mine"


def test_two_runs_at_once_do_the_work_once(application: Application, keyring: Keyring) -> None:
    """Whoever comes second finds it done."""
    plain = customers(application, keyring, MANY)
    rotate(keyring)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(rewrap(keyring, application)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.done for report in found) == MANY
    assert [report.failed for report in found] == [0, 0]
    assert opened(application, keyring) == plain


# Keys of all types ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("SMALLINT", "n - 30"),
        ("BIGINT", "n * 5000000000"),
        ("NUMERIC", "n / 7.0"),
        ("REAL", "n / 7.0"),
        ("DOUBLE PRECISION", "n / 7.0"),
        ("TEXT", "chr(n + 64) || 'ä'"),
        ("CHAR(9)", "'a' || n"),
        ("VARCHAR(9)", "'a' || n"),
        ("BYTEA", "('\\x' || lpad(n::text, 4, '0'))::bytea"),
        ("UUID", "gen_random_uuid()"),
        ("DATE", "DATE '2026-01-01' + n"),
        ("TIMESTAMPTZ", "now() + n * INTERVAL '1.000001 day'"),
        ("TIMESTAMP", "localtimestamp + n * INTERVAL '1 day'"),
        ("INET", "'10.0.0.0'::inet + n"),
        ("BIT(8)", "n::bit(8)"),
        ("mood", "('m' || n)::mood"),
        ("years", "n::years"),
        ("int4range", "int4range(n, n + 1)"),
    ],
)
def test_a_primary_key_may_be_of_any_type(
    postgres_url: str, keyring: Keyring, kind: str, values: str
) -> None:
    """Of a known one rows are written together, of others one by one."""
    application = Application(postgres_url)
    application.run("CREATE TYPE mood AS ENUM (" + ", ".join(f"'m{n}'" for n in range(60)) + ")")
    application.run("CREATE DOMAIN years AS INTEGER CHECK (VALUE >= 0)")
    application.run(f"CREATE TABLE customers (id {kind} PRIMARY KEY, iban BYTEA)")
    message = keyring.encrypt(b"data", key_id="orders")
    application.run(
        f"INSERT INTO customers SELECT {values}, :m FROM generate_series(0, 59) n".replace(
            "::", "\\:\\:"
        ),
        {"m": message},
    )
    rotate(keyring)
    report = rewrap(keyring, application)
    assert (report.done, report.failed) == (60, 0)
    newest = keyring.provider.keys.get("orders").latest.handle
    moved = application.one(
        "SELECT count(*) FROM customers WHERE substr(iban, 5, 8) = :h", h=newest
    )
    assert moved == 60


@pytest.mark.parametrize("kind", ["TEXT", "VARCHAR(400)", "CHAR(400)"])
def test_a_column_may_be_of_any_type_of_text(
    postgres_url: str, keyring: Keyring, kind: str
) -> None:
    """Also one that the database fills up with blanks."""
    application = Application(postgres_url)
    application.run(f"CREATE TABLE customers (id INTEGER PRIMARY KEY, iban {kind})")
    message = base64.b64encode(keyring.encrypt(b"data", key_id="orders")).decode()
    application.run("INSERT INTO customers VALUES (1, :m)", {"m": message})
    rotate(keyring)
    report = rewrap(keyring, application)
    assert (report.done, report.failed) == (1, 0)


def test_keys_of_sqlite_may_be_of_mixed_types(tmp_path: Path, keyring: Keyring) -> None:
    """And NULL, by which no row can be found again: it is reported."""
    application = on_sqlite(tmp_path)
    application.run("CREATE TABLE customers (a, b TEXT, iban BLOB, PRIMARY KEY (a, b))")
    keys = [(1, "x"), (1.5, "x"), ("1", "x"), (b"1", "x"), ("", ""), (None, "x"), (None, "y")]
    message = keyring.encrypt(b"data", key_id="orders")
    rows = [{"a": a, "b": b, "m": message} for a, b in keys]
    application.run("INSERT INTO customers VALUES (:a, :b, :m)", *rows)
    rotate(keyring)
    report = rewrap(keyring, application)
    assert report.done == 5
    assert [failure.key for failure in report.failures] == [
        {"a": None, "b": "x"},
        {"a": None, "b": "y"},
    ]
    assert "cannot be found again" in report.failures[0].reason


# Processes ------------------------------------------------------------------------------------


def test_a_process_that_is_killed_is_told_of(application: Application, keyring: Keyring) -> None:
    """The run ends with an error, and the next one takes up the rest."""
    plain = customers(application, keyring, MANY)
    rotate(keyring)
    here = os.getpid()

    def end() -> None:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)

    beside = Beside(keyring, end)
    with pytest.raises(DatabaseUnavailableError, match="process"):
        rewrap(beside, application, workers=2)
    assert rewrap(keyring, application, workers=2).failed == 0
    assert opened(application, keyring) == plain


def test_processes_record_their_uses_in_chains_of_their_own(
    application: Application, books: Books
) -> None:
    """Where a program has its uses recorded; each chain is whole and anchored at the end."""
    books.provider.keys.create("orders")
    books.provider.audit = books.log()
    keyring = RecordedKeyring(books.provider, UsageStore(books.provider.store.database))
    customers(application, keyring, 12)
    rotate(keyring)
    assert rewrap(keyring, application, workers=2).done == 12
    books.provider.audit.close()
    assert len(books.records_of("rewrap")) == 12
    assert books.faults() == []
    assert all(chain.past_anchor == 0 for chain in books.verified().chains)


def test_an_error_of_a_process_is_raised_here(application: Application, keyring: Keyring) -> None:
    """With its class and text."""
    customers(application, keyring, 10)
    rotate(keyring)

    def fail() -> None:
        raise StoreUnavailableError("the key store does not answer")

    with pytest.raises(StoreUnavailableError, match="does not answer"):
        rewrap(Beside(keyring, fail), application, workers=2)


def test_an_unexpected_error_of_a_process_ends_the_run(
    application: Application, keyring: Keyring
) -> None:
    """It is not taken for success."""
    customers(application, keyring, 10)
    rotate(keyring)

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(DatabaseUnavailableError, match="process"):
        rewrap(Beside(keyring, fail), application, workers=2)


def test_a_table_that_goes_away_ends_the_run(application: Application, keyring: Keyring) -> None:
    """With the kind of the database's error and not its text."""
    customers(application, keyring, 10)
    rotate(keyring)
    gone = "DROP TABLE IF EXISTS customers"
    with pytest.raises(DatabaseUnavailableError, match="the database of the column failed"):
        rewrap(Beside(keyring, lambda: application.run(gone)), application)


def test_nothing_that_is_shown_has_the_url(tmp_path: Path) -> None:
    """A URL may stand in a traceback's variables as well."""
    application = on_sqlite(tmp_path)
    assert repr(ColumnDatabase(application.url)) == "ColumnDatabase('sqlite')"
    column = MessageColumn(application.url, "t", "c")
    assert repr(column) == "MessageColumn('t', 'c')"


def test_a_connection_that_is_lost_ends_the_run(postgres_url: str, keyring: Keyring) -> None:
    """What was committed stays, and the next run takes up the rest."""
    application = Application(postgres_url)
    plain = customers(application, keyring, 50)
    rotate(keyring)
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DatabaseUnavailableError, match="failed"):
        rewrap(Beside(keyring, lambda: application.run(end)), application)
    assert rewrap(keyring, application).done == 50
    assert opened(application, keyring) == plain


def test_a_role_that_may_not_write_ends_the_run(postgres_url: str, keyring: Keyring) -> None:
    """It is no fault of single rows."""
    application = Application(postgres_url)
    customers(application, keyring, 5)
    rotate(keyring)
    application.run("CREATE ROLE reader LOGIN")
    application.run("GRANT SELECT ON customers TO reader")
    url = postgres_url.replace("mfn@", "reader@")
    with pytest.raises(DatabaseUnavailableError, match="InsufficientPrivilege"):
        rewrap_column(keyring, MessageColumn(url, "customers", "iban"), workers=1)


def test_a_commit_is_durable_where_the_database_would_not_wait(
    postgres_url: str, keyring: Keyring
) -> None:
    """A version may be destroyed because its data was moved."""
    application = Application(postgres_url)
    application.run("ALTER ROLE mfn SET synchronous_commit = off")
    try:
        database = ColumnDatabase(postgres_url)
        with database.connection() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert application.one("SHOW synchronous_commit") == "off"
    finally:
        application.run("ALTER ROLE mfn RESET synchronous_commit")


def test_a_run_waits_for_the_disk_at_its_end(postgres_url: str, keyring: Keyring) -> None:
    """No batch does, and one record behind them all does: the log is in order."""
    application = Application(postgres_url)
    customers(application, keyring, 5)
    database = ColumnDatabase(postgres_url)
    with database.connection() as connection:
        with database.writing(connection):
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off"
            connection.exec_driver_sql("UPDATE customers SET iban = 'x'").close()
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        written = connection.exec_driver_sql("SELECT pg_current_wal_insert_lsn()").scalar_one()
    database.make_durable()
    flushed = "SELECT pg_current_wal_flush_lsn() >= CAST(:lsn AS pg_lsn)"
    assert application.one(flushed, lsn=written)
