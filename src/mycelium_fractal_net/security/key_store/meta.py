"""The store as a whole: its generation, its master key, and the order of its writers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from mycelium_fractal_net.security.errors import (
    ConflictError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store.schema import (
    audit_keys,
    authority_keys,
    backed_up_versions,
    backups,
    credentials,
    keys,
    pending_imports,
    signers,
    store_meta,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Table
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.database import Database


_UNDER_A_MASTER: Final[dict[str, Table]] = {
    "keys": keys,
    "credentials": credentials,
    "signers": signers,
    "imports": pending_imports,
    "audit_keys": audit_keys,
    "authority_keys": authority_keys,
}


class StoreStatus(NamedTuple):
    """The store's generation, which grows with every change, and its master key's id.

    A store that came from a backup says when it did, in microseconds, and the backup's id.
    """

    generation: int
    master_id: str
    restored_at: int | None = None
    restored_from: str | None = None


class StoreMeta:
    """What all tables of a store share, over a :class:`Database`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def begin(self, master_id: str, wrapped_record_mac_key: bytes) -> None:
        """Make an empty store one that is wrapped by ``master_id``.

        Raises :class:`ConflictError` where it already is somebody's.
        """
        with self.database.write() as connection:
            connection.execute(insert(store_meta).values(id=1, generation=1, master_id=master_id))
            connection.execute(
                insert(authority_keys).values(master_id=master_id, wrapped=wrapped_record_mac_key)
            )

    def status(self) -> StoreStatus | None:
        """The generation and master key id; None for a store that was never begun."""
        with self.database.read() as connection:
            row = connection.execute(select(store_meta)).first()
        if row is None:
            return None
        return StoreStatus(row.generation, row.master_id, row.restored_at, row.restored_from)

    def check_writable(self) -> None:
        """Write what changes nothing, durably. Raises :class:`StoreUnavailableError`.

        A store on a full disk, a replica, or one that somebody holds locked can still be read.
        """
        with self.database.write() as connection:
            generation = store_meta.c.generation
            connection.execute(update(store_meta).values(generation=generation))

    def record_mac_key(self, master_id: str) -> bytes:
        """The wrapped MAC key that belongs to a master key.

        Raises :class:`StoreIntegrityError` where there is none.
        """
        with self.database.read() as connection:
            wrapped = connection.execute(
                select(authority_keys.c.wrapped).where(authority_keys.c.master_id == master_id)
            ).scalar()
        if not isinstance(wrapped, bytes):
            raise StoreIntegrityError("the store holds no authority key under its master key")
        return wrapped

    def record_mac_ids(self) -> list[str]:
        """The master keys under which an authority key is held; of some nobody may ever have had
        the key, since whoever writes the store can add a row."""
        with self.database.read() as connection:
            found = connection.execute(
                select(authority_keys.c.master_id).order_by(authority_keys.c.master_id)
            )
            return list(found.scalars())

    @contextlib.contextmanager
    def change(self, master_id: str) -> Iterator[tuple[Connection, int]]:
        """A write transaction under a new generation, if ``master_id`` is still the store's.

        The row of ``store_meta`` orders all changes, on every database.
        """
        with self.database.write() as connection:
            moved = connection.execute(
                update(store_meta)
                .where(store_meta.c.id == 1, store_meta.c.master_id == master_id)
                .values(generation=store_meta.c.generation + 1)
            )
            if moved.rowcount != 1:
                raise ConflictError("the store has moved to another master key; try again")
            generation = connection.execute(select(store_meta.c.generation)).scalar_one()
            yield connection, generation

    # Moving to another master key -------------------------------------------------------

    def move_to(
        self, old_master_id: str, new_master_id: str, wrapped_record_mac_key: bytes | None
    ) -> None:
        """From now on everything is written under the new master key.

        Its MAC key is None where the store holds one under that master key already.
        """
        with self.change(old_master_id) as (connection, _):
            if wrapped_record_mac_key is not None:
                connection.execute(
                    insert(authority_keys).values(
                        master_id=new_master_id, wrapped=wrapped_record_mac_key
                    )
                )
            connection.execute(update(store_meta).values(master_id=new_master_id))

    def under_each_master(self) -> dict[str, dict[str, int]]:
        """How many rows of each kind are under each master key, by what the rows say."""
        counted: dict[str, dict[str, int]] = {}
        with self.database.read() as connection:
            for name, table in _UNDER_A_MASTER.items():
                master_id = table.c.master_id
                rows = connection.execute(
                    select(master_id, func.count()).group_by(master_id).order_by(master_id)
                )
                for found, count in rows:
                    counted.setdefault(str(found), {})[name] = count
        return counted

    def backups_of_each_master(self) -> dict[str, int]:
        """How many backups were noted that open with each master key."""
        counted = select(backups.c.master_id, func.count()).group_by(backups.c.master_id)
        with self.database.read() as connection:
            return {str(found): count for found, count in connection.execute(counted)}

    def forget_masters(
        self, master_id: str, former: Collection[str], *, with_backups: bool = False
    ) -> None:
        """Drop the authority keys of ``former`` master keys once no row needs them.

        ``with_backups`` drops the note of the backups that open with them as well.
        Raises :class:`ConflictError` where one does, or ``master_id`` is no more the store's.
        """
        with self.change(master_id) as (connection, _):
            for table in (each for each in _UNDER_A_MASTER.values() if each is not authority_keys):
                if connection.execute(
                    select(func.count()).select_from(table).where(table.c.master_id.in_(former))
                ).scalar_one():
                    raise ConflictError("rows are still under the former master key")
            connection.execute(delete(authority_keys).where(authority_keys.c.master_id.in_(former)))
            if with_backups:
                gone = select(backups.c.backup_id).where(backups.c.master_id.in_(former))
                held = backed_up_versions
                connection.execute(delete(held).where(held.c.backup_id.in_(gone)))
                connection.execute(delete(backups).where(backups.c.master_id.in_(former)))

    def require_status(self) -> StoreStatus:
        """The status of a store that was begun. Raises :class:`StoreUnavailableError`."""
        found = self.status()
        if found is None:
            raise StoreUnavailableError("the key store was never initialised; run: mfn init")
        return found
