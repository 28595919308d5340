"""A value that does not open is named by table, column and row; never shown."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net.columns.plaintext import Plaintext
from mycelium_fractal_net.integrations.sqlalchemy import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.row_values import SealedRow
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import TABLE, Customer

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.fixture
def two(session: Session) -> Session:
    """With two customers, of whom the second is to be damaged."""
    session.add_all(
        Customer(id=number, email=email, name=email, points=number)
        for number, email in ((16, ADA), (17, BOB))
    )
    session.commit()
    return session


def damage(session: Session, column: str, sql: str) -> None:
    """Have the second customer's column hold what an expression makes of it."""
    session.execute(text(f"UPDATE customers SET {column} = {sql} WHERE id = 17"))
    session.commit()


def cut(session: Session, column: str) -> None:
    """Take the last bytes from the second customer's value."""
    damage(session, column, f"substr({column}, 1, 80)")


@pytest.mark.parametrize("stored", ["2000000000000", "5", "'x'", "1.5"])
@pytest.mark.parametrize("kind", ["bytes", "text", "taken over", "of its row"])
def test_what_is_no_bytes_does_not_open(keys: Keyring, kind: str, stored: str) -> None:
    """SQLite stores it in any column; a number was as many zero bytes, and the end of memory."""
    types: dict[str, Any] = {
        "bytes": lambda: Encrypted(String(9), key_id="customers"),
        "text": lambda: Encrypted(String(9), key_id="customers", as_text=True),
        "taken over": lambda: Encrypted(
            LargeBinary(9), key_id="customers", takes_over=Plaintext(datetime.date(2000, 1, 1))
        ),
        "of its row": lambda: SealedRow(String(9), key_id="customers"),
    }
    table = Table(
        "t", MetaData(), Column("id", Integer, primary_key=True), Column("v", types[kind]())
    )
    with create_engine("sqlite://").begin() as connection:
        table.create(connection)
        connection.exec_driver_sql(f"INSERT INTO t VALUES (1, {stored})")
        if kind == "of its row":
            assert connection.execute(select(table.c.v)).scalar_one().sealed == b""
            return
        with pytest.raises(DecryptionError, match=r"t\.v"):
            connection.execute(select(table.c.v)).all()


@pytest.mark.parametrize("column", ["email", "points"])
def test_a_value_that_was_cut_is_named_by_its_row(two: Session, column: str) -> None:
    """By the index on its tags, or by reading the table; the value itself is not shown."""
    cut(two, column)
    for asked in (select(Customer), select(getattr(Customer, column))):
        with pytest.raises(DecryptionError) as caught:
            two.scalars(asked).all()
        assert str(caught.value).startswith(f"customers.{column}, id=17: the message does not")
        assert "bob" not in str(caught.value)
    with pytest.raises(DecryptionError, match=r"^customers\.(email|points), id=17: "):
        two.get(Customer, 17)
    assert two.get(Customer, 16) is not None  # and the transaction goes on


def test_a_value_of_another_column_is_named_by_its_row(two: Session) -> None:
    """A database writer has put it there."""
    damage(two, "name", "email")
    with pytest.raises(DecryptionError, match=r"^customers\.name, id=17: the message does not"):
        two.scalars(select(Customer)).all()


def test_a_row_and_its_copy_are_both_named(two: Session) -> None:
    """They have the same bytes, and nobody knows which of them was read."""
    two.execute(
        text("UPDATE customers SET points = (SELECT substr(c.points, 1, 80) FROM customers c"
             " WHERE c.id = 17)")
    )  # fmt: skip
    two.commit()
    with pytest.raises(DecryptionError, match=r"^customers\.points, id=16 or id=17: "):
        two.scalars(select(Customer.points)).all()


def test_a_value_of_another_kind_is_named_by_its_row(two: Session, keys: Keyring) -> None:
    """It opens, and is no number."""
    kind = TABLE.c.points.type
    assert isinstance(kind, Encrypted)
    raw = Table("customers", MetaData(), Column("id", Integer), Column("points", LargeBinary))
    two.execute(update(raw).where(raw.c.id == 17).values(points=kind.field.store(b"many")))
    two.commit()
    with pytest.raises(InvalidInputError) as caught:
        two.scalars(select(Customer.points)).all()
    assert str(caught.value) == "customers.points, id=17: what is stored is no integer"


def test_a_row_that_cannot_be_looked_for_is_not_named(two: Session) -> None:
    """Its connection was given up before the value was read; column and table are named still."""
    cut(two, "email")
    stored = two.scalars(
        select(type_coerce(Customer.email, LargeBinary)).where(Customer.id == 17)
    ).one()
    two.scalars(select(Customer.email).where(Customer.id == 16)).all()
    read: Any = TABLE.c.email.type.dialect_impl(two.connection().dialect)
    opening = read.result_processor(two.connection().dialect, None)
    two.close()
    with pytest.raises(DecryptionError, match=r"^customers\.email: the message does not open"):
        opening(stored)


def test_a_column_of_text_and_one_without_a_primary_key(sqlite: Engine, keys: Keyring) -> None:
    """The one is named by its row, of two columns; in the other there is nothing to name."""
    metadata = MetaData()
    note = Encrypted(String, key_id="customers", as_text=True)
    keyed = Table(
        "keyed",
        metadata,
        Column("year", Integer, primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("note", note),
    )
    bare = Table("bare", metadata, Column("number", Integer), Column("note", note))
    with sqlite.connect() as connection:
        metadata.create_all(connection)
        for table, given in ((keyed, {"year": 1, "number": 2}), (bare, {"number": 2})):
            connection.execute(insert(table).values(**given, note="a note"))
            raw = Table(table.name, MetaData(), Column("note", Text))
            stored = connection.scalars(select(raw.c.note)).one()
            connection.execute(update(raw).values(note=stored[:-8] + "AAAAAAAA"))
        for table, named in ((keyed, "keyed.note, year=1, number=2: "), (bare, "bare.note: ")):
            with pytest.raises(DecryptionError) as caught:
                connection.execute(select(table)).all()
            assert str(caught.value).startswith(named)
        connection.rollback()
        metadata.drop_all(connection)
        connection.commit()


def test_in_asyncio_the_column_is_named_and_nothing_is_asked(
    postgresql: Engine, keys: Keyring
) -> None:
    """A connection there is asked by its own loop alone; the session goes on."""
    with Session(postgresql) as session:
        session.add(Customer(id=17, email=BOB))
        session.commit()
        cut(session, "email")

    async def work() -> None:
        engine = create_async_engine(postgresql.url)
        async with AsyncSession(engine) as session:
            with pytest.raises(DecryptionError, match=r"^customers\.email: the message does not"):
                (await session.scalars(select(Customer))).all()
            assert (await session.scalars(select(Customer.id))).all() == [17]
        await engine.dispose()

    asyncio.run(work())


def test_a_connection_that_refuses_the_look_leaves_the_error_as_it_was(
    sqlite: Engine, keys: Keyring
) -> None:
    """Such as one whose table is gone meanwhile."""
    with Session(sqlite) as session:
        session.add(Customer(id=17, email=BOB))
        session.commit()
        cut(session, "email")
        rows = session.execute(select(Customer.email).execution_options(yield_per=1))
        session.execute(text("ALTER TABLE customers RENAME TO former"))
        with pytest.raises(DecryptionError, match=r"^customers\.email: the message does not"):
            rows.all()
        session.execute(text("ALTER TABLE former RENAME TO customers"))
        session.commit()
