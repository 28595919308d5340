"""What the store needs of SQLite: private files, durable commits, writers in turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.byte_io.durable import still_names
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.key_store.causes import gone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


_BUSY_TIMEOUT: Final = "PRAGMA busy_timeout=10000"  # milliseconds; writers wait in write_turn
_PRAGMAS: Final = (
    "PRAGMA synchronous=FULL",  # a commit that was acknowledged outlives a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # destroyed key material leaves no bytes in free pages
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cache_size=-512",  # KiB, of each connection; the kernel has the file in memory, too
    _BUSY_TIMEOUT,
)


def create_private_file(path: Path) -> None:
    """An empty file of mode 0600 in a folder of mode 0700, made where they are absent.

    SQLite gives its -wal and -shm files the mode of the database, so this covers them too.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_private(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        check_private(path)


def _text(value: bytes) -> str:
    """What stands in a column as text: SQLite takes any bytes for that.

    The driver would refuse all rows for the sake of one; so it fails its authentication instead.
    """
    return value.decode("utf-8", "replace")


def on_connect(connection: Any) -> None:
    """Set up a new DBAPI connection; transactions are begun by us, never by the driver."""
    connection.isolation_level = None
    connection.text_factory = _text
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


class OpenFile:
    """The database's file as this process has it open, for whether its name still leads to it.

    SQLite goes on with a file that was deleted or replaced: what it reads is of the past, and
    what it writes is nowhere. Both look like a store in order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None  # device and inode

    def connected(self) -> None:
        """A connection was opened: the first one says which file it is.

        Raises :class:`StoreUnavailableError`, as :meth:`check` does.
        """
        if self._opened is None:
            self._opened = self._there()
        self.check()

    def check(self) -> None:
        """Raise :class:`StoreUnavailableError` where the name leads to another file, or to none."""
        if self._opened is not None and (there := self._there()) != self._opened:
            raise gone(self._path, replaced=there is not None)

    def closed(self) -> None:
        """All connections were: the next one may be to another file."""
        self._opened = None

    def _there(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


@contextlib.contextmanager
def write_turn(database: Path) -> Iterator[None]:
    """Hold the writers' lock beside ``database``.

    SQLite's own waiting is a poll with growing pauses, in which a process can starve for
    seconds; the kernel queues those who wait for a file lock. A lock whose file was deleted
    meanwhile keeps nobody out, and is taken anew.
    """
    path = database.with_name(database.name + ".lock")
    kept = False
    while not kept:
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            kept = still_names(path, descriptor)
            if kept:
                yield
        finally:
            let_go(descriptor)


def let_go(descriptor: int) -> None:
    """Free a file's lock and close it. Where the first is refused, closing does both.

    Not closing would be worse: this process would wait for itself for ever.
    """
    # A child that was forked meanwhile has the descriptor too: closing it here frees nothing.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def truncate_log(connection: Connection) -> bool:
    """Write the write-ahead log into the database and cut it to nothing; says if that was done.

    It is not while another connection reads an older state; nobody waits for that.
    """
    try:
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        return busy == 0
    finally:
        connection.exec_driver_sql(_BUSY_TIMEOUT)
