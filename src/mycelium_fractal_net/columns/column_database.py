"""The user's database: connections, short transactions, and errors of our own.

A driver's error never leaves this file: its text can hold the statement, values and the URL.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
import weakref
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final

from sqlalchemy import bindparam, event, func, select
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mycelium_fractal_net.columns import mysql
from mycelium_fractal_net.columns.wire_arrays import WireArray
from mycelium_fractal_net.security.errors import (
    DatabaseUnavailableError,
    InvalidInputError,
    PicklableError,
    unusable_extra,
)
from mycelium_fractal_net.security.key_store.engines import engine_to

_CONNECT_SECONDS: Final = 10
# Far below PostgreSQL's deadlock_timeout of a second: where two wait for each other it is never
# the application's transaction that the database ends.
_LOCK_MILLISECONDS: Final = 100
_SQLITE_WAIT_MILLISECONDS: Final = 30_000
_LEAST_PAUSE_SECONDS: Final = 0.002
_POLL_SECONDS: Final = 0.002
# A version is destroyed because its data was moved: what was moved must outlive a power cut.
_POSTGRESQL_DURABLE: Final = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
# Waiting for the disk after each batch takes as long as the batch: one wait at the end is enough.
_POSTGRESQL_BEGIN: Final = select(
    func.set_config("lock_timeout", bindparam("wait"), True),
    func.set_config("synchronous_commit", "off", True),
)
_POSTGRESQL_RECORD: Final = select(func.pg_logical_emit_message(True, "mfn", ""))
_SQLITE_PATIENT: Final = f"PRAGMA busy_timeout={_SQLITE_WAIT_MILLISECONDS}"
_SQLITE_SETTINGS: Final = (
    _SQLITE_PATIENT,
    "PRAGMA synchronous=FULL",  # as above
    "PRAGMA secure_delete=ON",  # old values leave no bytes in free pages
)
_NO_URL: Final = "the database is not named by a URL"
_SQLITE_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
# PostgreSQL, appendix A of its manual: a lock that is not to be had, or a race that is lost;
_CONTENDED: Final = ("55P03", "57014", "40001", "40P01")
# and classes of what the database has against one value: data, constraints, triggers.
_REFUSED: Final = ("22", "23", "27", "44", "P0")


MYSQL: Final = "mysql"
_POSTGRESQL: Final = "postgresql"
_MOST_ROWS: Final = 2000  # in one transaction
IN_BINARY: Final = "mfn_in_binary"
"""An option of statements whose rows PostgreSQL is to send in binary."""


class BinaryList(list[Any]):
    """A list that goes to PostgreSQL as an array in binary, a third of the cost of text."""


class Why(Enum):
    """What a statement failed for."""

    CONTENDED = auto()
    """Somebody else holds the row, or was first. Trying again may help."""
    REFUSED = auto()
    """The database does not take this value: it is too long, or a constraint forbids it."""
    UNSUITED = auto()
    """The statement does not fit the types of this table."""


class NotWrittenError(PicklableError):
    """A transaction changed nothing. Never leaves this package."""

    def __init__(self, why: Why, kind: str) -> None:
        super().__init__(kind)
        self.why = why
        self.kind = kind


class ColumnDatabase:
    """A SQLite file, a PostgreSQL or a MariaDB database that is the user's. Making one connects to
    nothing.

    ``url`` is a SQLAlchemy URL. No connection outlives its block, so that processes may be
    forked between them. Everything raises :class:`DatabaseUnavailableError`.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise InvalidInputError(_NO_URL) from None
        self._turns: _Turns | None = None
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            self._engine = _sqlite_engine(parsed)
            self._turns = _Turns()
        elif backend == _POSTGRESQL:
            self._engine = _postgresql_engine(parsed)
        elif backend in mysql.BACKENDS:
            self._engine = mysql.mysql_engine(parsed)
        else:
            raise InvalidInputError("the database must be on sqlite, postgresql, mariadb or mysql")

    def __repr__(self) -> str:
        return f"ColumnDatabase({self.dialect!r})"

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql`` or ``mysql``, which MariaDB is one of."""
        return dialect_of(self._engine)

    def rows_at_once(self, connection: Connection) -> int:
        """How many rows a transaction may hold at most. See :mod:`.mysql`."""
        alone = self.dialect == MYSQL and not mysql.is_mariadb(connection)
        return 1 if alone else _MOST_ROWS

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection of this process's own."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise unavailable(error) from None

    @contextlib.contextmanager
    def reading(self, connection: Connection) -> Iterator[Connection]:
        """A block of reads that leaves no transaction open."""
        try:
            if self._turns is not None:
                _begin(connection, "BEGIN", "SELECT 1 FROM sqlite_master LIMIT 1")
            yield connection
        except SQLAlchemyError as error:
            raise unavailable(error) from None
        finally:
            _roll_back(connection)

    @contextlib.contextmanager
    def writing(
        self, connection: Connection, *, wait_milliseconds: int = _LOCK_MILLISECONDS
    ) -> Iterator[Connection]:
        """A transaction that is there once the block has ended, and durable after
        :meth:`make_durable`.

        On PostgreSQL it waits that long for a row that somebody else holds, on MariaDB whole
        seconds of that.
        Raises :class:`NotWrittenError` where nothing was changed and something else may work.
        """
        turn = contextlib.nullcontext() if self._turns is None else self._turns.turn()
        with turn:
            try:
                if self._turns is not None:
                    _begin(connection, "BEGIN IMMEDIATE")
                elif self.dialect == MYSQL:
                    mysql.wait_for_rows(connection, wait_milliseconds // 1000)
                else:
                    connection.execute(_POSTGRESQL_BEGIN, {"wait": str(wait_milliseconds)})
                yield connection
                connection.commit()
            except DBAPIError as error:
                why = self._why(error)
                _roll_back(connection)
                if why is None:
                    raise unavailable(error) from None
                raise NotWrittenError(why, type(error.orig).__name__) from None
            except BaseException:
                _roll_back(connection)
                raise

    def make_durable(self) -> None:
        """Return when all that was committed before is on the disk, and wherever else commits
        wait for it to be.

        On PostgreSQL a transaction of :meth:`writing` does not wait for that: its order in the log
        is what counts, and this writes one record behind them all. Elsewhere each one waited.
        """
        if self.dialect != _POSTGRESQL:
            return
        with self.connection() as connection:
            try:
                connection.execute(_POSTGRESQL_RECORD)
                connection.commit()
            except SQLAlchemyError as error:
                _roll_back(connection)
                raise unavailable(error) from None

    def _why(self, error: DBAPIError) -> Why | None:
        if error.connection_invalidated:
            return None
        if self.dialect == "sqlite":
            if _is_busy(error):
                return Why.CONTENDED
            name: str = getattr(error.orig, "sqlite_errorname", "")
            return Why.REFUSED if name.startswith("SQLITE_CONSTRAINT") else None
        if self.dialect == MYSQL:
            if mysql.is_contended(error):
                return Why.CONTENDED
            return Why.REFUSED if mysql.is_refused(error) else None
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state in _CONTENDED:
            return Why.CONTENDED
        if state is None or (state.startswith("42") and state != "42501"):  # not a permission
            return Why.UNSUITED
        return Why.REFUSED if state.startswith(_REFUSED) else None


def dialect_of(engine: Engine | Connection) -> str:
    """Of SQLAlchemy's names for dialects the one for all that speak alike."""
    name = engine.dialect.name
    return MYSQL if name in mysql.BACKENDS else name


