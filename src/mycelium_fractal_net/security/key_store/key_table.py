"""Keys and their versions: queries, and compare-and-swap of whole records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, insert, select, update

from mycelium_fractal_net.security.errors import ConflictError, KeyNotFoundError
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.rows import key_from_rows, key_row, version_row
from mycelium_fractal_net.security.key_store.schema import key_versions, keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

    from mycelium_fractal_net.security.records.keys import Key

__all__ = ["KeyTable", "StoredKey", "load_keys", "swap_key"]


class StoredKey(NamedTuple):
    """A key as the store gave it, with the MAC that has still to be checked."""

    key: Key
    mac: bytes


class KeyTable(StoreMeta):
    """The tables ``keys`` and ``key_versions``."""

    def insert(self, key: Key, mac: bytes) -> None:
        """Store a new key with its versions. Raises :class:`ConflictError` if the name is taken."""
        with self.change(key.master_id) as (connection, generation):
            connection.execute(insert(keys).values(**key_row(key), generation=generation, mac=mac))
            connection.execute(
                insert(key_versions), [version_row(key.key_id, each) for each in key.versions]
            )

    def replace(self, old: Key, new: Key, mac: bytes) -> None:
        """Swap a key's whole record for ``new``, if it still is ``old``.

        Raises :class:`ConflictError` where somebody else changed it since ``old`` was read.
        Versions are added or changed and never removed.
        """
        with self.change(new.master_id) as (connection, generation):
            swap_key(connection, generation, old, new, mac)

    def load(self, key_id: str) -> StoredKey:
        """The key of that name. Raises :class:`KeyNotFoundError`."""
        with self.database.read() as connection:
            found = load_keys(connection, [key_id])
        if not found:
            raise KeyNotFoundError(f"no key is named {key_id!r}")
        return found[0]

    def load_by_handle(self, handle: bytes) -> StoredKey:
        """The key one of whose versions has that handle. Raises :class:`KeyNotFoundError`."""
        with self.database.read() as connection:
            key_id = connection.execute(
                select(key_versions.c.key_id).where(key_versions.c.handle == handle)
            ).scalar()
            found = [] if key_id is None else load_keys(connection, [key_id])
        if not found:
            raise KeyNotFoundError("no key version has that handle")
        return found[0]

    def key_ids(self, after: str = "", limit: int = 1000) -> list[str]:
        """Up to ``limit`` names that sort after ``after``, in order."""
        with self.database.read() as connection:
            return _key_ids(connection, after, limit)

    def has(self, key_id: str) -> bool:
        """Whether a key of that name is there, authentic or not."""
        with self.database.read() as connection:
            found = connection.execute(select(keys.c.key_id).where(keys.c.key_id == key_id))
            return found.first() is not None

    def page(self, after: str = "", limit: int = 1000) -> list[StoredKey]:
        """Up to ``limit`` keys whose names sort after ``after``, in order of name."""
        with self.database.read() as connection:
            return load_keys(connection, _key_ids(connection, after, limit))

    def published(self) -> list[StoredKey]:
        """Every key that is marked to be published, in order of name."""
        with self.database.read() as connection:
            names = connection.execute(select(keys.c.key_id).where(keys.c.publish)).scalars().all()
            return load_keys(connection, names)

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


def load_keys(connection: Connection, key_ids: Sequence[str]) -> list[StoredKey]:
    """The keys of those names that are there, in order of name."""
    if not key_ids:
        return []
    rows = connection.execute(
        select(keys).where(keys.c.key_id.in_(key_ids)).order_by(keys.c.key_id)
    ).all()
    versions: dict[str, list[Row[Any]]] = {key_id: [] for key_id in key_ids}
    for row in connection.execute(
        select(key_versions)
        .where(key_versions.c.key_id.in_(key_ids))
        .order_by(key_versions.c.version)
    ):
        versions[row.key_id].append(row)
    return [StoredKey(key_from_rows(row, versions[row.key_id]), bytes(row.mac)) for row in rows]


def swap_key(connection: Connection, generation: int, old: Key, new: Key, mac: bytes) -> None:
    """Swap a key's record within a transaction; :class:`ConflictError` where it is not ``old``."""
    swapped = connection.execute(
        update(keys)
        .where(keys.c.key_id == old.key_id, keys.c.revision == old.revision)
        .values(**key_row(new), generation=generation, mac=mac)
    )
    if swapped.rowcount != 1:
        raise ConflictError(f"key {old.key_id!r} was changed by somebody else; try again")
    before = {each.handle: each for each in old.versions}
    for version in new.versions:
        row = version_row(new.key_id, version)
        if version.handle not in before:
            connection.execute(insert(key_versions).values(**row))
        elif version != before[version.handle]:
            connection.execute(
                update(key_versions).where(key_versions.c.handle == version.handle).values(**row)
            )


def _key_ids(connection: Connection, after: str, limit: int) -> list[str]:
    return list(
        connection.execute(
            select(keys.c.key_id).where(keys.c.key_id > after).order_by(keys.c.key_id).limit(limit)
        ).scalars()
    )
