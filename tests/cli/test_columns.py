"""``mfn rewrap --database``: a column in the place of files."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.cli import ExitCode
from mycelium_fractal_net.columns import EncryptedField
from mycelium_fractal_net.security.audit import query
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHERE = ("--table", "people", "--column", "secret")


@pytest.fixture
def people(mfn: Mfn, folder: Path) -> Path:
    """A database with two messages that an older version sealed, and one value that is none."""
    path = folder / "app.db"
    with open_keyring(home=mfn.home) as keyring, database(path) as connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, secret BLOB, name TEXT)")
        for number, name in enumerate(("ann", "bob"), 1):
            message = keyring.encrypt(name.encode(), key_id="orders", associated_data=name.encode())
            connection.execute("INSERT INTO people VALUES (?, ?, ?)", (number, message, name))
        keyring.provider.rotate_key("orders")
    return path


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def secrets(path: Path) -> dict[int, bytes]:
    with database(path) as connection:
        return dict(connection.execute("SELECT id, secret FROM people").fetchall())


def test_a_column_is_moved(mfn: Mfn, people: Path) -> None:
    """All of it, and a second run finds it done."""
    bound = ("--associated-data-column", "name", "--workers", "2")
    ran = mfn.ok("rewrap", "--database", f"sqlite:///{people}", *WHERE, *bound)
    assert ran.out == "rewrapped 2 values of people.secret\n"
    with open_keyring(home=mfn.home) as keyring:
        for number, value in secrets(people).items():
            assert keyring.describe(value).version == 2
            name = {1: b"ann", 2: b"bob"}[number]
            assert keyring.decrypt(value, associated_data=name) == name
    again = mfn.ok("rewrap", "--database", f"sqlite:///{people}", *WHERE, *bound)
    assert again.out == "rewrapped 0 values of people.secret, 2 done before\n"


def test_the_url_may_stand_where_nobody_else_sees_it(
    mfn: Mfn, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file or in a variable of the user's choice."""
    (mfn.folder / "app.url").write_text(f"sqlite:///{people}\n")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{people}")
    bound = ("--associated-data-column", "name", "--workers", "1")
    first = mfn.ok("rewrap", "--database-file", "app.url", *WHERE, *bound)
    second = mfn.ok("rewrap", "--database-env", "DATABASE_URL", *WHERE, *bound)
    assert "2 values" in first.out
    assert "2 done before" in second.out


