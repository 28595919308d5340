"""Fixtures for key stores: on SQLite and on a real PostgreSQL, the same tests for both."""

from __future__ import annotations

import functools
import os
import secrets
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.key_store.upgrading import schema_version
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.policy import Policy
from tests.support import postgres
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator

# A folder in memory, where there is one: a store on a disk waits for it with each commit.
MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        """Move on by a timedelta's arguments."""
        self.now += timedelta(**span)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test process."""
    if postgres.binaries() is None:
        need("PostgreSQL's server (Debian: postgresql)")
    with postgres.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a fresh PostgreSQL database."""
    return postgres.create_database(postgres_server, f"t{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
def postgres_tables(postgres_server: str) -> str:
    """The name of a database with the tables, to be copied."""
    database = Database(postgres.create_database(postgres_server, "tables"))
    database.create()
    database.close()
    return "tables"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A private folder for a store and its master key."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, home: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{home / 'keys.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def sqlite_url(home: Path) -> str:
    """The URL of an empty SQLite database."""
    return f"sqlite:///{home / 'keys.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def tables_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """The URL of a database for :func:`open_provider`, of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url
    server, template = map(request.getfixturevalue, ("postgres_server", "postgres_tables"))
    return postgres.create_database(server, f"t{secrets.token_hex(6)}", template)


# For a test of what is the same on every database: what would run on both runs on SQLite alone.
ON_SQLITE: Final = pytest.mark.parametrize("tables_url", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@functools.cache
def _sqlite_tables() -> bytes:
    """A SQLite file with the tables: to copy it takes a tenth of the time."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        database = Database(Path(folder) / "keys.db")
        database.create()
        database.close()
        return (Path(folder) / "keys.db").read_bytes()


def open_database(url: str) -> Database:
    """That database, with the tables."""
    database = Database(url)
    if database.file is not None and not database.file.exists():
        database.file.touch(mode=0o600)
        database.file.write_bytes(_sqlite_tables())
    with database.read() as connection:
        made = schema_version(connection) is not None
    if not made:
        database.create()
    return database


def open_provider(url: str, home: Path, clock: Clock | None = None) -> LocalKeyProvider:
    """A provider over that database, which is created where it is empty."""
    policy = Policy()
    database = open_database(url)
    path = home / "master.key"
    custodian = (
        LocalCustodian(path, policy) if path.exists() else LocalCustodian.create(path, policy)
    )
    provider = LocalKeyProvider(KeyStore(database), custodian, policy, clock=clock or Clock())
    if provider.store.status() is None:
        provider.master_keys.begin()
    return provider


def keyring_over(provider: LocalKeyProvider, **options: Any) -> Keyring:
    """A keyring with its own cache over a provider."""
    return Keyring(provider, UsageStore(provider.store.database), **options)


@pytest.fixture
def provider(tables_url: str, home: Path, clock: Clock) -> Iterator[LocalKeyProvider]:
    """An initialised provider with no keys, on SQLite and on PostgreSQL."""
    opened = open_provider(tables_url, home, clock)
    yield opened
    opened.store.database.close()


@pytest.fixture
def local_provider(sqlite_url: str, home: Path, clock: Clock) -> Iterator[LocalKeyProvider]:
    """An initialised provider with no keys, on SQLite alone."""
    opened = open_provider(sqlite_url, home, clock)
    yield opened
    opened.store.database.close()


@pytest.fixture
def keyring(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """A keyring on SQLite with the keys orders, release and tags."""
    local_provider.keys.create("orders")
    local_provider.keys.create("release", "signing")
    local_provider.keys.create("tags", "mac")
    with keyring_over(local_provider) as opened:
        yield opened
