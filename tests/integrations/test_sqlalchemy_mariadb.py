"""What an encrypted column has to take care of on MariaDB, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net import Verb
from mycelium_fractal_net.integrations.sqlalchemy import (
    Encrypted,
    RefusedQueryError,
    may_equal,
    tag_of,
)
from mycelium_fractal_net.integrations.sqlalchemy.checking import check
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_among
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import EMAIL, TABLE, Customer, Order

ADA, BOB = "ada@example.com", "bob@example.com"
ORDERS = cast("Table", Order.__table__)
META = MetaData()
FILES = Table(
    "files",
    META,
    Column("id", Integer, primary_key=True),
    Column("tenant", Integer),
    Column("content", Encrypted(LargeBinary, key_id="customers")),
    Column("note", Encrypted(Text, key_id="customers", as_text=True)),
    Column("name", Encrypted(String(40), key_id="customers", index="customers-index")),
)
Index("one_of_a_tenant", FILES.c.tenant, tag_of(FILES.c.name), unique=True)


@pytest.fixture
def files(on_mariadb: Engine) -> Iterator[Engine]:
    """A table of long values, and with an index over the tag and another column."""
    META.create_all(on_mariadb)
    yield on_mariadb
    META.drop_all(on_mariadb)


@pytest.fixture
def lax(on_mariadb: Engine) -> Iterator[Engine]:
    """Connections of an application that has turned strict mode off."""
    made = create_engine(on_mariadb.url)

    @event.listens_for(made, "connect")
    def _(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION'")

    yield made
    made.dispose()


def rotated(keys: Keyring) -> None:
    """Have the keyring know a version of the index key that waits."""
    keys.provider.keys.rotate("customers-index")
    keys.refresh()


def swept(engine: Engine) -> None:
    """Give each row its newest tag, as a sweep does."""
    with engine.begin() as connection:
        for row in connection.execute(select(TABLE.c.id, TABLE.c.email)).all():
            value = EMAIL.spelled(row.email)
            stored = EMAIL.field.tags(value)[0] + EMAIL.field.store(value)[32:]
            connection.exec_driver_sql(
                "UPDATE customers SET email = %s WHERE id = %s", (stored, row.id)
            )


def store(engine: Engine, **values: Any) -> None:
    """One customer, in a transaction of their own."""
    with engine.begin() as connection:
        connection.execute(insert(TABLE).values(**values))


# What is stored ---------------------------------------------------------------------------


def test_a_value_of_more_than_64_kib_is_stored_whole(files: Engine, keys: Keyring) -> None:
    """BLOB and TEXT end there: what is made is LONGBLOB and LONGTEXT."""
    content, note = bytes(range(256)) * 300, "é" * 70_000
    with files.begin() as connection:
        connection.execute(insert(FILES).values(id=1, content=content, note=note))
        assert connection.execute(select(FILES.c.content, FILES.c.note)).one() == (content, note)
    kinds = {each["name"]: str(each["type"]) for each in inspect(files).get_columns("files")}
    assert (kinds["content"], kinds["note"]) == ("LONGBLOB", "LONGTEXT")


def test_a_column_that_is_too_short_refuses_a_value(files: Engine, keys: Keyring) -> None:
    """Such as one that somebody made by hand: strict mode cuts nothing."""
    with files.begin() as connection:
        connection.execute(text("ALTER TABLE files MODIFY content VARBINARY(100)"))
        with pytest.raises(DataError, match="Data too long for column 'content'"):
            connection.execute(insert(FILES).values(content=b"x" * 17))
        connection.execute(insert(FILES).values(content=b"x" * 16))


def test_nothing_is_stored_without_strict_mode(lax: Engine, keys: Keyring) -> None:
    """A value that does not fit would be cut, and never open again; all else works."""
    with lax.begin() as connection:
        for made in (
            insert(TABLE).values(email=ADA),
            update(TABLE).values(name="Ada"),
        ):
            with pytest.raises(ConfigurationError, match="STRICT_TRANS_TABLES"):
                connection.execute(made)
        connection.execute(insert(Order).values(id=1, customer_id=None).prefix_with("IGNORE"))
        assert connection.scalars(select(TABLE.c.id).where(TABLE.c.email == ADA)).all() == []


def test_strict_mode_is_asked_for_once_on_a_connection(on_mariadb: Engine, keys: Keyring) -> None:
    """One statement more for a connection to the server, not for each value."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    engine = create_engine(on_mariadb.url)
    event.listen(engine, "before_cursor_execute", note)
    for number in range(3):
        store(engine, email=f"{number}@example.com")
    engine.dispose()
    assert sum("sql_mode" in each for each in asked) == 1
    assert len(asked) == 4


