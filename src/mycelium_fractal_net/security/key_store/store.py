"""The key store: wrapped keys, their versions and policies. It knows no cryptography.

What comes out is not yet trusted: :mod:`.authority` checks each record's MAC.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from mycelium_fractal_net.security.errors import (
    ConflictError,
    KeyNotFoundError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store.rows import key_from_rows, key_row, version_row
from mycelium_fractal_net.security.key_store.schema import (
    authority_keys,
    credentials,
    key_versions,
    keys,
    store_meta,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.database import Database
    from mycelium_fractal_net.security.keys import Key

__all__ = ["KeyStore", "Pulse", "StoredKey"]


class StoredKey(NamedTuple):
    """A key as the store gave it, with the MAC that has still to be checked."""

    key: Key
    mac: bytes


class Pulse(NamedTuple):
    """The store's generation, which grows with every change, and its master key's id."""

    generation: int
    master_id: str


class KeyStore:
    """Queries and compare-and-swap writes over a :class:`Database`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # The store as a whole ---------------------------------------------------------------

    def begin(self, master_id: str, wrapped_authority_key: bytes) -> None:
        """Make an empty store one that is wrapped by ``master_id``.

        Raises :class:`ConflictError` where it already is somebody's.
        """
        with self.database.write() as connection:
            connection.execute(insert(store_meta).values(id=1, generation=1, master_id=master_id))
            connection.execute(
                insert(authority_keys).values(master_id=master_id, wrapped=wrapped_authority_key)
            )

    def pulse(self) -> Pulse | None:
        """The generation and master key id; None for a store that was never begun."""
        with self.database.read() as connection:
            row = connection.execute(select(store_meta)).first()
        return None if row is None else Pulse(row.generation, row.master_id)

    def authority_key(self, master_id: str) -> bytes:
        """The wrapped MAC key that belongs to a master key.

        Raises :class:`StoreIntegrityError` where there is none.
        """
        with self.database.read() as connection:
            wrapped = connection.execute(
                select(authority_keys.c.wrapped).where(authority_keys.c.master_id == master_id)
            ).scalar()
        if wrapped is None:
            raise StoreIntegrityError("the store holds no authority key under its master key")
        return bytes(wrapped)

    @contextlib.contextmanager
    def _change(self, master_id: str) -> Iterator[tuple[Connection, int]]:
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

    # Keys -------------------------------------------------------------------------------

    def insert(self, key: Key, mac: bytes) -> None:
        """Store a new key with its versions. Raises :class:`ConflictError` if the name is taken."""
        with self._change(key.master_id) as (connection, generation):
            connection.execute(
                insert(keys).values(**key_row(key), generation=generation, mac=mac)
            )
            connection.execute(
                insert(key_versions), [version_row(key.key_id, each) for each in key.versions]
            )

    def replace(self, old: Key, new: Key, mac: bytes) -> None:
        """Swap a key's whole record for ``new``, if it still is ``old``.

        Raises :class:`ConflictError` where somebody else changed it since ``old`` was read.
        Versions are added or changed and never removed.
        """
        before = {each.handle: each for each in old.versions}
        with self._change(new.master_id) as (connection, generation):
            swapped = connection.execute(
                update(keys)
                .where(keys.c.key_id == old.key_id, keys.c.revision == old.revision)
                .values(**key_row(new), generation=generation, mac=mac)
            )
            if swapped.rowcount != 1:
                raise ConflictError(f"key {old.key_id!r} was changed by somebody else; try again")
            for version in new.versions:
                row = version_row(new.key_id, version)
                if version.handle not in before:
                    connection.execute(insert(key_versions).values(**row))
                elif version != before[version.handle]:
                    connection.execute(
                        update(key_versions)
                        .where(key_versions.c.handle == version.handle)
                        .values(**row)
                    )

    def load(self, key_id: str) -> StoredKey:
        """The key of that name. Raises :class:`KeyNotFoundError`."""
        with self.database.read() as connection:
            found = self._load(connection, [key_id])
        if not found:
            raise KeyNotFoundError(f"no key is named {key_id!r}")
        return found[0]

    def load_by_handle(self, handle: bytes) -> StoredKey:
        """The key one of whose versions has that handle. Raises :class:`KeyNotFoundError`."""
        with self.database.read() as connection:
            key_id = connection.execute(
                select(key_versions.c.key_id).where(key_versions.c.handle == handle)
            ).scalar()
            found = [] if key_id is None else self._load(connection, [key_id])
        if not found:
            raise KeyNotFoundError("no key version has that handle")
        return found[0]

    def page(self, after: str = "", limit: int = 1000) -> list[StoredKey]:
        """Up to ``limit`` keys whose names sort after ``after``, in order of name."""
        with self.database.read() as connection:
            names = connection.execute(
                select(keys.c.key_id).where(keys.c.key_id > after).order_by(keys.c.key_id).limit(limit)
            ).scalars()
            return self._load(connection, list(names))

    @staticmethod
    def _load(connection: Connection, key_ids: Sequence[str]) -> list[StoredKey]:
        if not key_ids:
            return []
        rows = connection.execute(
            select(keys).where(keys.c.key_id.in_(key_ids)).order_by(keys.c.key_id)
        ).all()
        versions: dict[str, list[object]] = {key_id: [] for key_id in key_ids}
        for row in connection.execute(
            select(key_versions)
            .where(key_versions.c.key_id.in_(key_ids))
            .order_by(key_versions.c.version)
        ):
            versions[row.key_id].append(row)
        return [
            StoredKey(key_from_rows(row, versions[row.key_id]), bytes(row.mac))  # type: ignore[arg-type]
            for row in rows
        ]

    def count(self) -> int:
        """How many keys there are."""
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(keys)).scalar_one())

    def changed_since(self, generation: int) -> list[str]:
        """The names of keys changed after that generation."""
        with self.database.read() as connection:
            return list(
                connection.execute(select(keys.c.key_id).where(keys.c.generation > generation))
                .scalars()
                .all()
            )

    # Moving to another master key -------------------------------------------------------

    def move_to(self, old_master_id: str, new_master_id: str, wrapped_authority_key: bytes) -> None:
        """From now on everything is written under the new master key."""
        with self._change(old_master_id) as (connection, _):
            connection.execute(
                insert(authority_keys).values(
                    master_id=new_master_id, wrapped=wrapped_authority_key
                )
            )
            connection.execute(update(store_meta).values(master_id=new_master_id))

    def under_other_master(self, master_id: str, limit: int = 100) -> list[str]:
        """Names of keys that are still wrapped by another master key than ``master_id``."""
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(keys.c.key_id)
                    .where(keys.c.master_id != master_id)
                    .order_by(keys.c.key_id)
                    .limit(limit)
                )
                .scalars()
                .all()
            )

    def former_masters(self, master_id: str) -> bool:
        """Whether an authority key of another master key than ``master_id`` is still held."""
        with self.database.read() as connection:
            found = connection.execute(
                select(authority_keys.c.master_id).where(authority_keys.c.master_id != master_id)
            ).first()
        return found is not None

    def forget_other_masters(self, master_id: str) -> None:
        """Drop the authority keys of former master keys once no row needs them.

        Raises :class:`ConflictError` where one does.
        """
        with self._change(master_id) as (connection, _):
            for table in (keys, credentials):
                if connection.execute(
                    select(func.count()).select_from(table).where(table.c.master_id != master_id)
                ).scalar_one():
                    raise ConflictError("rows are still under the former master key")
            connection.execute(
                delete(authority_keys).where(authority_keys.c.master_id != master_id)
            )

    def require_pulse(self) -> Pulse:
        """The pulse of a store that was begun. Raises :class:`StoreUnavailableError`."""
        found = self.pulse()
        if found is None:
            raise StoreUnavailableError("the key store was never initialised; run: mfn init")
        return found
