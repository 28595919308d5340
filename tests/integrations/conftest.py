"""The keyring of an application with encrypted columns, and its database.

Both are made once for a process: a test leaves tables empty, and keys as they were. Who rotates
has keys of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import Base
from tests.support import mariadb, postgres
from tests.support.cli import Mfn
from tests.support.stores import keyring_over, open_provider


def with_keys(provider: LocalKeyProvider) -> Keyring:
    """A keyring over a new provider, with the keys customers and customers-index."""
    provider.keys.create("customers")
    provider.keys.create("customers-index", "index")
    return keyring_over(provider)


@pytest.fixture(scope="session")
def shared_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    """The keyring of a process's tests, none of which changes a key."""
    home = tmp_path_factory.mktemp("application")
    provider = open_provider(f"sqlite:///{home / 'keys.db'}", home)
    with with_keys(provider) as opened:
        yield opened
    provider.store.database.close()


@pytest.fixture
def keys(shared_keys: Keyring) -> Iterator[Keyring]:
    """The keyring of the application, with the keys customers and customers-index."""
    configure(shared_keys)
    yield shared_keys
    configure(None)


@pytest.fixture
def own_keys(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """The same for a test that changes them."""
    with with_keys(local_provider) as opened:
        configure(opened)
        yield opened
        configure(None)


@pytest.fixture
def application(mfn: Mfn) -> Iterator[Keyring]:
    """The keyring of an application whose keys ``mfn`` has made."""
    mfn.ok("key", "create", "customers")
    mfn.ok("key", "create", "customers-index", "--type", "index")
    with open_keyring(home=mfn.home) as keyring:
        configure(keyring)
        yield keyring
        configure(None)


def _with_tables(url: str) -> Iterator[Engine]:
    made = create_engine(url)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def application_postgres(postgres_server: str) -> str:
    """The URL of an application's database on PostgreSQL."""
    return postgres.create_database(postgres_server, "application")


@pytest.fixture(scope="session")
def _postgres(application_postgres: str) -> Iterator[Engine]:
    yield from _with_tables(application_postgres)


@pytest.fixture(scope="session")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    yield from _with_tables(f"sqlite:///{tmp_path_factory.mktemp('tables') / 'application.db'}")


@pytest.fixture(scope="session")
def application_mariadb(mariadb_server: str) -> str:
    """The URL of an application's database on MariaDB."""
    return mariadb.create_database(mariadb_server, "application")


@pytest.fixture(scope="session")
def _mariadb(application_mariadb: str) -> Iterator[Engine]:
    yield from _with_tables(application_mariadb)


def _emptied(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine over empty tables of an application, on each kind of database in turn."""
    found = request.getfixturevalue(f"_{request.param}")
    yield found
    _emptied(found)


@pytest.fixture
def sqlite(_sqlite: Engine) -> Iterator[Engine]:
    """The same on SQLite alone, for what every database does in one way."""
    yield _sqlite
    _emptied(_sqlite)


@pytest.fixture
def postgresql(_postgres: Engine) -> Iterator[Engine]:
    """The same on PostgreSQL alone."""
    yield _postgres
    _emptied(_postgres)


@pytest.fixture
def on_mariadb(_mariadb: Engine) -> Iterator[Engine]:
    """The same on MariaDB alone."""
    yield _mariadb
    _emptied(_mariadb)


@pytest.fixture
def session(engine: Engine, keys: Keyring) -> Iterator[Session]:
    """A session of the ORM, and the keyring that it needs."""
    with Session(engine) as opened:
        yield opened
