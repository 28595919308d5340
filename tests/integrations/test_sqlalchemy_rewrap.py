"""The keys of an encrypted field are rotated by ``mfn`` beside a running application."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mycelium_fractal_net.cli import ExitCode
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_of
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import EMAIL, TABLE, Customer
from tests.support.cli import Mfn, Ran

ROWS = 40


@contextlib.contextmanager
def registering(engine: Engine, first: int) -> Iterator[Callable[[], int]]:
    """Customers who register for as long as the block lasts; gives how many have."""
    ended, failed, there = threading.Event(), list[BaseException](), list[int]()

    def register() -> None:
        try:
            while not ended.wait(0.002):
                number = (
                    first + len(there) + 1
                )  # which is no 0, MariaDB's word for a number of its own
                with Session(engine) as session:
                    session.add(Customer(id=number, email=f"new{number}@example.com"))
                    session.commit()
                there.append(number)
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=register)
    writer.start()
    try:
        yield lambda: len(there)
    finally:
        ended.set()
        writer.join()
    assert not failed


def look(engine: Engine, count: int) -> None:
    """Every customer is found by e-mail, and none is accepted a second time."""
    with Session(engine) as session:
        rows = session.scalars(select(Customer.email)).all()
        assert len(rows) == len(set(rows)) == count
        asked = select(Customer.email).where(Customer.email.in_([each.upper() for each in rows]))
        assert sorted(session.scalars(asked)) == sorted(rows)
        for email in (rows[0], rows[-1]):
            session.add(Customer(id=10_000, email=email.upper()))
            with pytest.raises(IntegrityError):
                session.flush()
            session.rollback()


def tags_of_version(engine: Engine, number: int) -> int:
    """How many rows have the tag of that version, by its place among all of them."""
    with Session(engine) as session:
        rows = session.execute(select(Customer.email, tag_of(TABLE.c.email, 32))).all()
        return sum(EMAIL.field.tags(EMAIL.spelled(row[0]))[number] == bytes(row[1]) for row in rows)


def test_a_field_gets_a_new_index_key_beside_its_writers(
    engine: Engine, application: Keyring, mfn: Mfn
) -> None:
    """Rotate, sweep, activate, sweep again, destroy; nobody is missed, and nobody twice there."""
    url = engine.url.render_as_string(hide_password=False)

    def sweep(*more: str) -> Ran:
        field = ("--field", "customers.email", "--index", "customers-index")
        where = ("--database", url, "--table", "customers", "--column", "email")
        return mfn("rewrap", *where, *field, "--normalisation", "caseless", "--workers", "1", *more)

    with Session(engine) as session:
        session.add_all(Customer(id=n, email=f"a{n}@example.com") for n in range(1, ROWS + 1))
        session.commit()
    look(engine, ROWS)

    mfn.ok("key", "rotate", "customers-index")
    mfn.ok("key", "rotate", "customers")
    application.refresh()  # which takes five seconds by itself
    look(engine, ROWS)

    with registering(engine, ROWS) as count:
        assert sweep().code == 0
    there = ROWS + count()
    assert tags_of_version(engine, 0) >= ROWS
    look(engine, there)

    mfn.ok("key", "activate", "customers-index:v2")
    application.refresh()
    look(engine, there)

    with registering(engine, there) as count:
        assert sweep().code == 0
    there += count()
    assert tags_of_version(engine, 0) == there
    look(engine, there)

    finished = ("--yes", "--reason", "the table has all that it seals", "--finished")
    said = sweep(*finished, "customers")
    assert said.code == 0, said.err
    assert "nothing is under older versions of customers" in said.out
    said = sweep(*finished, "customers-index")  # what ends its versions is a word of its own
    assert said.code == ExitCode.FORBIDDEN
    assert "it seals nothing" in said.err
    assert "rewrapped 0 values" in sweep().out  # no row has a former tag
    mfn.ok("key", "destroy", "customers-index:v1", "--yes")
    application.refresh()
    look(engine, there)
