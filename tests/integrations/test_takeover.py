"""An application whose column holds plaintext reads both and writes sealed, until it is done."""

from __future__ import annotations

import logging
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, insert, select, text
from sqlalchemy.exc import IntegrityError

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.cli import ExitCode
from mycelium_fractal_net.columns import (
    EncryptedField,
    MessageColumn,
    Plaintext,
    take_over_column,
)
from mycelium_fractal_net.integrations import application as application_module
from mycelium_fractal_net.integrations import fields
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.fields import EncryptedColumn, RefusedQueryError
from mycelium_fractal_net.integrations.sqlalchemy import Encrypted, plaintext_read
from mycelium_fractal_net.security.errors import ConfigurationError, DecryptionError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support.cli import Mfn, one_line

PAGE = Path(__file__).parents[2] / "docs" / "takeover.md"
FUTURE, PAST = Plaintext("9999-12-31"), Plaintext("2020-01-01")


def people(**options: Any) -> Table:
    """The table, as a version of the application sees it."""
    kind = Encrypted(String(80), key_id="customers", as_text=True, **options)
    return Table(
        "people", MetaData(), Column("id", Integer, primary_key=True), Column("iban", kind)
    )


@pytest.fixture
def plain(engine: Engine) -> Iterator[Table]:
    """The table of an application that knows nothing of encryption, with two rows."""
    made = Table(
        "people", MetaData(), Column("id", Integer, primary_key=True), Column("iban", Text)
    )
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(made), [{"id": 1, "iban": "DE02"}, {"id": 2, "iban": ""}])
    yield made
    made.drop(engine)


@pytest.fixture
def application(mfn: Mfn) -> Iterator[Keyring]:
    """The keyring of an application whose keys ``mfn`` has made."""
    mfn.ok("key", "create", "customers")
    with open_keyring(home=mfn.home) as keyring:
        configure(keyring)
        yield keyring
        configure(None)


