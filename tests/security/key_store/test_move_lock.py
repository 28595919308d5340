"""The lock of a move to another master key: on a file, and on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net.security.errors import ConflictError, StoreUnavailableError
from mycelium_fractal_net.security.key_store import Database
from mycelium_fractal_net.security.key_store.move_lock import awaited
from tests.support.stores import open_database

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider


def test_one_holds_it_at_a_time_and_the_next_one_after_him(provider: LocalKeyProvider) -> None:
    """Whoever comes meanwhile is told at once."""
    first, second = provider.store.database, Database(provider.store.database.url)
    with closing(second):
        with first.moving() as held:
            held()
            with pytest.raises(ConflictError, match="let it end"), second.moving():
                pass  # pragma: no cover - it does not come here
        with second.moving() as held:
            held()


def test_a_holder_that_is_killed_frees_it(provider: LocalKeyProvider) -> None:
    """The system does: nobody has to clean up."""
    url = provider.store.database.url
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            with Database(url).moving():
                os.write(write, b"held")
                signal.pause()
        finally:
            os._exit(1)
    os.close(write)
    assert os.read(read, 4) == b"held"
    os.close(read)
    with pytest.raises(ConflictError), provider.store.database.moving():
        pass  # pragma: no cover - it does not come here
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for _ in range(200):  # a server notices a moment later
        try:
            with provider.store.database.moving():
                return
        except ConflictError:
            signal.sigtimedwait([], 0.05)
    pytest.fail("the lock was not freed")  # pragma: no cover


def test_a_lock_that_the_server_ended_is_told_before_anything_is_forgotten(
    postgres_url: str,
) -> None:
    """The server frees it with the connection, and another one may have it by now."""
    with closing(Database(postgres_url)) as database:
        database.create()
        with database.moving() as held:
            engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                    )
                )
            engine.dispose()
            with pytest.raises(StoreUnavailableError, match="was lost"):
                held()


def test_a_server_that_is_not_there_is_an_outage() -> None:
    """Without the text of its driver, which may hold the URL."""
    gone = "postgresql+psycopg://mfn:secret@127.0.0.1:1/mfn"  # pragma: allowlist secret
    with closing(Database(gone)) as database:
        with pytest.raises(StoreUnavailableError) as caught, database.moving():
            pass  # pragma: no cover - it does not come here
        assert "secret" not in str(caught.value)


def test_a_lock_is_waited_for_and_not_for_ever(sqlite_url: str) -> None:
    """Who begins a store waits for another who does."""
    with closing(open_database(sqlite_url)) as database:
        freed: list[bool] = []
        with ExitStack() as held:
            held.enter_context(database.moving())
            with pytest.raises(ConflictError), awaited(database.moving, 0.1):
                pass  # pragma: no cover - it does not come here

            def free() -> None:
                freed.append(True)
                held.close()

            timer = threading.Timer(0.2, free)
            timer.start()
            with awaited(database.moving, 10.0):
                assert freed
            timer.join()
