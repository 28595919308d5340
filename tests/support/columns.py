"""Tables of an application beside the product, on SQLite, on PostgreSQL and on MariaDB."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.pool import NullPool

from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.keyring.rewrapping import Rewrapper
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions
from tests.support import mariadb
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_URLS = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}


class Application:
    """What an application does with its own database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        if self.engine.dialect.name == "mariadb":  # "x" is a name, as in the others
            event.listen(self.engine, "connect", _ansi_quotes)

    @property
    def bytes_type(self) -> str:
        """The type of a column of bytes."""
        return {"postgresql": "BYTEA", "mariadb": "LONGBLOB"}.get(self.engine.dialect.name, "BLOB")

    def run(self, statement: str, *rows: dict[str, Any]) -> None:
        """Run a statement, once for each row that is given, in one transaction."""
        with self.engine.begin() as connection:
            for row in rows or ({},):
                connection.execute(text(statement), row)

    def all(self, statement: str, **given: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), given)]

    def tables(self) -> set[str]:
        """The names of its tables."""
        return set(inspect(self.engine).get_table_names())

    def one(self, statement: str, **given: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.all(statement, **given)
        return value


def _ansi_quotes(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")


class Beside(Keyring):
    """A keyring beside which somebody does something just before each rewrapping."""

    def __init__(self, keyring: Keyring, act: Callable[[], object]) -> None:
        super().__init__(keyring.provider, keyring.usage)
        self._act = act

    def rewrap(self, *arguments: Any, **named: Any) -> bytes:
        self._act()
        return super().rewrap(*arguments, **named)

    def rewrapper(self, options: OpenOptions = PLAIN) -> Rewrapper:
        return Rewrapper(self, self._keys, options, holds=False)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The URL of a MariaDB server of this test process."""
    if mariadb.binaries() is None:
        need("MariaDB's server (Debian: mariadb-server-core)")
    with mariadb.running() as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: str) -> str:
    """The URL of a fresh MariaDB database."""
    return mariadb.create_database(mariadb_server, f"t{secrets.token_hex(6)}")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def application(request: pytest.FixtureRequest, tmp_path: Path) -> Application:
    """An empty database of an application, of each kind in turn."""
    if request.param == "sqlite":
        return on_sqlite(tmp_path)
    return Application(str(request.getfixturevalue(_URLS[request.param])))


def on_sqlite(folder: Path) -> Application:
    """One in a file."""
    (folder / "app.db").touch()
    return Application(f"sqlite:///{folder / 'app.db'}")


def customers(application: Application, keyring: Keyring, count: int = 20) -> dict[int, bytes]:
    """A table with that many messages of 100 random bytes; returns what is in them."""
    application.run(
        f"CREATE TABLE customers (id INTEGER PRIMARY KEY, iban {application.bytes_type})"
    )
    plain = {number: os.urandom(100) for number in range(count)}
    if plain:
        application.run(
            "INSERT INTO customers VALUES (:id, :iban)",
            *({"id": n, "iban": keyring.encrypt(p, key_id="orders")} for n, p in plain.items()),
        )
    return plain


def rotate(keyring: Keyring, key_id: str = "orders") -> None:
    """A new version, which the keyring knows at once."""
    keyring.provider.rotate_key(key_id)
    keyring.refresh()


def opened(application: Application, keyring: Keyring) -> dict[int, bytes]:
    """What is in the messages of :func:`customers`, all of which must be newest."""
    found = {}
    for number, value in application.all("SELECT id, iban FROM customers"):
        assert keyring.describe(value).newest, number
        found[number] = keyring.decrypt(value)
    return found
