"""Searches and uniqueness while the key of the index is rotated: no row missed, none twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net import Verb
from mycelium_fractal_net.integrations.sqlalchemy.comparing import tag_of
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import EMAIL, TABLE, Base, Customer

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


def test_a_statement_that_is_kept_finds_rows_at_each_step(engine: Engine, keys: Keyring) -> None:
    """Its tags are made as it is executed, also where SQLAlchemy has it compiled already."""
    kept = select(Customer.id).where(Customer.email == "ada@example.com")
    with Session(engine) as session:
        session.add_all(
            [Customer(id=1, email="ada@example.com"), Customer(id=2, email="b@example.com")]
        )
        session.commit()
    for _ in steps(engine, keys):
        with Session(engine) as session:
            assert session.scalars(kept).all() == [1]
            again = select(Customer.id).where(Customer.email.in_(["b@example.com"]))
            assert session.scalars(again).all() == [2]


def test_one_compiled_statement_serves_every_value(sqlite: Engine, keys: Keyring) -> None:
    """The values of the first are not those of the next, and nothing is compiled twice."""
    with sqlite.begin() as connection:
        connection.execute(insert(TABLE), [{"email": f"{n}@example.com"} for n in range(9)])
        compiled = len(sqlite._compiled_cache)  # type: ignore[arg-type]
        for n in range(9):
            found = select(TABLE.c.email).where(TABLE.c.email == f"{n}@example.com")
            assert connection.scalars(found).all() == [f"{n}@example.com"]
        assert len(sqlite._compiled_cache) == compiled + 1  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["orm", "core", "bulk", "update", "orm update"])
def test_a_value_is_accepted_once_at_each_step(engine: Engine, keys: Keyring, way: str) -> None:
    """Whichever version tagged the row that is there, and whichever way another is written."""
    with Session(engine) as session:
        session.add(Customer(id=1, email="ada@example.com"))
        session.add(Customer(id=2, email="bob@example.com"))
        session.commit()
    for step in steps(engine, keys):
        with Session(engine) as session:
            with pytest.raises(IntegrityError):
                if way == "orm":
                    session.add(Customer(email="Ada@example.com"))
                    session.flush()
                elif way == "core":
                    session.execute(insert(Customer).values(email="ada@example.com"))
                elif way == "bulk":
                    session.execute(
                        insert(Customer),
                        [{"email": "new@example.com"}, {"email": "ada@example.com"}],
                    )
                elif way == "update":
                    bob = update(Customer).where(Customer.email == "bob@example.com")
                    session.execute(bob.values(email="ada@example.com"))
                else:
                    session.get_one(Customer, 2).email = "ada@example.com"
                    session.flush()
            session.commit() if way == "core" and step == "before" else session.rollback()
            rows = session.scalars(select(Customer.email).order_by(Customer.id)).all()
            assert rows == ["ada@example.com", "bob@example.com"]


def test_a_row_keeps_its_own_value_at_each_step(engine: Engine, keys: Keyring) -> None:
    """Storing anew what the row has is no duplicate, whichever version tagged it."""
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(id=1, email="ada@example.com"))
    for _ in steps(engine, keys):
        with engine.begin() as connection:
            connection.execute(update(TABLE).values(email="ada@example.com"))


def test_a_writer_that_waited_for_a_sweep_stores_no_duplicate(
    postgres_url: str, keys: Keyring
) -> None:
    """The sweep holds the former tag until it commits; who waited for it looks once more."""
    from sqlalchemy import create_engine

    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(id=1, email="ada@example.com"))
    keys.provider.keys.rotate("customers-index")
    keys.refresh()
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
        writer.join(0.3)
        assert writer.is_alive()
    writer.join(10)
    assert len(failed) == 1
    with engine.begin() as connection:
        assert connection.scalars(select(TABLE.c.id)).all() == [1]
    engine.dispose()


def test_tags_of_rows_are_those_of_the_version_that_stores(engine: Engine, keys: Keyring) -> None:
    """A version that waits is stored by nobody."""
    with Session(engine) as session:
        session.add(Customer(id=1, email="ada@example.com"))
        session.commit()
        keys.provider.keys.rotate("customers-index")
        keys.refresh()
        session.add(Customer(id=2, email="bob@example.com"))
        session.commit()
        tag = select(tag_of(TABLE.c.email, 32)).where(Customer.id == 2)
        former = EMAIL.field.tags(b"bob@example.com")[1]
        assert bytes(session.scalars(tag).one()) == former


def test_asyncio_is_the_same(postgres_url: str, keys: Keyring) -> None:
    """An AsyncSession stores and finds, and refuses duplicates of another version."""
    import asyncio

    async def work() -> None:
        url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add(Customer(id=1, email="ada@example.com"))
            await session.commit()
        keys.provider.keys.rotate("customers-index")
        keys.refresh()
        async with AsyncSession(engine) as session:
            found = select(Customer).where(Customer.email == "ada@example.com")
            assert (await session.scalars(found)).one().email == "ada@example.com"
            session.add(Customer(email="ada@example.com"))
            with pytest.raises(IntegrityError):
                await session.commit()
        await engine.dispose()

    asyncio.run(work())
