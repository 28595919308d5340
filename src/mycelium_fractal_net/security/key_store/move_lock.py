"""The lock of a move to another master key: held by one at a time, and freed when its holder dies.

Two moves at once could each forget the master key that the other one moved to. A store that is a
file has one machine, so that a file lock will do. On PostgreSQL it is an advisory
lock of a transaction that stays open, on a connection of its own: so it is kept by a pooler too
that gives each transaction another connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from mycelium_fractal_net.security.byte_io.durable import still_names
from mycelium_fractal_net.security.errors import ConflictError, StoreUnavailableError
from mycelium_fractal_net.security.key_store import postgresql
from mycelium_fractal_net.security.key_store.causes import unavailable
from mycelium_fractal_net.security.key_store.sqlite import let_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.engine import Engine

_LOCK: Final = 0x6D666E6D  # "mfnm"; the second number is the schema, of which a database has many
_TAKE: Final = text("SELECT pg_try_advisory_xact_lock(:lock, hashtext(current_schema()))")
_TAKEN: Final = (
    "the store is being begun, or moved to a new master key, by another process; let it end"
)
_PAUSE_SECONDS: Final = 0.05
_LOST: Final = "the lock of the move was lost; run it again, it goes on where it stopped"


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of that name. Raises :class:`ConflictError` where another one does.

    What it gives raises :class:`StoreUnavailableError` where the file was deleted or replaced.
    """

    def still_held() -> None:
        if not still_names(path, descriptor):
            raise StoreUnavailableError(_LOST)

    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield still_held
    except BlockingIOError:
        raise ConflictError(_TAKEN) from None
    finally:
        let_go(descriptor)


@contextlib.contextmanager
def advisory_lock(engine: Engine, place: str) -> Iterator[Callable[[], None]]:
    """Hold the lock of that database. Raises :class:`ConflictError` where another one does.

    What it gives raises :class:`StoreUnavailableError` unless the lock is still held: the server
    frees it where the connection ends.
    """
    own = postgresql.engine_of(engine.url, poolclass=NullPool)
    try:
        with own.connect() as connection:
            connection.exec_driver_sql("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
            if not connection.execute(_TAKE, {"lock": _LOCK}).scalar_one():
                raise ConflictError(_TAKEN)

            def still_held() -> None:
                try:
                    connection.exec_driver_sql("SELECT 1")  # in the transaction that holds it
                except SQLAlchemyError:
                    raise StoreUnavailableError(_LOST) from None

            yield still_held
    except SQLAlchemyError as error:
        raise unavailable(error, None, place) from None


@contextlib.contextmanager
def awaited(
    lock: Callable[[], contextlib.AbstractContextManager[Callable[[], None]]], seconds: float
) -> Iterator[None]:
    """Hold a lock, which may be another's for so many seconds. Raises :class:`ConflictError`."""
    end = monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock())
                break
            except ConflictError:
                if monotonic() >= end:
                    raise
                sleep(_PAUSE_SECONDS)
        yield
