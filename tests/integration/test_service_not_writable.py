"""A store that can be read and not written: the service says that it is not ready."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.key_store.schema import store_meta
from tests.support.service import Running, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.long

KNOWN_SECONDS = (
    20.0  # an attempt every five, which is late after five more; some for a busy machine
)


@pytest.fixture
def running(home: Path, store_url: str) -> Iterator[Running]:
    """A service on SQLite and on PostgreSQL."""
    initialise(home=home, store=store_url).close()
    found = start(home, env={"MFN_STORE": store_url})
    yield found
    try:
        assert found.stop() == 0
    finally:
        found.kill()


@contextlib.contextmanager
def held(store_url: str) -> Iterator[None]:
    """The store as one that somebody is writing to without end."""
    engine = create_engine(store_url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql(f"LOCK TABLE {store_meta.name} IN EXCLUSIVE MODE")
        yield
        connection.rollback()
    engine.dispose()


def until(client: httpx.Client, status: int, backends: dict[str, Any]) -> None:
    began = time.monotonic()
    while True:
        answer = client.get("/health/ready")
        if answer.status_code == status and backends.items() <= answer.json()["backends"].items():
            return
        assert time.monotonic() - began < KNOWN_SECONDS, answer.text
        time.sleep(0.2)


def test_ready_says_that_the_store_cannot_be_written(running: Running, store_url: str) -> None:
    """Signed requests, first uses and changes would all be refused: others are to be sent them."""
    with running.client() as client:
        until(client, 200, {"key-store": "ok"})
        with held(store_url):
            until(client, 503, {"key-store": "not-writable"})
            assert "mfn_store_writable 0.0" in client.get("/metrics").text
        until(client, 200, {"key-store": "ok"})
        assert "mfn_store_writable 1.0" in client.get("/metrics").text


def test_writing_what_changes_nothing_moves_nobody(home: Path, store_url: str) -> None:
    """No cache is emptied by it."""
    initialise(home=home, store=store_url).close()
    database = Database(store_url)
    store = KeyStore(database)
    before = store.require_status()
    store.check_writable()
    assert store.require_status() == before
    database.close()


def test_a_store_without_tables_cannot_be_written(tmp_path: Path) -> None:
    """Which the probe says as it says everything."""
    database = Database(tmp_path / "none.db")
    with pytest.raises(StoreUnavailableError):
        KeyStore(database).check_writable()
    database.close()
