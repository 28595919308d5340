"""One door to the database: reads, write transactions, and errors of our own.

The same code serves SQLite and PostgreSQL; the URL alone decides. A driver's error never
leaves this file: its text can hold the statement and its values.
"""

from __future__ import annotations

import contextlib
import importlib
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, func, select, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.forking import OfOneProcess, in_child
from mycelium_fractal_net.security.key_store import postgresql, sqlite, upgrading
from mycelium_fractal_net.security.key_store.causes import unavailable, unwritable
from mycelium_fractal_net.security.key_store.engines import engine_to
from mycelium_fractal_net.security.key_store.fork_gate import ForkGate
from mycelium_fractal_net.security.key_store.move_lock import advisory_lock, file_lock
from mycelium_fractal_net.security.key_store.schema import HEAD
from mycelium_fractal_net.security.key_store.schema_check import check_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Table
    from sqlalchemy.engine import Engine


_WATCH_SECONDS = 30.0  # between two looks at the schema of a store on PostgreSQL
_MIGRATION_LOCK = 0x6D666E  # "mfn": one process at a time creates or upgrades the tables
_FORK_GATE = ForkGate()


class Database(OfOneProcess):
    """A key store's database.

    ``url`` is a SQLAlchemy URL, ``sqlite:///FILE`` or ``postgresql+psycopg://...``, or the path
    of a SQLite file, in which no character has a meaning of its own. ``place`` is how an operator
    is told of it.
    Opening connects to nothing; :meth:`check` does.
    """

    def __init__(self, url: str | Path) -> None:
        try:
            parsed = (
                URL.create("sqlite", database=str(url)) if isinstance(url, Path) else make_url(url)
            )
        except (ArgumentError, ValueError):
            raise ConfigurationError("the store is not named by a database URL") from None
        if parsed.drivername == "postgres":
            parsed = parsed.set(drivername="postgresql")
        if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigurationError("the store must be a file: sqlite:///PATH")
            self.file: Path | None = Path(parsed.database)
            self._open_file: sqlite.OpenFile | None = sqlite.OpenFile(self.file.absolute())
            self._engine = self._sqlite_engine(parsed, self._open_file)
            self.place = str(self.file)
        elif parsed.drivername in ("postgresql", "postgresql+psycopg"):
            self.file = self._open_file = None
            self._engine = postgresql.engine_of(
                parsed, pool_pre_ping=True, pool_size=4, pool_timeout=postgresql.CONNECT_SECONDS
            )
            address = f"{parsed.host or 'local'}{f':{parsed.port}' if parsed.port else ''}"
            self.place = f"{parsed.username or ''}@{address}/{parsed.database or ''}"
        else:
            raise ConfigurationError(
                f"the key store cannot use {parsed.drivername[:32]!r}; write sqlite:///FILE or"
                " postgresql+psycopg://USER@HOST/NAME"
            )
        self.needs_scrub = self.file is not None  # as far as this process knows
        self.upgraded_from: str | None = None
        self._schema_seen: float | None = None
        in_child(self._engine, _leave_to_parent)

    @staticmethod
    def _sqlite_engine(url: URL, file: sqlite.OpenFile) -> Engine:
        def connected(connection: Any, _: object) -> None:
            try:
                sqlite.on_connect(connection)
                file.connected()
            except BaseException:
                connection.close()
                raise

        engine = engine_to(url)
        event.listen(engine, "connect", connected)
        return engine

    @property
    def url(self) -> str:
        """The URL with its password, for whoever must connect to the same database."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def insert(self, table: Table) -> Any:
        """An INSERT that can say what is done on a conflict, which is each dialect's own."""
        # Importing both dialects would show in every start.
        return importlib.import_module(f"sqlalchemy.dialects.{self.dialect}").insert(table)

    def check(self, advice: str = "create it: mfn init") -> None:
        """See that the store is there, private, and of the schema this release works with.

        ``advice`` is what to do where none is there. Raises :class:`StoreUnavailableError`,
        :class:`StorePermissionsError` or :class:`StoreVersionError`; and
        :class:`StoreIntegrityError` where its tables are not as they were made.
        """
        if self.file is not None:
            if not self.file.exists():
                raise StoreUnavailableError(f"there is no key store {self.file}; {advice}")
            check_private(self.file)
            check_private(self.file.absolute().parent)
        with self.read() as connection:
            upgrading.check_version(upgrading.schema_version(connection), advice)
            check_schema(connection)
        self._keep_log()

    def watch(self) -> None:
        """Look again whether the tables are as they were made, where that may have changed.

        Raises :class:`StoreIntegrityError`; and :class:`StoreUnavailableError` where the file that
        is open is not the one of its name any more. SQLite counts changes of its schema, which
        costs nothing to read; PostgreSQL is asked once in :data:`_WATCH_SECONDS`.
        """
        seen = self._schema_seen
        self._check_file()
        with self.read() as connection:
            if self.file is not None:
                now = float(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
            else:
                now = monotonic() // _WATCH_SECONDS
            if now != seen:
                check_schema(connection)
        self._schema_seen = now

    def create(self, *, shared: bool = False) -> None:
        """Create the tables, or bring them to the newest migration; see :meth:`creating`."""
        with self.creating(shared=shared):
            pass

    @contextlib.contextmanager
    def creating(self, *, shared: bool = False) -> Iterator[Connection]:
        """A write transaction, see :meth:`write`, in which the tables are created or upgraded.

        Where the block raises there are none, or those of before. Nothing is written to a database
        that holds tables of others, unless the store is there already or is to be ``shared``: that
        is a :class:`ConfigurationError`. Raises :class:`StoreVersionError` for a newer schema.
        What was upgraded says ``upgraded_from``.
        """
        if self.file is not None:
            sqlite.create_private_file(self.file)
        with self.read() as connection:
            self._creatable(connection, shared=shared)
        self._keep_log()
        with self.write() as connection:
            if self.dialect == "postgresql":  # on SQLite, writers take turns already
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            found = self._creatable(connection, shared=shared)
            upgrading.upgrade(connection, found)
            if upgrading.schema_version(connection) == HEAD:
                check_schema(connection)
            yield connection
        if found != HEAD:
            self.upgraded_from = found

    def _creatable(self, connection: Connection, *, shared: bool) -> str | None:
        found = upgrading.schema_version(connection)
        if found is not None:
            upgrading.check_not_newer(found)
        elif not shared:
            upgrading.check_alone(connection)
        return found

    def _keep_log(self) -> None:
        """Have a SQLite database that is a store's write ahead, so that readers stop no writer."""
        if self.file is not None:
            with self.read() as connection:
                connection.rollback()
                mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            if mode != "wal":
                with self._in_turn() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection on which all statements see one snapshot."""
        try:
            with self._between_forks(), self._engine.connect() as connection:
                if self.dialect == "sqlite":
                    connection.exec_driver_sql("BEGIN")
                else:
                    postgresql.begin(connection, write=False)
                yield connection
                connection.rollback()
        except SQLAlchemyError as error:
            raise unavailable(error, self.file, self.place) from None

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed, durably, when the block ends without an error.

        Raises :class:`ConflictError` where a unique name or handle is taken.
        """
        with self._in_turn() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                postgresql.begin(connection, write=True)
            yield connection
            connection.commit()

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[Connection]:
        """A connection to write on, when it is this process's turn; and errors of our own."""
        turn = sqlite.write_turn(self.file) if self.file else contextlib.nullcontext()
        try:
            with self._between_forks(), turn, self._engine.connect() as connection:
                self._check_file()
                yield connection
        except IntegrityError:
            raise ConflictError("another writer was first; nothing was changed") from None
        except SQLAlchemyError as error:
            raise unavailable(error, self.file, self.place) from None
        except OSError as error:
            raise unwritable(error, self.file) from None

    def _check_file(self) -> None:
        if self._open_file is not None:
            self._open_file.check()

    def scrub(self) -> bool:
        """See that no file of the store holds what was overwritten or deleted; says if that is so.

        On SQLite the write-ahead log goes into the database, which keeps no freed bytes, and is
        cut to nothing; false, and still ``needs_scrub``, while somebody reads a former state. On
        PostgreSQL it is false always: tables, logs and replicas keep rows for times of their own.
        """
        if self.file is None:
            return False
        with self._in_turn() as connection:
            self.needs_scrub = not sqlite.truncate_log(connection)
            return not self.needs_scrub

    def moving(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """Held by whoever moves the store to a new master key, and by one at a time.

        Entering raises :class:`ConflictError` while somebody else holds it. What it gives raises
        :class:`StoreUnavailableError` where the lock was lost meanwhile.
        """
        if self.file is not None:
            return file_lock(self.file.with_name(self.file.name + ".move"))
        return advisory_lock(self._engine, self.place)

    def now(self) -> datetime:
        """The time by the store's clock, UTC: on PostgreSQL one for all machines that share it."""
        if self.dialect == "sqlite":
            return datetime.now(UTC)
        with self.read() as connection:
            now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)

    def _between_forks(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.file is None else _FORK_GATE.transaction()

    def close(self) -> None:
        """Close every connection of this process."""
        self._engine.dispose()
        if self._open_file is not None:
            self._open_file.closed()


def _leave_to_parent(engine: Engine) -> None:
    # A connection must not be used by two processes; the parent keeps those that are open.
    engine.dispose(close=False)