def test_what_could_not_be_moved_is_told(mfn: Mfn, people: Path) -> None:
    """On standard error, or as JSON lines; the rest is done and the code is 11."""
    with database(people) as connection:
        connection.execute("INSERT INTO people VALUES (3, ?, 'eve')", (b"hunter2",))
    url = f"sqlite:///{people}"
    bound = ("--associated-data-column", "name", "--workers", "1")
    ran = mfn("rewrap", "--database", url, *WHERE, *bound)
    assert ran.code == ExitCode.PARTIAL
    assert ran.err.startswith("mfn: id=3: the message does not open")
    assert "1 value failed" in ran.err
    ran = mfn("rewrap", "--database", url, *WHERE, *bound, "--report", "left.jsonl")
    assert ran.code == ExitCode.PARTIAL
    (line,) = (mfn.folder / "left.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == {"id": 3}
    assert "hunter2" not in line + ran.out + ran.err


def test_a_column_is_one_record(mfn: Mfn, people: Path) -> None:
    """With how many messages each version has, and without the URL."""
    mfn("rewrap", "--database", f"sqlite:///{people}", *WHERE, "--workers", "1")
    (record,) = query(mfn.home / "audit", event="rewrap")
    assert (record["key"], record["count"], record["outcome"]) == ("orders:v1", 2, "begun")
    assert "app.db" not in json.dumps(record)


def test_that_nothing_is_left_may_be_recorded(mfn: Mfn, people: Path) -> None:
    """If all was moved; with something left it is not."""
    say = ("--finished", "orders", "--reason", "orders seals nothing else")
    url = f"sqlite:///{people}"
    refused = mfn("rewrap", "--database", url, *WHERE, "--workers", "1", *say)
    assert refused.code == ExitCode.PARTIAL
    assert "not recorded for orders" in refused.err
    bound = ("--associated-data-column", "name", "--workers", "1")
    ran = mfn("rewrap", "--database", url, *WHERE, *bound, *say)
    assert ran.code == 0, ran.err
    assert "recorded: nothing is under older versions of orders" in ran.out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--table", "people"), "no database"),
        (("--database", "sqlite:///app.db"), "takes a table and a column"),
        (("--database", "sqlite:///app.db", "--table", "people"), "takes a table and a column"),
        (("--database", "x", "--database-env", "Y", *WHERE), "named twice"),
        (("--database", "x", "-a", "b", "--associated-data-column", "c", *WHERE), "given twice"),
        (("--database-env", "NOT_SET_ANYWHERE", *WHERE), "the variable NOT_SET_ANYWHERE"),
        (("--database-file", "empty.url", *WHERE), "empty.url holds no URL"),
        (("--database", "x", *WHERE, "file.mfn"), "files and a database"),
        (("--database", "hunter2", *WHERE), "not named by a URL"),
        ((), "nothing to rewrap"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    mfn: Mfn, arguments: tuple[str, ...], what: str
) -> None:
    """Before anything is opened, and a URL is never repeated."""
    (mfn.folder / "empty.url").touch()
    line = one_line(mfn("rewrap", *arguments), ExitCode.USAGE)
    assert what in line
    assert "hunter2" not in line


def test_a_database_that_is_not_there_is_an_input_error(mfn: Mfn) -> None:
    """It says what is done and what to do."""
    line = one_line(mfn("rewrap", "--database", "sqlite:///no.db", *WHERE), ExitCode.INPUT)
    assert "no such database file" in line
    assert "run the same again" in line


def test_an_encrypted_field_is_moved_with_its_tag(mfn: Mfn, folder: Path) -> None:
    """To the index key's newest version, which waits for that; the record says what was moved."""
    field = EncryptedField("Person", "secret", "names", normalisation="caseless")
    how = {"key_id": "names", "context": field.binding, "normalisation": "caseless"}
    path = folder / "field.db"
    with open_keyring(home=mfn.home) as keyring, database(path) as connection:
        keyring.provider.keys.create("names", "index")
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, secret BLOB)")
        sealed = keyring.encrypt(b"Ann", key_id="orders", associated_data=field.binding)
        stored = bytes(keyring.index_tag(b"Ann", **how)) + sealed  # type: ignore[arg-type]
        connection.execute("INSERT INTO people VALUES (1, ?)", (stored,))
        keyring.provider.rotate_key("names")
    named = ("--field", "Person.secret", "--index", "names", "--normalisation", "caseless")
    ran = mfn.ok("rewrap", "--database", f"sqlite:///{path}", *WHERE, *named, "--workers", "1")
    assert ran.out == "rewrapped 1 value of people.secret\n"
    with open_keyring(home=mfn.home) as keyring:
        (value,) = secrets(path).values()
        assert value[32:] == sealed
        assert value[:32] == bytes(keyring.index_tags(b"aNN", **how)[0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        ("--index", "names"),
        ("--field", "people.secret", "--bits", "8"),
        ("--field", "people.secret", "--new-tags"),
        ("--new-tags",),
        ("--field", "people"),
        ("--field", "people.secret", "-a", "text"),
    ],
)
def test_what_is_said_of_a_field_goes_together(
    mfn: Mfn, people: Path, given: tuple[str, ...]
) -> None:
    """Before anything is opened."""
    ran = mfn("rewrap", "--database", f"sqlite:///{people}", *WHERE, *given)
    assert one_line(ran, ExitCode.USAGE)
