"""A new column takes the place of an old one, release by release, and no value is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column as Plain
from sqlalchemy import Engine, LargeBinary, String, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, validates

from mycelium_fractal_net.cli import ExitCode
from mycelium_fractal_net.integrations.sqlalchemy import Encrypted
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support.cli import Mfn

PAGE = Path(__file__).parents[2] / "docs" / "takeover.md"
TABLE = "takeover_customers"  # another test has customers


def sealed() -> Encrypted:
    return Encrypted(String(80), key_id="customers", index="customers-index")


def releases() -> tuple[type[Any], type[Any], type[Any]]:
    """The model of the application: as it was, with both columns, and with the new one alone."""

    class Before(DeclarativeBase):
        pass

    class Both(DeclarativeBase):
        pass

    class After(DeclarativeBase):
        pass

    class Old(Before):
        __tablename__ = TABLE
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str | None] = mapped_column(String(20))

    class Writing(Both):
        __tablename__ = TABLE
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str | None] = mapped_column(String(20))
        email_sealed: Mapped[str | None] = mapped_column(sealed())

        @validates("email")
        def _both(self, _name: str, value: str | None) -> str | None:
            self.email_sealed = value
            return value

    class New(After):
        __tablename__ = TABLE
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str | None] = mapped_column("email_sealed", sealed())

    return Old, Writing, New


OLD, BOTH, NEW = releases()


@pytest.fixture
def table(engine: Engine, application: Keyring) -> Iterator[Engine]:
    """The old column with two rows, and the new one beside it as a migration adds it."""
    OLD.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([OLD(id=1, email="ada@x"), OLD(id=2, email="bob@x"), OLD(id=3)])
    with engine.begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        op.add_column(TABLE, Plain("email_sealed", LargeBinary()))
        if engine.dialect.name == "mariadb":
            op.create_index("ix_sealed_tag", TABLE, ["email_sealed"], mysql_length=32)
        else:
            op.create_index("ix_sealed_tag", TABLE, [text("substr(email_sealed, 1, 32)")])
    yield engine
    OLD.metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP FUNCTION IF EXISTS customers_email_changed CASCADE")) if (
            engine.dialect.name == "postgresql"
        ) else None


def write(engine: Engine, release: type[Any], number: int, email: str | None) -> None:
    """As an instance of that release does."""
    with Session(engine) as session, session.begin():
        row = session.get(release, number) or release(id=number)
        row.email = email
        session.add(row)


def fill(engine: Engine, mfn: Mfn, *more: str) -> Any:
    url = engine.url.render_as_string(hide_password=False)
    return mfn(
        "rewrap", "--database", url, "--table", TABLE, "--column", "email_sealed", "--field",
        f"{TABLE}.email_sealed", "--index", "customers-index", "--from", "plaintext", "--source",
        "email", "--kind", "text", "-k", "customers", "--workers", "1", *more,
    )  # fmt: skip


def found(engine: Engine, column: Any, email: str) -> list[int]:
    with Session(engine) as session:
        model = column.class_
        return list(session.scalars(select(model.id).where(column == email).order_by(model.id)))


def test_each_release_finds_what_the_one_beside_it_has_written(table: Engine, mfn: Mfn) -> None:
    """From the first that writes both columns to the one that knows the new one alone."""
    assert "would fill 2 values" in fill(table, mfn, "--dry-run").out
    write(table, OLD, 1, "ada@new")  # the former release, beside the first one
    write(table, BOTH, 4, "eve@x")
    assert found(table, OLD.email, "eve@x") == [4]
    assert fill(table, mfn).out == f"filled 2 values of {TABLE}.email_sealed, 1 done before\n"
    write(table, BOTH, 2, "bob@new")
    assert fill(table, mfn).out == f"filled 0 values of {TABLE}.email_sealed, 3 done before\n"
    for number, email in ((1, "ada@new"), (2, "bob@new"), (4, "eve@x")):
        assert found(table, OLD.email, email) == found(table, BOTH.email, email) == [number]
        assert found(table, BOTH.email_sealed, email) == found(table, NEW.email, email) == [number]
    write(table, NEW, 5, "fay@x")  # the last release, beside the second one
    write(table, BOTH, 1, "ada@last")
    for number, email in ((5, "fay@x"), (1, "ada@last")):
        assert found(table, BOTH.email_sealed, email) == found(table, NEW.email, email) == [number]
    with table.begin() as connection:
        op = Operations(MigrationContext.configure(connection))
        op.drop_column(TABLE, "email")
    with Session(table) as session:
        rows = session.execute(select(NEW.id, NEW.email).order_by(NEW.id)).all()
    assert [tuple(each) for each in rows] == [
        (1, "ada@last"), (2, "bob@new"), (3, None), (4, "eve@x"), (5, "fay@x"),
    ]  # fmt: skip


def test_a_writer_of_the_old_column_alone_is_found_out(table: Engine, mfn: Mfn) -> None:
    """The step that has to be done before readers change over says so, by row."""
    fill(table, mfn)
    write(table, OLD, 1, "ada@new")
    told = fill(table, mfn)
    assert told.code == ExitCode.PARTIAL
    assert "id=1: the new column has another value than the old one" in told.err
    assert "ada" not in told.err


def test_the_triggers_of_the_page_have_such_rows_filled_again(table: Engine, mfn: Mfn) -> None:
    """And leave those alone that a writer of both has changed."""
    shown = re.findall(r"```sql\n-- (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "mariadb": "MariaDB"}
    wanted = names[table.dialect.name]
    statement = dict(shown)[wanted].replace("ON customers", f"ON {TABLE}")
    statement = statement.replace("UPDATE customers ", f"UPDATE {TABLE} ")
    fill(table, mfn)
    with table.begin() as connection:
        connection.exec_driver_sql(statement)
    write(table, OLD, 1, "ada@new")
    write(table, BOTH, 2, "bob@new")
    with table.connect() as connection:
        stored = connection.execute(text(f"SELECT id, email_sealed FROM {TABLE} ORDER BY id"))
        assert [value is None for _, value in stored] == [True, False, True]
    assert fill(table, mfn).out == f"filled 1 value of {TABLE}.email_sealed, 1 done before\n"
    assert found(table, NEW.email, "ada@new") == [1]
    assert found(table, NEW.email, "bob@new") == [2]


def test_kinds_are_of_a_column_that_is_filled(mfn: Mfn) -> None:
    """And the command knows all that there are."""
    from mycelium_fractal_net.cli.bulk import takeovers
    from mycelium_fractal_net.integrations.spelling import SPELLINGS

    assert tuple(SPELLINGS) == takeovers._KINDS
    where = ("--database", "sqlite:///x", "--table", "t", "--column", "c", "--field", "t.c")
    told = mfn("rewrap", *where, "--from", "plaintext", "--kind", "date")
    assert told.code == ExitCode.USAGE
    assert mfn("rewrap", *where, "--source", "a").code == ExitCode.USAGE
