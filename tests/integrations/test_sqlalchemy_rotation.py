"""Searches and uniqueness while the key of the index is rotated: no row missed, none twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net import Verb
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_of
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import EMAIL, TABLE, Customer

STEPS = ("before", "rotated", "swept", "activated", "swept again")


def sweep(engine: Engine, keys: Keyring) -> None:
    """Give each row the newest tag, as a sweep of the database does."""
    with engine.begin() as connection:
        for row in connection.execute(select(TABLE.c.id, TABLE.c.email)).all():
            field = EMAIL.field
            value = EMAIL.spelled(row.email)
            stored = field.tags(value)[0] + field.store(value)[32:]
            raw = update(TABLE).where(TABLE.c.id == row.id)
            connection.exec_driver_sql(
                str(raw.values(email="x").compile(engine)).split(" SET ")[0]
                + f" SET email = {'?' if engine.name == 'sqlite' else '%s'} WHERE id = {row.id}",
                (stored,),
            )


def steps(engine: Engine, keys: Keyring) -> Iterator[str]:
    """Each step of a rotation, done one after the other."""
    yield STEPS[0]
    keys.provider.keys.rotate("customers-index")
    keys.refresh()
    yield STEPS[1]
    sweep(engine, keys)
    yield STEPS[2]
    keys.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    keys.refresh()
    yield STEPS[3]
    sweep(engine, keys)
    yield STEPS[4]


def test_a_statement_that_is_kept_finds_rows_at_each_step(
    engine: Engine, own_keys: Keyring
) -> None:
    """Its tags are made as it is executed, also where SQLAlchemy has it compiled already."""
    kept = select(Customer.id).where(Customer.email == "ada@example.com")
    with Session(engine) as session:
        session.add_all(
            [Customer(id=1, email="ada@example.com"), Customer(id=2, email="b@example.com")]
        )
        session.commit()
    for _ in steps(engine, own_keys):
        with Session(engine) as session:
            assert session.scalars(kept).all() == [1]
            again = select(Customer.id).where(Customer.email.in_(["b@example.com"]))
            assert session.scalars(again).all() == [2]


def test_one_compiled_statement_serves_every_value(sqlite: Engine, own_keys: Keyring) -> None:
    """The values of the first are not those of the next, and nothing is compiled twice."""
    with sqlite.begin() as connection:
        connection.execute(insert(TABLE), [{"email": f"{n}@example.com"} for n in range(9)])
        compiled = len(sqlite._compiled_cache)  # type: ignore[arg-type]
        for n in range(9):
            found = select(TABLE.c.email).where(TABLE.c.email == f"{n}@example.com")
            assert connection.scalars(found).all() == [f"{n}@example.com"]
        assert len(sqlite._compiled_cache) == compiled + 1  # type: ignore[arg-type]


def _orm(session: Session) -> None:
    session.add(Customer(id=3, email="Ada@example.com"))
    session.flush()


def _bulk(session: Session) -> None:
    given = [{"id": 3, "email": "new@example.com"}, {"id": 4, "email": "ada@example.com"}]
    session.execute(insert(Customer), given)


def _updated(session: Session) -> None:
    bob = update(Customer).where(Customer.email == "bob@example.com")
    session.execute(bob.values(email="ada@example.com"))


def _orm_updated(session: Session) -> None:
    session.get_one(Customer, 2).email = "ada@example.com"
    session.flush()


def _core(session: Session) -> None:
    session.execute(insert(Customer).values(id=3, email="ada@example.com"))


def test_a_value_is_accepted_once_at_each_step(engine: Engine, own_keys: Keyring) -> None:
    """Whichever version tagged the row that is there, and whichever way another is written."""
    with Session(engine) as session:
        session.add(Customer(id=1, email="ada@example.com"))
        session.add(Customer(id=2, email="bob@example.com"))
        session.commit()
    for _ in steps(engine, own_keys):
        for write in (_orm, _core, _bulk, _updated, _orm_updated):
            with Session(engine) as session:
                with pytest.raises(IntegrityError, match=r"customers_email_tag|is there already"):
                    write(session)
                session.rollback()
                rows = session.scalars(select(Customer.email).order_by(Customer.id)).all()
                assert rows == ["ada@example.com", "bob@example.com"]


def test_a_row_keeps_its_own_value_at_each_step(engine: Engine, own_keys: Keyring) -> None:
    """Storing anew what the row has is no duplicate, whichever version tagged it."""
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(id=1, email="ada@example.com"))
    for _ in steps(engine, own_keys):
        with engine.begin() as connection:
            connection.execute(update(TABLE).values(email="ada@example.com"))


def test_a_writer_that_waited_for_a_sweep_stores_no_duplicate(
    postgresql: Engine, own_keys: Keyring
) -> None:
    """The sweep holds the former tag until it commits; who waited for it looks once more."""
    engine = postgresql
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(id=1, email="ada@example.com"))
    own_keys.provider.keys.rotate("customers-index")
    own_keys.refresh()
    value = EMAIL.spelled("ada@example.com")
    swept = EMAIL.field.tags(value)[0] + EMAIL.field.store(value)[32:]
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with engine.begin() as connection:
                connection.execute(insert(TABLE).values(id=2, email="ada@example.com"))
        except IntegrityError as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE customers SET email = %s WHERE id = 1", (swept,))
        writer.start()
        writer.join(0.1)
        assert writer.is_alive()
    writer.join(10)
    assert len(failed) == 1
    with engine.begin() as connection:
        assert connection.scalars(select(TABLE.c.id)).all() == [1]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_who_sees_the_database_as_it_was_before_a_sweep_stores_no_duplicate(
    postgresql: Engine, own_keys: Keyring, level: str
) -> None:
    """The constraint does not know the former tag any more, and the newer is not seen yet."""
    with postgresql.begin() as connection:
        connection.execute(insert(TABLE).values(id=1, email="ada@example.com"))
        connection.execute(insert(TABLE).values(id=2, email="bob@example.com"))
    own_keys.provider.keys.rotate("customers-index")
    own_keys.refresh()
    write: Any
    for write in (
        insert(TABLE).values(id=3, email="ada@example.com"),
        update(TABLE).where(TABLE.c.id == 2).values(email="ada@example.com"),
    ):
        with postgresql.connect().execution_options(isolation_level=level) as connection:
            assert len(connection.scalars(select(TABLE.c.id)).all()) == 2
            sweep(postgresql, own_keys)
            with pytest.raises(IntegrityError, match="is there already"):
                connection.execute(write)


def test_tags_of_rows_are_those_of_the_version_that_stores(
    engine: Engine, own_keys: Keyring
) -> None:
    """A version that waits is stored by nobody."""
    with Session(engine) as session:
        session.add(Customer(id=1, email="ada@example.com"))
        session.commit()
        own_keys.provider.keys.rotate("customers-index")
        own_keys.refresh()
        session.add(Customer(id=2, email="bob@example.com"))
        session.commit()
        tag = select(tag_of(TABLE.c.email, 32)).where(Customer.id == 2)
        former = EMAIL.field.tags(b"bob@example.com")[1]
        assert bytes(session.scalars(tag).one()) == former


def test_asyncio_is_the_same(postgresql: Engine, own_keys: Keyring) -> None:
    """An AsyncSession stores and finds, and refuses duplicates of another version."""

    async def work() -> None:
        engine = create_async_engine(postgresql.url)
        async with AsyncSession(engine) as session:
            session.add(Customer(id=1, email="ada@example.com"))
            await session.commit()
        own_keys.provider.keys.rotate("customers-index")
        own_keys.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
        own_keys.refresh()
        async with AsyncSession(engine) as session:
            found = select(Customer).where(Customer.email == "ada@example.com")
            assert (await session.scalars(found)).one().email == "ada@example.com"
            session.add(Customer(id=2, email="ada@example.com"))
            with pytest.raises(IntegrityError, match="is there already"):
                await session.commit()
        await engine.dispose()

    asyncio.run(work())