@pytest.mark.parametrize("made", [insert(TABLE), insert(Customer), update(TABLE)])
def test_ignore_is_refused(on_mariadb: Engine, keys: Keyring, made: Any) -> None:
    """It turns strict mode off for a statement: ON DUPLICATE KEY UPDATE does not."""
    with Session(on_mariadb) as session:
        with pytest.raises(RefusedQueryError, match=r"^customers\.email: IGNORE"):
            session.execute(made.prefix_with("IGNORE").values(email=ADA))


# How it is found --------------------------------------------------------------------------


def test_lists_are_ranges_of_the_index(on_mariadb: Engine, keys: Keyring) -> None:
    """One compiled statement for every length, which reads the rows of its tags alone."""
    store(on_mariadb, id=1, email=ADA)
    store(on_mariadb, id=2, email=BOB)
    engine = create_engine(on_mariadb.url)
    plans: list[Any] = []

    def explain(connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith("SELECT customers.id"):
            plans.append(connection.exec_driver_sql(f"EXPLAIN {statement}", given).one())

    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", explain)
        for emails, found in (
            ([ADA, "x"], [1]),
            ([ADA, BOB, "y"], [1, 2]),
            (["z", "x", BOB, "y"], [2]),
            ([], []),
        ):
            asked = select(TABLE.c.id).where(TABLE.c.email.in_(emails))
            compiled = len(engine._compiled_cache)  # type: ignore[arg-type]
            assert sorted(connection.scalars(asked)) == found
            if len(plans) > 1:
                assert len(engine._compiled_cache) == compiled  # type: ignore[arg-type]
    engine.dispose()
    assert [(each.type, each.key) for each in plans[:3]] == [
        ("range", "uq_customers_email_tag")
    ] * 3
    assert plans[3].Extra == "Impossible WHERE"


def test_a_long_list_finds_each_of_its_rows(on_mariadb: Engine, keys: Keyring) -> None:
    """Also of more values than MariaDB takes in a list before it makes a subquery of it."""
    emails = [f"{number}@example.com" for number in range(1, 1101)]
    with on_mariadb.begin() as connection:
        rows = [{"id": n, "email": each} for n, each in enumerate(emails[::100], 1)]
        connection.execute(insert(TABLE), rows)
        asked = select(func.count()).select_from(TABLE)
        assert connection.scalar(asked.where(TABLE.c.email.in_(emails))) == len(rows)
        assert connection.scalar(asked.where(TABLE.c.email.not_in(emails))) == 0
        assert connection.scalar(asked.where(TABLE.c.email.not_in(emails[1:]))) == 1


def test_the_other_name_of_the_dialect_is_the_same(on_mariadb: Engine, keys: Keyring) -> None:
    """Applications say mysql:// to MariaDB too."""
    engine = create_engine(on_mariadb.url.set(drivername="mysql+pymysql"))
    store(engine, id=1, email=ADA)
    with engine.connect() as connection:
        for asked in (TABLE.c.email == ADA, TABLE.c.email.in_([ADA, BOB])):
            assert connection.scalars(select(TABLE.c.id).where(asked)).all() == [1]
    engine.dispose()


def test_each_version_is_a_range_of_the_index(on_mariadb: Engine, own_keys: Keyring) -> None:
    """While the index key is rotated, whichever column with whatever length of tag."""
    store(on_mariadb, id=1, email=ADA, name="Ada", town="London")
    rotated(own_keys)
    with on_mariadb.connect() as connection:
        for asked in (
            TABLE.c.email == ADA,
            TABLE.c.name.in_(["Ada", "Eve"]),
            may_equal(TABLE.c.town, "London"),
        ):
            statement = select(TABLE.c.id).where(asked)
            assert connection.scalars(statement).all() == [1]
            assert connection.scalars(select(TABLE.c.id).where(~asked)).all() == []


def test_a_tag_of_the_greatest_bytes_is_found(on_mariadb: Engine, keys: Keyring) -> None:
    """There is no next one, by which a range could end."""
    store(on_mariadb, id=1, email=ADA)
    with on_mariadb.begin() as connection:
        greatest = "CONCAT(REPEAT(0xFF, 32), SUBSTR(email, 33))"
        connection.exec_driver_sql(f"UPDATE customers SET email = {greatest}")
        asked = select(TABLE.c.email).where(tag_among(TABLE.c.email, 32, [b"\xff" * 32]))
        assert connection.scalars(asked).all() == [ADA]


# Uniqueness -------------------------------------------------------------------------------


def test_the_index_is_a_constraint_on_the_tag(files: Engine, keys: Keyring) -> None:
    """A prefix, so that whatever follows it may differ; beside another column as well."""
    store(files, id=1, email=ADA)
    with pytest.raises(IntegrityError, match="uq_customers_email_tag"):
        store(files, id=2, email=ADA.upper())
    with files.begin() as connection:
        connection.execute(insert(FILES), [{"tenant": each, "name": "a"} for each in (1, 2)])
        with pytest.raises(IntegrityError, match="one_of_a_tenant"):
            connection.execute(insert(FILES).values(tenant=2, name="a"))


@pytest.mark.parametrize("level", ["REPEATABLE READ", "READ COMMITTED", "SERIALIZABLE"])
def test_who_began_before_a_sweep_stores_no_duplicate_after_it(
    on_mariadb: Engine, own_keys: Keyring, level: str
) -> None:
    """A transaction that sees the former tag still is not told by the constraint any more."""
    store(on_mariadb, id=1, email=ADA)
    rotated(own_keys)
    engine = on_mariadb.execution_options(isolation_level=level)
    with engine.connect() as connection:
        if level != "SERIALIZABLE":  # which has the sweep wait
            assert connection.scalars(select(TABLE.c.id)).all() == [1]
        swept(on_mariadb)
        with pytest.raises(IntegrityError, match="is there already"):
            connection.execute(insert(TABLE).values(id=2, email=ADA))
    with on_mariadb.connect() as connection:
        assert connection.scalars(select(TABLE.c.id)).all() == [1]


@pytest.mark.parametrize("email", [ADA, BOB])
def test_newer_servers_end_the_transaction_that_sees_an_older_state(
    on_mariadb: Engine, own_keys: Keyring, email: str
) -> None:
    """Error 1020 with ``innodb_snapshot_isolation``, on from MariaDB 11.6.2; not for others."""
    store(on_mariadb, id=1, email=ADA)
    rotated(own_keys)
    with on_mariadb.connect() as connection:
        connection.exec_driver_sql("SET SESSION innodb_snapshot_isolation = ON")
        connection.commit()
        connection.execute(select(TABLE.c.id))
        swept(on_mariadb)
        made = insert(TABLE).values(id=2, email=email)
        if email == BOB:
            connection.execute(made)
        else:
            with pytest.raises(OperationalError, match="Record has changed since last read"):
                connection.execute(made)
            with pytest.raises(PendingRollbackError):
                connection.commit()


def test_who_began_before_a_sweep_changes_no_row_into_a_duplicate(
    on_mariadb: Engine, own_keys: Keyring
) -> None:
    """An UPDATE as well as an INSERT."""
    store(on_mariadb, id=1, email=ADA)
    rotated(own_keys)
    with on_mariadb.connect() as connection:
        connection.execute(select(TABLE.c.id))
        swept(on_mariadb)
        store(on_mariadb, id=2, email=BOB)
        with pytest.raises(IntegrityError, match="is there already"):
            connection.execute(update(TABLE).where(TABLE.c.id == 2).values(email=ADA))
    with on_mariadb.connect() as connection:
        assert sorted(connection.scalars(select(TABLE.c.email))) == [ADA, BOB]


def test_a_list_in_the_condition_of_an_update_is_that_of_this_execution(
    on_mariadb: Engine, own_keys: Keyring
) -> None:
    """A row that keeps its value is no duplicate, whichever values the statement had before."""
    store(on_mariadb, id=1, email=ADA)
    store(on_mariadb, id=2, email=BOB)
    rotated(own_keys)
    swept(on_mariadb)
    for email in (ADA, BOB, ADA):
        asked = TABLE.c.email.in_([email, "nobody@example.com"])
        with on_mariadb.begin() as connection:
            changed = connection.execute(update(TABLE).where(asked).values(email=email))
            assert changed.rowcount == 1
    with pytest.raises(IntegrityError, match=r"customers_email_tag|is there already"):
        with on_mariadb.begin() as connection:
            asked = TABLE.c.email.in_([BOB, "nobody@example.com"])
            connection.execute(update(TABLE).where(asked).values(email=ADA))


def test_an_upsert_finds_its_row_by_the_tag(on_mariadb: Engine, own_keys: Keyring) -> None:
    """ON DUPLICATE KEY UPDATE: of the version in use; for another it changes nothing."""

    def upsert(name: str, email: str = ADA) -> None:
        made = mysql_insert(TABLE).values(email=email, name=name)
        made = made.on_duplicate_key_update(name=made.inserted.name, shown="again")
        with on_mariadb.begin() as connection:
            connection.execute(made)

    def rows() -> list[Any]:
        with on_mariadb.connect() as connection:
            asked = select(TABLE.c.email, TABLE.c.name, TABLE.c.shown).order_by(TABLE.c.id)
            return [tuple(each) for each in connection.execute(asked)]

    upsert("Ada")
    upsert("Lovelace")
    assert rows() == [(ADA, "Lovelace", "again")]
    own_keys.provider.keys.rotate("customers-index")
    own_keys.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
    own_keys.refresh()
    with pytest.raises(IntegrityError, match="is there already"):
        upsert("King")
    assert rows() == [(ADA, "Lovelace", "again")]
    swept(on_mariadb)
    upsert("King")
    assert rows() == [(ADA, "King", "again")]


def test_an_upsert_stores_a_value_that_is_sealed_and_unique(
    on_mariadb: Engine, own_keys: Keyring
) -> None:
    """What ON DUPLICATE KEY UPDATE sets is a value as any other, also while versions are two."""
    store(on_mariadb, id=1, email=ADA)
    rotated(own_keys)
    for email, stored in ((BOB, BOB), (BOB.upper(), BOB.upper())):
        made = mysql_insert(TABLE).values(id=1, email="eve@example.com")
        with on_mariadb.begin() as connection:
            connection.execute(made.on_duplicate_key_update(email=email))
            assert connection.scalars(select(TABLE.c.email)).all() == [stored]
    swept(on_mariadb)
    made = mysql_insert(TABLE).values(id=2, email="eve@example.com")
    store(on_mariadb, id=2, email=ADA)
    with pytest.raises(IntegrityError, match="is there already"), on_mariadb.begin() as connection:
        connection.execute(made.on_duplicate_key_update(email=BOB))


def test_two_who_store_one_value_under_two_versions_are_kept_apart(
    on_mariadb: Engine, own_keys: Keyring
) -> None:
    """The look after a statement waits for a row that is not committed yet."""
    rotated(own_keys)
    value = EMAIL.spelled(ADA)
    newer = EMAIL.field.tags(value)[0] + EMAIL.field.store(value)[32:]
    failed: list[BaseException] = []

    def write() -> None:
        try:
            store(on_mariadb, id=2, email=ADA)
        except IntegrityError as error:
            failed.append(error)

    writer = threading.Thread(target=write)
    with on_mariadb.begin() as connection:  # a process that knows the activation already
        connection.exec_driver_sql("INSERT INTO customers (id, email) VALUES (1, %s)", (newer,))
        writer.start()
        writer.join(0.1)
        assert writer.is_alive()
    writer.join(10)
    assert len(failed) == 1
    with on_mariadb.connect() as connection:
        assert connection.scalars(select(TABLE.c.id)).all() == [1]


def test_who_waits_in_vain_in_the_look_has_stored_nothing(
    on_mariadb: Engine, own_keys: Keyring
) -> None:
    """InnoDB takes back the look alone: an application that goes on would commit a duplicate."""
    rotated(own_keys)
    value = EMAIL.spelled(ADA)
    newer = EMAIL.field.tags(value)[0] + EMAIL.field.store(value)[32:]
    with on_mariadb.begin() as other, on_mariadb.connect() as connection:
        other.exec_driver_sql("INSERT INTO customers (id, email) VALUES (1, %s)", (newer,))
        connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 0")
        with pytest.raises(OperationalError, match="Lock wait timeout"):
            connection.execute(insert(TABLE).values(id=2, email=ADA))
        with pytest.raises(PendingRollbackError):
            connection.commit()
    with on_mariadb.connect() as connection:
        assert connection.scalars(select(TABLE.c.id)).all() == [1]


# What is refused --------------------------------------------------------------------------

REFUSED: dict[str, Callable[[], Any]] = {
    "computed for a duplicate": lambda: (
        mysql_insert(TABLE).values(email=ADA).on_duplicate_key_update(email=func.lower("A"))
    ),
    "another column for a duplicate": lambda: (
        lambda made: made.on_duplicate_key_update(name=made.inserted.email)
    )(mysql_insert(TABLE).values(email=ADA)),
    "plain for a duplicate": lambda: (
        lambda made: made.on_duplicate_key_update(shown=made.inserted.email)
    )(mysql_insert(TABLE).values(email=ADA)),
    "of another table": lambda: (
        update(ORDERS)
        .where(Order.customer_id == TABLE.c.id)
        .values({TABLE.c.email: func.lower("A")})
    ),
    "a value of another table": lambda: (
        update(ORDERS)
        .where(Order.customer_id == TABLE.c.id)
        .values({TABLE.c.email: "a@example.com"})
    ),
    "full text": lambda: select(TABLE.c.id).where(mysql.match(TABLE.c.email, against="a")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_the_plaintext_is_refused(name: str) -> None:
    """What other databases do not have."""
    with pytest.raises(RefusedQueryError, match=r"^customers\.\w+: "):
        check(REFUSED[name]().compile(dialect=mysql.dialect()))


def test_asyncio_is_the_same(on_mariadb: Engine, own_keys: Keyring) -> None:
    """An AsyncSession stores, finds, and is refused duplicates of another version."""
    url = on_mariadb.url.set(drivername="mariadb+asyncmy")

    async def work() -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            session.add(Customer(id=1, email=ADA))
            await session.commit()
        rotated(own_keys)
        own_keys.provider.states.apply(Verb.ACTIVATE, "customers-index:v2")
        own_keys.refresh()
        async with AsyncSession(engine) as session:
            for asked in (Customer.email == ADA, Customer.email.in_([ADA, BOB])):
                found = await session.scalars(select(Customer).where(asked))
                assert found.one().email == ADA
            session.add(Customer(id=2, email=ADA))
            with pytest.raises(IntegrityError, match="is there already"):
                await session.commit()
        await engine.dispose()

    asyncio.run(work())


def test_the_orm_finds_through_a_relationship(on_mariadb: Engine, keys: Keyring) -> None:
    """A range of the joined table's own alias."""
    with Session(on_mariadb) as session:
        session.add(Order(id=1, customer=Customer(id=1, email=ADA)))
        session.commit()
        asked = select(Order.id).join(Order.customer).where(Customer.email.in_([ADA, BOB]))
        assert session.scalars(asked).all() == [1]
