"""What encrypted columns of SQLAlchemy cost beside a Fernet type, and searches beside plaintext.

python -m benchmarks.fields [--rows 1000000] [--rounds 9] [--quick] [--out FOLDER]

Values of 32 B are written and read through SQLAlchemy Core into SQLite in memory, so that little
but the types is measured, and tags made beside ``hmac.digest``. The same is done with objects
of the ORM, whose values are bound to their column, or to their row too. Then a customer is looked
for by e-mail through the ORM, and with the bare driver, in SQLite (a file), PostgreSQL and MariaDB,
among many.
Both give the customer's name as well. Where plaintext is asked for its address alone, which is in
its index, SQLite does not read the row: that is measured too, and has no goal.
"""

from __future__ import annotations

import argparse
import hmac
import itertools
import json
import os
import random
import secrets
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import TypeDecorator

from benchmarks.harness import Figure, Work, compare
from benchmarks.report import Goal, goals_table, machine
from mycelium_fractal_net import initialise
from mycelium_fractal_net.integrations.sqlalchemy import Encrypted, configure
from mycelium_fractal_net.integrations.sqlalchemy.rows import RowBound
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support import mariadb, postgres

VALUES: Final = 500  # of one statement
_SEARCHES: Final = 200  # in one transaction
_BUFFER_POOL: Final = "1G"  # so that a million customers are in memory, as in the others' caches


class FernetText(TypeDecorator[str]):
    """What applications write themselves today."""

    impl = LargeBinary
    cache_ok = True
    fernet = Fernet(Fernet.generate_key())

    def process_bind_param(self, value: str | None, dialect: Any) -> bytes | None:  # noqa: ARG002
        return None if value is None else self.fernet.encrypt(value.encode())

    def process_result_value(self, value: bytes | None, dialect: Any) -> str | None:  # noqa: ARG002
        return None if value is None else self.fernet.decrypt(value).decode()


TYPES: Final[dict[str, Callable[[], Any]]] = {
    "Fernet": FernetText,
    "encrypted": lambda: Encrypted(String(80), key_id="customers"),
    "encrypted, with an index": lambda: Encrypted(
        String(80), key_id="customers", index="customers-index"
    ),
}


class Base(DeclarativeBase):
    """Customers twice, to be found by e-mail."""


class Plain(Base):
    """In plaintext, with the index of any column."""

    __tablename__ = "plain"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(80))


class Sealed(Base):
    """Encrypted, with the index on its tags."""

    __tablename__ = "sealed"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(
        Encrypted(String(80), key_id="customers", index="customers-index", unique=True)
    )
    name: Mapped[str] = mapped_column(String(80))


class Noted(Base):
    """With a value that is bound to its column."""

    __tablename__ = "noted"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    note: Mapped[str] = mapped_column(Encrypted(String(80), key_id="customers"))


class Bound(Base):
    """With a value that is bound to its row."""

    __tablename__ = "bound"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    note = RowBound(String(80), key_id="customers")


@dataclass(frozen=True)
class Results:
    """All that one run measured: each list begins with its reference."""

    rows: int
    written: list[Figure]
    read: list[Figure]
    both: list[Figure]
    tags: list[Figure]
    objects: dict[str, list[Figure]]
    searched: dict[str, list[Figure]]
    asked: dict[str, list[Figure]]
    covered: dict[str, list[Figure]]


def main() -> int:
    """Parse the options, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fields",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="10,000 rows and three short rounds")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    if options.quick:
        results = measure(10_000, rounds=3, budget=0.05)
    else:
        results = measure(options.rows, rounds=options.rounds, budget=1.0)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "fields.md").write_text(markdown(results))
    (options.out / "fields.json").write_text(as_json(results))
    print(markdown(results))
    return 0


def measure(rows: int, *, rounds: int, budget: float) -> Results:
    """Values first, then searches on each database that is there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mfn-fields-")))
        keyring = stack.enter_context(initialise(home=folder / "home"))
        keyring.provider.keys.create("customers")
        keyring.provider.keys.create("customers-index", "index")
        configure(keyring)
        stack.callback(configure, None)
        written, read, both = values(rounds, budget)
        tags = compare(tagging(keyring), rounds=rounds, budget=budget)
        of_objects = objects(rounds, budget)
        engines = {"SQLite": create_engine(f"sqlite:///{folder / 'customers.db'}")}
        if postgres.binaries() is not None:
            server = stack.enter_context(postgres.server())
            engines["PostgreSQL"] = create_engine(postgres.create_database(server, "customers"))
        if mariadb.binaries() is not None:
            server = stack.enter_context(mariadb.running(buffer_pool=_BUFFER_POOL))
            engines["MariaDB"] = create_engine(mariadb.create_database(server, "customers"))
        searched, asked, covered = {}, {}, {}
        for name, engine in engines.items():
            fill(engine, rows)
            searched[name] = compare(searches(engine, rows), rounds=rounds, budget=budget)
            asked[name] = compare(questions(engine, rows), rounds=rounds, budget=budget)
            covered[name] = compare(
                questions(engine, rows, "id, email"), rounds=rounds, budget=budget
            )
            engine.dispose()
    return Results(rows, written, read, both, tags, of_objects, searched, asked, covered)


