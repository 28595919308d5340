"""What is stored in an encrypted column of SQLAlchemy, and how it is found."""

from __future__ import annotations

import contextlib
import pickle
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, LargeBinary, event, insert, null, select, text, type_coerce, update
from sqlalchemy.orm import Session, aliased

from mycelium_fractal_net.integrations.sqlalchemy import RefusedQueryError, may_equal
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import EMAIL, TABLE, Base, Customer, Tier

VALUES: dict[str, Any] = {
    "email": "Ada@Example.com",
    "name": "Ada Lovelace",
    "town": "London",
    "born": date(1815, 12, 10),
    "seen": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "balance": Decimal("12.50"),
    "points": -7,
    "photo": b"\x00\xff",
    "notes": {"likes": ["engines", 1.5, None]},
    "ticket": uuid.UUID(int=5),
    "tier": Tier.GOLD,
}


@contextlib.contextmanager
def sent(engine: Any) -> Iterator[list[str]]:
    """The statements that the driver gets meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def ada(session: Session) -> Customer:
    customer = Customer(**VALUES)
    session.add(customer)
    session.commit()
    session.expire_all()
    return customer


def test_values_of_each_kind_come_back(session: Session) -> None:
    """What was stored is what is read, in its own type."""
    customer = ada(session)
    assert {name: getattr(customer, name) for name in VALUES} == VALUES


def test_no_value_is_in_the_database_in_plaintext(session: Session) -> None:
    """The driver sees sealed bytes alone, whatever the type."""
    ada(session)
    row = session.execute(text("SELECT * FROM customers")).mappings().one()
    for name in VALUES:
        assert b"MFN" in bytes(row[name])
        assert b"Ada" not in bytes(row[name])


def test_a_row_is_found_by_equality_and_among_values(session: Session) -> None:
    """By its own value as it is normalised, and by no other."""
    customer = ada(session)
    for found in (
        Customer.email == "ADA@example.COM",
        Customer.email.in_(["nobody@example.com", "ada@example.com"]),
        Customer.name == "Ada Lovelace",
        Customer.balance == Decimal("12.5"),
        Customer.name != "Charles",
        Customer.name == "Ada Lovelace",
        ~(Customer.name == "Charles"),
    ):
        assert session.scalars(select(Customer).where(found)).all() == [customer]
    for missed in (
        Customer.email == "bob@example.com",
        Customer.name == "ada lovelace",
        Customer.name.in_([]),
        Customer.name.not_in(["Ada Lovelace"]),
        Customer.email.is_(None),
    ):
        assert session.scalars(select(Customer).where(missed)).all() == []


def test_none_is_null(session: Session) -> None:
    """No value is no message: it is found by IS NULL, and by no tag."""
    customer = ada(session)
    customer.name = None
    session.commit()
    for found in (Customer.name.is_(None), Customer.name == None, Customer.name == null()):  # noqa: E711
        assert session.scalars(select(Customer).where(found)).all() == [customer]
    assert customer.name is None
    assert session.scalars(select(Customer).where(Customer.email.is_not(None))).all() == [customer]


def test_an_alias_and_a_subquery_are_searched_as_their_table(session: Session) -> None:
    """The value keeps what it is bound to, wherever its column is asked through."""
    customer = ada(session)
    other = aliased(Customer)
    assert session.scalars(select(other).where(other.name == customer.name)).all() == [customer]
    inner = select(Customer.id, Customer.name.label("called")).subquery()
    found = session.execute(select(inner.c.called).where(inner.c.called == "Ada Lovelace"))
    assert found.scalars().all() == ["Ada Lovelace"]


def test_core_and_bulk_statements_store_what_the_orm_stores(engine: Engine, keys: Keyring) -> None:
    """One column holds tag and message, so that no way of writing leaves one of them behind."""
    with engine.begin() as connection:
        connection.execute(insert(TABLE), [{"email": f"{n}@example.com"} for n in range(30)])
        connection.execute(insert(TABLE).values(email="x@example.com", name="X"))
        connection.execute(update(TABLE).where(TABLE.c.email == "3@example.com").values(name="C"))
        connection.execute(
            update(TABLE).where(TABLE.c.name == "X").values({TABLE.c.email: "y@example.com"})
        )
        found = select(TABLE.c.email).where(TABLE.c.name.in_(["C", "X"])).order_by(TABLE.c.id)
        assert connection.scalars(found).all() == ["3@example.com", "y@example.com"]


def test_returning_opens_what_was_stored(session: Session) -> None:
    """RETURNING has values, as SELECT has."""
    made = insert(Customer).values(email="a@example.com").returning(Customer.email)
    assert session.scalars(made).all() == ["a@example.com"]


def test_sealed_bytes_of_another_column_do_not_open(session: Session) -> None:
    """A database writer who copies a value into another column is seen, by table and column."""
    ada(session)
    session.execute(text("UPDATE customers SET name = email"))
    with pytest.raises(DecryptionError, match=r"^customers\.name, id=\d+: the message"):
        session.scalars(select(Customer.name)).all()


@pytest.mark.parametrize("stored", [b"", b"\x00" * 20, b"\x00" * 200])
def test_what_is_no_message_is_refused(sqlite: Engine, keys: Keyring, stored: bytes) -> None:
    """Bytes that nobody sealed are an error that names the column."""
    with Session(sqlite) as session:
        ada(session)
        session.execute(text("UPDATE customers SET name = :stored"), {"stored": stored})
        with pytest.raises(DecryptionError, match=r"^customers\.name, id=1: "):
            session.scalars(select(Customer.name)).all()


def test_short_tags_are_candidates_that_the_caller_compares(session: Session) -> None:
    """A tag that is cut short may be another value's: plain equality is refused."""
    customer = ada(session)
    with pytest.raises(RefusedQueryError, match=r"customers\.town: its tags are cut short"):
        _ = Customer.town == "London"
    candidates = select(Customer).where(may_equal(Customer.town, "London"))
    assert customer in session.scalars(candidates).all()