def test_a_table_that_lives_is_taken_over(
    engine: Engine,
    plain: Table,
    application: Keyring,
    mfn: Mfn,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are read, sealed is written, a sweep seals the rest, and then plaintext is refused."""
    url = engine.url.render_as_string(hide_password=False)
    where = ("--database", url, "--table", "people", "--column", "iban", "--field", "people.iban")

    def sweep(*more: str) -> str:
        return mfn.ok(
            "rewrap", *where, "--from", "plaintext", "-k", "customers", "--workers", "1", *more
        ).out

    monkeypatch.setattr(fields, "_PLAINTEXT_READ", Counter())  # what this process has read so far
    both = people(takes_over=FUTURE)
    with engine.begin() as connection:
        connection.execute(insert(both), {"id": 3, "iban": "FR76"})
        with caplog.at_level(logging.WARNING):
            rows = connection.scalars(select(both.c.iban).order_by(both.c.id)).all()
        assert rows == ["DE02", "", "FR76"]
        assert connection.scalars(select(plain.c.iban)).all()[2] != "FR76"
    told = [each.getMessage() for each in caplog.records if each.name == fields.__name__]
    assert told == ["people.iban: a value that is not sealed was read"]
    assert plaintext_read()["people.iban"] == 2

    after = people()
    with engine.connect() as connection, pytest.raises(DecryptionError):
        connection.scalars(select(after.c.iban)).all()
    named = pytest.raises(DecryptionError, match=r"^people\.iban, id=1: ")
    with engine.connect() as connection, named:
        connection.scalars(select(people(takes_over=PAST).c.iban)).all()

    assert sweep("--dry-run") == "would seal 2 values of people.iban, 1 done before\n"
    assert sweep() == "sealed 2 values of people.iban, 1 done before\n"
    assert sweep("--dry-run") == "would seal 0 values of people.iban, 3 done before\n"
    with engine.connect() as connection:
        rows = connection.scalars(select(after.c.iban).order_by(after.c.id)).all()
        assert rows == ["DE02", "", "FR76"]
    with engine.begin() as connection:  # as who writes to the database would
        connection.execute(insert(plain), {"id": 4, "iban": "forged"})
    with engine.connect() as connection, pytest.raises(DecryptionError):
        connection.scalars(select(after.c.iban)).all()

    mfn.ok("key", "rotate", "customers")
    moved = mfn(
        "rewrap", *where, "--workers", "1"
    )  # from now on as any field, and says what is none
    assert moved.code == ExitCode.PARTIAL
    assert "id=4" in moved.err


def test_a_column_with_an_index_is_found_once_all_is_sealed(sqlite: Engine, keys: Keyring) -> None:
    """SQLite stores bytes in a column of text, where its plaintext is read."""

    def table(**options: Any) -> Table:
        kind = Encrypted(String, key_id="customers", index="customers-index", **options)
        return Table(
            "owners", MetaData(), Column("id", Integer, primary_key=True), Column("email", kind)
        )

    both, after = table(takes_over=FUTURE), table(unique=True)
    with sqlite.begin() as connection:
        connection.execute(text("CREATE TABLE owners (id INTEGER PRIMARY KEY, email VARCHAR(80))"))
        connection.execute(text("INSERT INTO owners VALUES (1, 'ada@example.com')"))
        connection.execute(insert(both), {"id": 2, "email": "bob@example.com"})
        rows = connection.scalars(select(both.c.email).order_by(both.c.id)).all()
        assert rows == ["ada@example.com", "bob@example.com"]
        with pytest.raises(RefusedQueryError, match="being taken over"):
            connection.execute(select(both.c.id).where(both.c.email == "ada@example.com"))
    try:
        field = EncryptedField("owners", "email", "customers-index")
        url = sqlite.url.render_as_string(hide_password=False)
        place = MessageColumn(url, "owners", "email", field=field)
        assert take_over_column(keys, place, "customers", workers=1).done == 1
        with sqlite.begin() as connection:
            next(iter(after.indexes)).create(connection)
            for number, email in enumerate(rows, 1):
                found = select(after.c.id, after.c.email).where(after.c.email == email)
                assert connection.execute(found).all() == [(number, email)]
            with pytest.raises(IntegrityError):
                connection.execute(insert(after), {"id": 3, "email": "ada@example.com"})
    finally:
        with sqlite.begin() as connection:
            connection.execute(text("DROP TABLE owners"))


def test_nothing_is_searched_or_unique_before_all_is_sealed(keys: Keyring) -> None:
    """A search would miss the rows that have no tag."""
    given = {"key_id": "customers", "index": "customers-index"}
    column = EncryptedColumn(keys, "people", "email", **given, takes_over=FUTURE)  # type: ignore[arg-type]
    stored = column.store(b"ada")
    assert column.open_either(stored) == b"ada"
    assert column.open_either("bob") == b"bob"
    with pytest.raises(RefusedQueryError, match="being taken over"):
        column.tags(b"ada")
    with pytest.raises(ConfigurationError):
        EncryptedColumn(keys, "people", "email", **given, unique=True, takes_over=FUTURE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": Integer, "takes_over": FUTURE},
        {"kind": String, "takes_over": FUTURE, "index": "i", "unique": True},
        {"kind": String, "as_text": True, "index": "i"},
    ],
)
def test_what_cannot_be_taken_over_is_refused(options: dict[str, Any]) -> None:
    """As the table is written down."""
    with pytest.raises(ConfigurationError):
        Encrypted(key_id="customers", **options)


def test_a_type_shows_how_it_takes_over() -> None:
    """And a migration of Alembic has a column of text for it, which needs no keys."""
    kind = Encrypted(Text(), key_id="customers", as_text=True, takes_over=FUTURE)
    assert "as_text=True, takes_over=Plaintext(until='9999-12-31')" in repr(kind)
    assert str(kind.compile()) == "TEXT"


@pytest.mark.parametrize(
    "given",
    [
        ("--from", "plaintext"),
        ("--from", "plaintext", "--database", "sqlite:///x", "--table", "t", "--column", "c"),
        ("-k", "customers", "file.mfn"),
        ("--dry-run", "file.mfn"),
    ],
)
def test_a_takeover_names_a_field(mfn: Mfn, given: tuple[str, ...]) -> None:
    """Else nothing says what the values are to be bound to."""
    assert one_line(mfn("rewrap", *given), ExitCode.USAGE)


def test_the_examples_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are read, in a folder of its own."""
    monkeypatch.setattr(fields, "_PLAINTEXT_READ", Counter())
    monkeypatch.setattr(
        application_module.APPLICATION, "default", application_module._by_configuration
    )
    monkeypatch.setenv("MFN_HOME", str(home))
    monkeypatch.chdir(home)
    initialise().close()
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(textwrap.dedent(block), str(PAGE), "exec", dont_inherit=True), known)
    configure(None)