# Values -----------------------------------------------------------------------------------------


def values(rounds: int, budget: float) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Values of 32 B written, read, and both, with each type; Fernet is the reference."""
    engine = create_engine("sqlite://")
    given = [{"value": secrets.token_hex(16)} for _ in range(VALUES)]
    tables = {
        name: Table(
            f"t{number}",
            MetaData(),
            Column("id", Integer, primary_key=True),
            Column("value", made()),
        )
        for number, (name, made) in enumerate(TYPES.items())
    }
    with engine.connect() as connection:
        for table in tables.values():
            table.create(connection)
            connection.execute(insert(table), given)
        connection.commit()

        def write(table: Table) -> Work:
            def work() -> None:
                connection.execute(insert(table), given)
                connection.rollback()

            return work

        def read(table: Table) -> Work:
            return lambda: _all_there(connection.execute(select(table.c.value)).all())

        def both(table: Table) -> Work:
            first, then = write(table), read(table)
            return lambda: (first(), then())

        found = [
            compare(
                {name: way(table) for name, table in tables.items()}, rounds=rounds, budget=budget
            )
            for way in (write, read, both)
        ]
    engine.dispose()
    return found[0], found[1], found[2]


def _all_there(rows: Iterable[Any]) -> None:
    if sum(1 for _ in rows) != VALUES:
        raise RuntimeError("not what was written")


def tagging(keyring: Keyring) -> dict[str, Work]:
    """A tag of an e-mail address beside one HMAC."""
    key, value = os.urandom(32), b"somebody@example.com"
    index = keyring.index(key_id="customers-index", context=b"customers.email")
    return {
        "hmac.digest": lambda: hmac.digest(key, value, "sha256"),
        "the tag to store": lambda: index.tag(value),
        "the tags to search for": lambda: index.tags(value),
    }


def objects(rounds: int, budget: float) -> dict[str, list[Figure]]:
    """Objects of the ORM inserted, and loaded and read."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    notes = [secrets.token_hex(16) for _ in range(VALUES)]

    def write(model: Any) -> Work:
        def work() -> None:
            with Session(engine) as session:
                session.add_all([model(note=each) for each in notes])
                session.flush()

        return work

    def read(model: Any) -> Work:
        with Session(engine) as session:
            session.add_all([model(note=each) for each in notes])
            session.commit()

        def work() -> None:
            with Session(engine) as session:
                _all_there(each.note for each in session.scalars(select(model)))

        return work

    models = {"bound to its column": Noted, "bound to its row": Bound}
    found = {
        title: compare(
            {name: way(model) for name, model in models.items()}, rounds=rounds, budget=budget
        )
        for title, way in (("Objects inserted", write), ("Objects loaded", read))
    }
    engine.dispose()
    return found


# Searches ---------------------------------------------------------------------------------------


def email(number: int) -> str:
    """That of one customer."""
    return f"customer.{number}@example.com"


def fill(engine: Engine, rows: int) -> None:
    """Both tables, with the same customers."""
    Base.metadata.create_all(engine)
    for model in (Plain, Sealed):
        with engine.begin() as connection:
            for some in _batches(rows):
                connection.execute(
                    insert(model),
                    [
                        {"id": number + 1, "email": email(number), "name": f"Customer {number}"}
                        for number in some
                    ],
                )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        of = " TABLE plain, sealed" if engine.dialect.name == "mariadb" else ""
        connection.exec_driver_sql(f"ANALYZE{of}").close()