def test_values_that_do_not_fit_are_refused_without_being_shown(session: Session) -> None:
    """The database cannot hold a length, so the type does; its error names the column."""
    for name, value in {
        "email": "secret" * 20,
        "balance": Decimal("1.234"),
        "points": "secret",
        "born": "secret",
        "notes": {"secret"},
        "tier": "secret",
    }.items():
        session.add(Customer(**{"email": "a@example.com", name: value}))
        with pytest.raises(InvalidInputError, match=rf"^customers\.{name}: ") as caught:
            session.flush()
        assert "secret" not in str(caught.value)
        session.rollback()


def test_the_stored_bytes_may_be_asked_for(session: Session) -> None:
    """Who coerces the column to bytes gets the tag, and the message behind it."""
    ada(session)
    stored = session.scalars(select(type_coerce(Customer.name, LargeBinary))).one()
    assert stored[32:35] == b"MFN"


def test_a_search_uses_its_index(session: Session) -> None:
    """What is asked for is what the index is on: an expression, or the prefix of a column."""
    customer = ada(session)
    engine = session.get_bind()
    found = select(Customer.id).where(Customer.email == customer.email)
    explain, asked = "EXPLAIN", "substr(customers.email, 1, 32) IN (:tag)"
    if engine.dialect.name == "sqlite":
        explain = "EXPLAIN QUERY PLAN"
    elif engine.dialect.name == "postgresql":
        session.execute(text("SET enable_seqscan = off"))
    else:
        asked = "(customers.email BETWEEN :tag AND CONCAT(:tag, 0xFF))"
    with sent(engine) as statements:
        assert session.scalars(found).all() == [customer.id]
    shape = re.sub(r"[?]|%(\(\w+\))?s(::\w+)?", ":tag", statements[-1])
    assert shape.replace(" = :tag", " IN (:tag)").endswith(f"WHERE {asked}")
    searched = text(f"{explain} SELECT id FROM customers WHERE {asked}")
    plan = session.execute(searched, {"tag": EMAIL.field.tags(b"ada@example.com")[0]}).all()
    assert "uq_customers_email_tag" in str(plan)


def test_types_and_rows_are_pickled_without_a_keyring(session: Session) -> None:
    """Metadata that was in use goes to another process, and works there with its keyring."""
    customer = ada(session)
    assert customer.email == VALUES["email"]
    copied = pickle.loads(pickle.dumps(Base.metadata)).tables["customers"]
    found = session.scalars(select(copied.c.email).where(copied.c.name == "Ada Lovelace"))
    assert found.all() == [VALUES["email"]]


def test_text_that_says_its_types_is_opened(session: Session) -> None:
    """Who writes SQL as text says of a result what column it is."""
    ada(session)
    written = text("SELECT name FROM customers").columns(Customer.name)
    assert session.scalars(written).all() == ["Ada Lovelace"]
