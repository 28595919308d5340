"""The keyring of an application with encrypted columns, and its database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from mycelium_fractal_net.integrations.application import configure
from mycelium_fractal_net.security.key_providers import LocalKeyProvider
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import Base
from tests.support.stores import keyring_over


@pytest.fixture
def keys(local_provider: LocalKeyProvider) -> Iterator[Keyring]:
    """The keyring of the application, with the keys customers and customers-index."""
    local_provider.keys.create("customers")
    local_provider.keys.create("customers-index", "index")
    with keyring_over(local_provider) as opened:
        configure(opened)
        yield opened
        configure(None)


@pytest.fixture(params=["sqlite", "postgresql"])
def application_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an application's database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'application.db'}"
    found = str(request.getfixturevalue("postgres_url"))
    return found.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(application_url: str, keys: Keyring) -> Iterator[Engine]:
    """An engine over the application's database, with its tables."""
    found = create_engine(application_url)
    Base.metadata.create_all(found)
    yield found
    found.dispose()


@pytest.fixture
def sqlite(tmp_path: Path, keys: Keyring) -> Iterator[Engine]:
    """The same on SQLite alone, for what every database does in one way."""
    found = create_engine(f"sqlite:///{tmp_path / 'application.db'}")
    Base.metadata.create_all(found)
    yield found
    found.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session of the ORM."""
    with Session(engine) as opened:
        yield opened