def _batches(rows: int) -> Iterator[tuple[int, ...]]:
    numbers = iter(range(rows))
    while some := tuple(itertools.islice(numbers, 10_000)):
        yield some


def searches(engine: Engine, rows: int) -> dict[str, Work]:
    """Customers found through the ORM by an address that is another one each time."""

    def work(model: Any) -> Work:
        chosen = random.Random(1)

        def search() -> None:
            with Session(engine) as session:
                for _ in range(_SEARCHES):
                    wanted = email(chosen.randrange(rows))
                    found = session.scalars(select(model).where(model.email == wanted)).one()
                    if found.email != wanted:
                        raise RuntimeError("not who was looked for")
                    session.expunge(found)

        return search

    return {"plaintext": work(Plain), "encrypted": work(Sealed)}


def questions(engine: Engine, rows: int, columns: str = "id, email, name") -> dict[str, Work]:
    """The same questions by the bare driver: what is left is the database's own work."""
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    field = Sealed.__table__.c.email.type.field  # type: ignore[attr-defined]
    chosen = [email(number) for number in random.Random(1).sample(range(rows), _SEARCHES)]
    tags = [field.tag(each.encode()) for each in chosen]

    def work(table: str, condition: str, given: list[tuple[Any, ...]]) -> Work:
        statement = f"SELECT {columns} FROM {table} WHERE {condition}"

        def ask() -> None:
            connection = engine.raw_connection()
            try:
                cursor = connection.cursor()
                for each in given:
                    cursor.execute(statement, each)
                    if len(cursor.fetchall()) != 1:
                        raise RuntimeError("not who was looked for")
            finally:
                connection.close()

        return ask

    asked = f"substr(email, 1, 32) = {mark}"
    given: list[tuple[Any, ...]] = [(each,) for each in tags]
    if engine.dialect.name == "mariadb":
        asked = "email BETWEEN %s AND CONCAT(%s, 0xFF)"
        given = [(each, each) for each in tags]
    return {
        "plaintext": work("plain", f"email = {mark}", [(each,) for each in chosen]),
        "encrypted": work("sealed", asked, given),
    }


# What is written --------------------------------------------------------------------------------


def goals(results: Results) -> list[Goal]:
    """What was to be reached, and what was seen."""
    wanted = [
        ("a value of 32 B written and read, beside Fernet", 1.05, results.both[1]),
        ("a value written with its tag, beside Fernet", 1.4, results.written[2]),
        ("a tag to store, beside `hmac.digest`", 1.5, results.tags[1]),
    ]
    for name in results.searched:
        among = f"among {results.rows:,} rows, {name}"
        wanted += [
            (
                f"a search through the ORM {among}, beside plaintext",
                1.25,
                results.searched[name][1],
            ),
            (f"the same by the bare driver {among}", 1.1, results.asked[name][1]),
        ]
    return [
        Goal(what, f"<= {limit:g} x", str(figure), figure.ratio <= limit)
        for what, limit, figure in wanted
    ]


def markdown(results: Results) -> str:
    """The page."""
    lines = [
        "# Encrypted columns of SQLAlchemy",
        "",
        f"`make bench-fields`: {machine()}.",
        "",
        *goals_table(goals(results)),
        "",
        "A search gives the customer's id, address and name. Asked for id and address alone, SQLite"
        " answers for plaintext from its index, without the row, which a tag cannot have: that"
        " stands below and has no goal.",
    ]
    many = {
        f"Written, {VALUES} values a statement": (results.written, VALUES),
        "Read": (results.read, VALUES),
        "Written and read": (results.both, VALUES),
        "Tags": (results.tags, 1),
        **{title: (figures, VALUES) for title, figures in results.objects.items()},
    }
    for name in results.searched:
        many[f"A search through the ORM, {name}"] = (results.searched[name], _SEARCHES)
        many[f"A search by the bare driver, {name}"] = (results.asked[name], _SEARCHES)
        many[f"The same for id and address alone, {name}"] = (results.covered[name], _SEARCHES)
    for title, (figures, number) in many.items():
        lines += ["", f"| {title} | each | beside |", "| --- | --- | --- |"]
        lines += [
            f"| {each.name} | {each.seconds / number * 1e6:.1f} us | {each} |" for each in figures
        ]
    return "\n".join(lines) + "\n"


def as_json(results: Results) -> str:
    """Everything that was measured."""
    return json.dumps({"machine": machine(), **asdict(results)}, indent=2) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
