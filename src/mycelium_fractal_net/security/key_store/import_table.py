"""Imports under way: what their table has beyond the others, which is that its rows end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.key_store.kinds import IMPORTS
from mycelium_fractal_net.security.key_store.record_table import RecordTable
from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.key_store.schema import pending_imports
from mycelium_fractal_net.security.records.imports import PendingImport

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.meta import StoreMeta


class ImportTable(RecordTable[PendingImport]):
    """The table ``pending_imports``. An id is never given twice, so a row is taken once."""

    def __init__(self, meta: StoreMeta) -> None:
        super().__init__(meta, IMPORTS)

    def take(self, connection: Connection, import_id: str) -> None:
        """Delete a row within a transaction. Raises :class:`KeyNotFoundError` if it is gone."""
        taken = connection.execute(delete(self.table).where(self.id == import_id))
        if taken.rowcount != 1:
            raise KeyNotFoundError(self.kind.not_found)

    def end(self, import_id: str) -> None:
        """:meth:`take` in a transaction of its own."""
        with self.meta.database.write() as connection:
            self.take(connection, import_id)
        self.meta.database.needs_scrub = self.meta.database.file is not None

    def mac(self, import_id: str) -> bytes:
        """The MAC of a row, authentic or not. Raises :class:`KeyNotFoundError`."""
        asked = select(self.table.c.mac).where(self.id == import_id)
        with self.meta.database.read() as connection:
            found = connection.execute(asked).first()
        if found is None:
            raise KeyNotFoundError(self.kind.not_found)
        return _mac(found.mac)

    def expired(self, now: datetime) -> list[tuple[str, bytes]]:
        """Ids and MACs of the rows that have expired, authentic or not."""
        asked = select(self.id, self.table.c.mac).where(self._over(now))
        with self.meta.database.read() as connection:
            return [(name, _mac(mac)) for name, mac in connection.execute(asked)]

    def purge(self, now: datetime) -> int:
        """Delete the rows that have expired, authentic or not; returns how many there were."""
        with self.meta.database.write() as connection:
            gone = connection.execute(delete(self.table).where(self._over(now))).rowcount
        self.meta.database.needs_scrub = self.meta.database.file is not None
        return gone

    def _over(self, now: datetime) -> ColumnElement[bool]:
        return pending_imports.c.expires_at <= micros(now)


def _mac(found: object) -> bytes:
    """What is no MAC, which somebody put there, marks nothing."""
    return found if isinstance(found, bytes) else b""