def unavailable(error: SQLAlchemyError) -> DatabaseUnavailableError:
    """The kind of a driver's error, never its text."""
    kind = type(error.orig).__name__ if isinstance(error, DBAPIError) else type(error).__name__
    return DatabaseUnavailableError(f"the database of the column failed ({kind})")


def shown_url(url: str) -> str:
    """A database by what tells it from others and holds no secret: its file, or host and name."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InvalidInputError(_NO_URL) from None
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    host = parsed.host or "localhost"
    return (
        f"{host}/{parsed.database}"
        if parsed.port is None
        else (f"{host}:{parsed.port}/{parsed.database}")
    )


def _roll_back(connection: Connection) -> None:
    with contextlib.suppress(SQLAlchemyError):  # it is gone, and so is its transaction
        if not connection.closed:
            connection.rollback()


def _begin(connection: Connection, *statements: str) -> None:
    """Take a lock on a SQLite file: for reading at the second statement, for writing at the first.

    SQLite itself looks for one every 100 ms in the end; an application that writes without a
    pause would leave it no chance.
    """
    until = time.monotonic() + _SQLITE_WAIT_MILLISECONDS / 1000
    connection.exec_driver_sql("PRAGMA busy_timeout=0").close()
    try:
        while True:
            try:
                for statement in statements:
                    connection.exec_driver_sql(statement).close()
            except DBAPIError as error:
                _roll_back(connection)
                if not _is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(random.uniform(0.1, 1.0) * _POLL_SECONDS)  # noqa: S311
            else:
                return
    finally:
        connection.exec_driver_sql(_SQLITE_PATIENT).close()


def _is_busy(error: DBAPIError) -> bool:
    name: str = getattr(error.orig, "sqlite_errorname", "")
    return name.startswith(_SQLITE_BUSY)


class _Turns:
    """Lets one of our processes write to a SQLite file at a time, and others in between.

    SQLite's writers poll for their turn: whoever writes without a pause keeps it. So the file is
    left alone after each transaction for as long as that took. The lock is the kernel's, by
    process, so it goes when its holder is killed; forked children share its file.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("mfn-turns", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        began = time.monotonic()
        try:
            yield
        finally:
            time.sleep(max(_LEAST_PAUSE_SECONDS, time.monotonic() - began))
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _sqlite_engine(url: URL) -> Engine:
    path = url.database
    if not path or path == ":memory:":
        raise InvalidInputError("the database must be a file: sqlite:///PATH")
    if "uri" not in url.query and not Path(path).is_file():  # it would be made, and empty
        raise DatabaseUnavailableError("there is no such database file")
    engine = engine_to(url, poolclass=NullPool)

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun by us
        for statement in _SQLITE_SETTINGS:
            connection.execute(statement).close()

    event.listen(engine, "connect", on_connect)
    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        from psycopg.adapt import Dumper
        from psycopg.pq import Format
        from psycopg.types.array import ListBinaryDumper

        query = {"connect_timeout": str(_CONNECT_SECONDS), **url.query}
        engine = engine_to(
            url.set(drivername="postgresql+psycopg", query=query),
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            connect_args={}
            if "connect_timeout" in url.query
            else {"connect_timeout": _CONNECT_SECONDS},
        )
    except ImportError as error:
        raise unusable_extra("a column in PostgreSQL", "postgresql", error) from None

    class AsItIs(Dumper):  # oid 0: of the type that the statement expects there
        format = Format.BINARY

        def dump(self, obj: bytes) -> bytes:
            return obj

    def on_connect(connection: Any, _record: object) -> None:
        connection.adapters.register_dumper(BinaryList, ListBinaryDumper)
        connection.adapters.register_dumper(WireArray, AsItIs)
        connection.execute(_POSTGRESQL_DURABLE)
        connection.commit()

    def before_execute(
        _connection: object, cursor: Any, _text: str, _given: object, context: Any, _many: bool
    ) -> None:
        if context is not None and context.execution_options.get(IN_BINARY):
            cursor.format = Format.BINARY

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "before_cursor_execute", before_execute)
    return engine
