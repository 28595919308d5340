"""The rows of one state of the store, while others write; and rows put into an empty one.

One read transaction, which on SQLite and on PostgreSQL sees one state and stops no writer: see
docs/adr/0012-a-backup-is-rows.md. Rows are values that both databases have, so that what one gave
the other takes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, select

from mycelium_fractal_net.security.errors import (
    ConflictError,
    StoreUnavailableError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup, note_backup
from mycelium_fractal_net.security.key_store.key_table import KeyTable
from mycelium_fractal_net.security.key_store.meta import StoreMeta, StoreStatus
from mycelium_fractal_net.security.key_store.record_table import Stored
from mycelium_fractal_net.security.key_store.schema import (
    PREFIX,
    acknowledged_findings,
    audit_acknowledged,
    audit_chains,
    audit_count,
    audit_keys,
    authority_keys,
    backed_up_versions,
    backups,
    credentials,
    key_versions,
    keys,
    pending_imports,
    raw_usage,
    request_nonces,
    rotation_failures,
    scheduler_clock,
    signers,
    store_meta,
    usage,
)
from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.audit_table import Anchor, ChainCount
    from mycelium_fractal_net.security.key_store.database import Database
    from mycelium_fractal_net.security.records.keys import Key

# By their names in a backup, in the order in which they are written: what later rows are checked
# or held by comes first.
BACKED_UP: Final = {
    table.name.removeprefix(PREFIX): table
    for table in (
        store_meta, authority_keys, audit_keys, audit_count, audit_chains, audit_acknowledged,
        acknowledged_findings, credentials, signers, keys,
        key_versions, usage, raw_usage, backups, backed_up_versions,
    )
}  # fmt: skip
# Of a moment, and of the store that had it: nonces, whose requests a restored store refuses by
# their age, what schedulers know of failures and of the clock, and keys that were about to be
# imported: a copy of what opens such a key would outlive it.
LEFT_OUT: Final = tuple(
    table.name.removeprefix(PREFIX)
    for table in (request_nonces, rotation_failures, scheduler_clock, pending_imports)
)

_ROWS: Final = 1000  # in memory at once, from or to the database
_NAMES: Final = 500  # of keys, in one statement


class Snapshot:
    """One state of a store. ``masters`` are the ids of the master keys that its rows need."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        row = connection.execute(select(store_meta)).first()
        if row is None:
            raise StoreUnavailableError("the key store was never initialised; run: mfn init")
        self.status = StoreStatus(row.generation, row.master_id, row.restored_at, row.restored_from)
        self.masters = list(connection.execute(select(authority_keys.c.master_id)).scalars())

    def rows(self, table: str) -> Iterator[list[list[Any]]]:
        """The rows of one of :data:`BACKED_UP`, up to a thousand at a time, by primary key."""
        found = BACKED_UP[table]
        result = self._connection.execute(
            select(found).order_by(*found.primary_key.columns),
            execution_options={"yield_per": _ROWS},
        )
        for part in result.partitions():
            yield [list(row) for row in part]


@contextlib.contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """One state of the store, which does not change however long the block takes.

    Raises :class:`StoreUnavailableError`, also for a store that was never initialised.
    """
    with database.read() as connection:
        yield Snapshot(connection)


class Filling:
    """Rows put into an empty store, in one transaction."""

    def __init__(self, connection: Connection, keys: KeyTable) -> None:
        self._connection = connection
        self._keys = keys

    def put(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, each with the same columns.

        Raises :class:`StoreVersionError` for a table or column that this release does not have.
        """
        found = BACKED_UP.get(table)
        if found is None or not all(set(row) <= set(found.c.keys()) for row in rows[:1]):
            raise StoreVersionError("the backup was made by a newer release: restore it with that")
        if rows:
            self._connection.execute(insert(found), rows)

    def put_chain(self, anchor: Anchor) -> None:
        """Store a chain of the audit log, in place of what was stored of it."""
        table = audit_chains
        self._connection.execute(table.delete().where(table.c.chain_id == anchor.chain_id))
        self._connection.execute(insert(table).values(**anchor._asdict()))

    def put_chain_count(self, count: ChainCount) -> None:
        """Store how many chains were ever begun, in place of what was stored of it."""
        self._connection.execute(audit_count.delete())
        self._connection.execute(insert(audit_count).values(number=1, **count._asdict()))

    def keys_to_close(self) -> Iterator[tuple[Stored[Key], bool]]:
        """Keys with versions that encrypted raw messages, which the bool says, or are to go.

        A row that is no key is refused where it is met, and left as it is.
        """
        raw = select(raw_usage.c.handle).where(raw_usage.c.reserved > 0)
        table = key_versions
        used = set(
            self._connection.execute(
                select(table.c.key_id).where(table.c.handle.in_(raw))
            ).scalars()
        )
        going = self._connection.execute(
            select(table.c.key_id).where(table.c.state == KeyState.PENDING_DESTRUCTION.value)
        ).scalars()
        names = sorted(used.union(going))
        for start in range(0, len(names), _NAMES):
            some = self._keys.id.in_(names[start : start + _NAMES])
            for name, stored in self._keys.where(self._connection, some):
                if isinstance(stored, Stored):
                    yield stored, name in used

    def swap(self, generation: int, old: Key, new: Key, mac: bytes) -> None:
        """Put ``new`` in the place of ``old``, which was read in this transaction."""
        self._keys.swap(self._connection, generation, old, new, mac)

    def note_backup(self, made: MadeBackup, handles: Iterable[bytes]) -> None:
        """Note which backup it is that holds these versions."""
        note_backup(self._keys.meta.database, self._connection, made, handles)


def _elsewhere(database: Database) -> str:
    file = database.file
    if file is None:
        return "name an empty database with --store"
    return (
        f"move {file.name} and what begins with that name out of {file.parent},"
        " or name another file with --store"
    )


@contextlib.contextmanager
def filling(database: Database, *, shared: bool = False) -> Iterator[Filling]:
    """An empty store to put rows into, whose tables are made where they are not there.

    All of it is there when the block ends without an error, else nothing.
    Raises :class:`ConflictError` where the store is not empty, :class:`StoreError`, and what
    :meth:`Database.creating` does of ``shared``.
    """
    with database.creating(shared=shared) as connection:
        for table in BACKED_UP.values():
            if connection.execute(select(table).limit(1)).first() is not None:
                raise ConflictError(
                    "the key store is not empty, and nothing in it was changed; a backup is"
                    f" restored into an empty one: {_elsewhere(database)}"
                )
        yield Filling(connection, KeyTable(StoreMeta(database)))
