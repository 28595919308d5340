"""Columns of Fernet tokens and of the XOR cipher are taken over beside their application."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet as Writer
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
)

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.cli import ExitCode
from mycelium_fractal_net.integrations import fields
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.integrations.sqlalchemy import (
    Encrypted,
    Fernet,
    Plaintext,
    XorCipher,
    plaintext_read,
)
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.support.cli import Mfn, one_line
from tests.support.legacy_xor import OLD_KEY, write_xor

UNTIL = "9999-12-31"
KEYS = [Writer.generate_key().decode() for _ in range(2)]


def token(value: str) -> str:
    """What an application has written under the older key."""
    return Writer(KEYS[1]).encrypt(value.encode()).decode()


# The form as ``--from`` names it, its writer, and what the type is given.
FORMS: dict[str, tuple[Callable[[str], str], Callable[[str], Any]]] = {
    "fernet": (token, lambda until: Fernet(KEYS, until=until)),
    "xor": (write_xor, XorCipher),
}


def people(kind: Any = String, **options: Any) -> Table:
    """The table, as a version of the application sees it."""
    kind = Encrypted(kind, key_id="customers", as_text=True, **options)
    return Table(
        "people", MetaData(), Column("id", Integer, primary_key=True), Column("iban", kind)
    )


@pytest.fixture
def old(engine: Engine) -> Iterator[Table]:
    """The table of the application as it was."""
    made = Table(
        "people", MetaData(), Column("id", Integer, primary_key=True), Column("iban", Text)
    )
    made.create(engine)
    yield made
    made.drop(engine)


@pytest.fixture
def application(mfn: Mfn, tmp_path: Path) -> Iterator[Keyring]:
    """The keyring of an application whose keys ``mfn`` has made."""
    mfn.ok("key", "create", "customers")
    key = tmp_path / "old.key"
    key.touch(0o600)
    key.write_bytes(OLD_KEY)
    mfn.ok("key", "import-xor", str(key))
    with open_keyring(home=mfn.home) as keyring:
        configure(keyring)
        yield keyring
        configure(None)


@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_another_form_is_taken_over(
    engine: Engine,
    old: Table,
    application: Keyring,
    mfn: Mfn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    """Both are read, sealed is written, a sweep seals the rest, and then the form is refused."""
    write, source = FORMS[form]
    monkeypatch.setattr(fields, "_PLAINTEXT_READ", Counter())
    with engine.begin() as connection:
        rows = [{"id": n, "iban": write(value)} for n, value in ((1, "DE02"), (2, ""))]
        connection.execute(insert(old), rows)
    both, after = people(takes_over=source(UNTIL)), people()
    with engine.begin() as connection:
        connection.execute(insert(both), {"id": 3, "iban": "FR76"})
        read = connection.scalars(select(both.c.iban).order_by(both.c.id)).all()
        assert read == ["DE02", "", "FR76"]
    assert plaintext_read() == {"people.iban": 2}
    for refusing in (after, people(takes_over=source("2020-01-01")), people(takes_over=FORMS[
        "xor" if form == "fernet" else "fernet"][1](UNTIL))):  # fmt: skip
        with engine.connect() as connection, pytest.raises(DecryptionError, match=r"^people.iban"):
            connection.scalars(select(refusing.c.iban)).all()
    with engine.begin() as connection:  # who writes to the database has not the key of the form
        connection.execute(insert(old), {"id": 4, "iban": "forged"})
    with (
        engine.connect() as connection,
        pytest.raises(DecryptionError, match=r"^people\.iban, id=4: "),
    ):
        connection.scalars(select(both.c.iban)).all()

    keys = tmp_path / "fernet.keys"
    keys.touch(0o600)
    keys.write_text("\n".join(KEYS) + "\n")
    url = engine.url.render_as_string(hide_password=False)
    sweep = [
        "rewrap", "--database", url, "--table", "people", "--column", "iban", "--field",
        "people.iban", "--from", form, "-k", "customers", "--workers", "1",
        *(["--fernet-key-file", str(keys)] if form == "fernet" else []),
    ]  # fmt: skip
    tried = mfn(*sweep, "--dry-run")
    assert tried.code == ExitCode.PARTIAL
    assert "would seal 2 values of people.iban, 1 done before" in tried.out
    assert "id=4" in tried.err
    assert not any(each in tried.out + tried.err for each in ("forged", *KEYS))
    with engine.begin() as connection:
        connection.execute(old.delete().where(old.c.id == 4))
    assert mfn.ok(*sweep).out == "sealed 2 values of people.iban, 1 done before\n"
    assert mfn.ok(*sweep).out == "sealed 0 values of people.iban, 3 done before\n"
    with engine.connect() as connection:
        assert connection.scalars(select(after.c.iban).order_by(after.c.id)).all() == read


def test_numbers_and_dates_of_tokens_are_read(sqlite: Engine, keys: Keyring) -> None:
    """Their texts are those that a field seals."""
    table = people(Integer, takes_over=Fernet(KEYS, until=UNTIL))
    with sqlite.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE people (id INTEGER PRIMARY KEY, iban TEXT)")
        connection.exec_driver_sql("INSERT INTO people VALUES (1, ?)", (token("17"),))
        assert connection.scalars(select(table.c.iban)).all() == [17]
        connection.exec_driver_sql("UPDATE people SET iban = ?", (token("secret words"),))
        with pytest.raises(InvalidInputError, match="what is stored is no integer") as caught:
            connection.scalars(select(table.c.iban)).all()
        assert "secret" not in str(caught.value)
        connection.exec_driver_sql("DROP TABLE people")
    Encrypted(Date, key_id="customers", as_text=True, takes_over=XorCipher(UNTIL))


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        (Boolean, lambda: Fernet(KEYS, until=UNTIL)),
        (DateTime, lambda: XorCipher(UNTIL)),
        (Integer, lambda: Plaintext(UNTIL)),
    ],
    ids=["fernet", "xor", "plaintext"],
)
def test_what_a_form_spells_in_another_way_takes_a_new_column(kind: Any, source: Any) -> None:
    """It is refused as the table is written down, and the error says so."""
    with pytest.raises(ConfigurationError, match="by a new column"):
        people(kind, takes_over=source())


def test_keys_are_in_nothing_that_a_type_shows_or_is_kept_by(
    sqlite: Engine, keys: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """Its repr, what SQLAlchemy caches a statement by, its pickle, and its log."""
    table = people(takes_over=Fernet(KEYS, until=UNTIL))
    kind: Any = table.c.iban.type
    assert "takes_over=Fernet(…, until='9999-12-31')" in repr(kind)
    with sqlite.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE people (id INTEGER PRIMARY KEY, iban TEXT)")
        connection.exec_driver_sql("INSERT INTO people VALUES (1, ?)", (token("DE02"),))
        statement = select(table.c.iban)
        assert connection.scalars(statement).all() == ["DE02"]
        connection.exec_driver_sql("DROP TABLE people")
    shown = repr(statement._generate_cache_key()) + repr(kind._static_cache_key) + caplog.text
    assert not any(key in shown for key in KEYS)
    with pytest.raises(TypeError, match="on purpose"):
        pickle.dumps(kind)
    with pytest.raises(DecryptionError) as caught:
        kind.process_result_value("anything", sqlite.dialect)
    assert not any(key in str(caught.value) for key in KEYS)


@pytest.mark.parametrize(
    "given",
    [
        ("--from", "fernet"),
        ("--from", "xor", "--or-plaintext"),
        ("--from", "plaintext", "--fernet-key-file", "x"),
        ("--fernet-key-file", "x"),
        ("--or-plaintext",),
    ],
)
def test_options_of_a_form_go_with_it(mfn: Mfn, given: tuple[str, ...]) -> None:
    """And Fernet tokens are opened by nothing but their keys."""
    where = ("--database", "sqlite:///x", "--table", "t", "--column", "c", "--field", "t.c")
    assert one_line(mfn("rewrap", *where, *given), ExitCode.USAGE)


def test_a_file_of_keys_is_private_and_holds_keys(mfn: Mfn, tmp_path: Path) -> None:
    """Whoever may read it reads every token; what is in it is not shown."""
    keys = tmp_path / "fernet.keys"
    where = ("--database", "sqlite:///x", "--table", "t", "--column", "c", "--field", "t.c")
    run = ("rewrap", *where, "--from", "fernet", "--fernet-key-file", str(keys))
    keys.write_text(KEYS[0])
    keys.chmod(0o644)
    assert "0644" in mfn(*run).err
    keys.chmod(0o600)
    keys.write_text(KEYS[0][:-4])
    told = mfn(*run).err
    assert "a Fernet key is 32 bytes" in told
    assert KEYS[0][:8] not in told
