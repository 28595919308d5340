"""Keys and their versions: what the table of keys has beyond the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from mycelium_fractal_net.security.errors import KeyNotFoundError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.kinds import KEYS
from mycelium_fractal_net.security.key_store.record_table import (
    RecordTable,
    Stored,
    or_raise,
)
from mycelium_fractal_net.security.key_store.rows import version_row
from mycelium_fractal_net.security.key_store.schema import key_versions, keys
from mycelium_fractal_net.security.records.keys import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

    from mycelium_fractal_net.security.key_store.meta import StoreMeta


class KeyTable(RecordTable[Key]):
    """The tables ``keys`` and ``key_versions``: a key is one record with all its versions.

    Versions are added or changed and never removed.
    """

    def __init__(self, meta: StoreMeta) -> None:
        super().__init__(meta, KEYS)

    def load_by_handle(self, handle: bytes) -> Stored[Key]:
        """The key one of whose versions has that handle. Raises :class:`KeyNotFoundError`."""
        owner = select(key_versions.c.key_id).where(key_versions.c.handle == handle)
        with self.meta.database.read() as connection:
            found = self.where(connection, keys.c.key_id == owner.scalar_subquery())
        if not found:
            raise KeyNotFoundError("no key version has that handle")
        return or_raise(found[0][1])

    def of_handles(self, handles: Sequence[bytes]) -> dict[bytes, tuple[str, str]]:
        """The name and the type of the key of each handle, for those that are there.

        As the store has them: neither is authenticated.
        """
        owned = key_versions.c.key_id == keys.c.key_id
        found = select(key_versions.c.handle, keys.c.key_id, keys.c.key_type).where(
            owned, key_versions.c.handle.in_(handles)
        )
        with self.meta.database.read() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(found)}

    def published(self) -> list[Stored[Key]]:
        """Every key that is marked to be published, in order of name."""
        with self.meta.database.read() as connection:
            found = self.where(connection, keys.c.publish)
        return [or_raise(each) for _, each in found]

    def external(self) -> list[tuple[str, Stored[Key] | StoreIntegrityError]]:
        """Every key with a version whose private key is with a custodian, each with its name."""
        table = key_versions
        kept = (table.c.external.is_not(None), table.c.external_gone_at.is_(None))
        with self.meta.database.read() as connection:
            return self.where(connection, self.id.in_(select(table.c.key_id).where(*kept)))

    def _stored(
        self, connection: Connection, rows: Sequence[Row[Any]]
    ) -> list[tuple[str, Stored[Key] | StoreIntegrityError]]:
        versions: dict[str, list[Row[Any]]] = {row.key_id: [] for row in rows}
        if versions:
            found = connection.execute(
                select(key_versions)
                .where(key_versions.c.key_id.in_(list(versions)))
                .order_by(key_versions.c.version)
            )
            for row in found.all():
                versions[row.key_id].append(row)
        return [self._one(row, versions[row.key_id]) for row in rows]

    def _insert_parts(self, connection: Connection, record: Key) -> None:
        rows = [version_row(record.key_id, each) for each in record.versions]
        connection.execute(insert(key_versions), rows)

    def _swap_parts(self, connection: Connection, old: Key, new: Key) -> None:
        before = {each.handle: each for each in old.versions}
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
